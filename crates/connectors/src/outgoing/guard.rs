//! Where a webhook may go: public addresses, over TLS, never back into our own network.
//!
//! An address is judged when it is given and again when it is connected to: the names of a host are looked up by
//! [`Resolver`], every address of the answer has to be public, and the connection goes to one of exactly these. So a name
//! that is pointed elsewhere between the look-up and the connection (DNS rebinding) reaches nothing. The classes are those of
//! `../shared/contracts/standard-webhooks/ssrf-vectors.json`.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How far webhooks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, over https.
    Public,
    /// Anywhere, also over http: for machines of developers, by an explicit setting.
    Anywhere,
}

/// An address that webhooks do not go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no address of the web.
    #[error("not an http(s) address")]
    NoUrl,
    /// It is not https.
    #[error("must begin with https://")]
    Plain,
    /// It carries a user name or password.
    #[error("must not carry credentials")]
    Credentials,
    /// Its port belongs to another service.
    #[error("the port is not one of the web")]
    Port,
    /// It is not a public host.
    #[error("must be a public host")]
    Private,
}

/// Checks an address that webhooks are to go to.
///
/// # Errors
/// [`Refused`].
pub fn check(address: &str, reach: Reach) -> Result<Url, Refused> {
    let url = Url::parse(address).map_err(|_| Refused::NoUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::NoUrl);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Refused::NoUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Credentials);
    }
    if reach == Reach::Anywhere {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err(Refused::Plain);
    }
    // Below 1024 live the services of the network itself.
    if url.port().is_some_and(|port| port < 1024 && port != 443) {
        return Err(Refused::Port);
    }
    // The parser has already turned `2130706433`, `0x7f000001` and `127.1` into 127.0.0.1.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if is_public(address) => Ok(url),
        Ok(_) => Err(Refused::Private),
        Err(_) if is_public_name(host) => Ok(url),
        Err(_) => Err(Refused::Private),
    }
}

/// Names that only mean something inside a network are not public; what others lead to is judged when they are looked up.
fn is_public_name(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let inside = ["localhost", "internal", "local", "localdomain", "lan", "home", "corp", "intranet", "arpa", "onion"];
    name.contains('.') && !inside.iter().any(|inside| name == *inside || name.ends_with(&format!(".{inside}")))
}

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = matches!(
        (a, b, c),
        (0, ..)
            | (100, 64..=127, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., ..)
    );
    !(reserved || address.is_private() || address.is_loopback() || address.is_link_local())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let reserved = match segments[0] {
        // Unspecified, loopback, v4-compatible, NAT64, discard.
        0 => true,
        0x64 => segments[1] == 0xff9b,
        0x100 => segments[1..4] == [0, 0, 0],
        // Teredo, benchmarking, ORCHID and other special purposes.
        0x2001 => segments[1] < 0x200 || segments[1] == 0xdb8,
        0x2002 => true,
        0x3fff => segments[1] < 0x1000,
        0x5f00 => true,
        0xfc00..=0xfdff | 0xfe80..=0xfeff | 0xff00.. => true,
        _ => false,
    };
    !reserved
}

/// How names are looked up.
pub type Lookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

/// Looks names up and gives only answers that are public as a whole.
#[derive(Clone)]
pub struct Resolver {
    reach: Reach,
    lookup: Lookup,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Resolver").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Resolver {
    /// The system's look-up.
    pub fn system(reach: Reach) -> Self {
        let lookup: Lookup = Arc::new(|name| {
            Box::pin(async move { tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect) })
        });
        Self { reach, lookup }
    }

    /// A look-up of the caller's.
    pub fn with(reach: Reach, lookup: Lookup) -> Self {
        Self { reach, lookup }
    }

    /// The addresses of a name, if all of them may be connected to.
    ///
    /// # Errors
    /// The name has no address, or one that is not public.
    pub async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found = (self.lookup)(name.to_owned()).await?;
        if found.is_empty() {
            return Err(io::Error::other("the host has no address"));
        }
        match self.reach == Reach::Anywhere || found.iter().all(|found| is_public(found.ip())) {
            true => Ok(found),
            false => Err(io::Error::other("the host leads to an address that is not public")),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found: Addrs = Box::new(resolver.addresses(name.as_str()).await?.into_iter());
            Ok(found)
        })
    }
}
