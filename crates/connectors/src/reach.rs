//! Reaching addresses that somebody else wrote: only public ones, and only the address that was checked.
//!
//! Order: parse once; `https` only, no credentials, port 443, 8443 or above 1024; resolve ourselves; refuse if *any* address is
//! not public; connect to a checked address under the name (Host and SNI stay); follow nothing; read little; one deadline for all.
//! Classes of addresses after RFC 6890 and its successors; checked on `../shared/contracts/standard-webhooks/ssrf-vectors.json`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use url::{Host, Url};

/// Time for everything: names, connection, answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read at most.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why an address is not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an `https` address of a public name without credentials on a port we call.
    #[error("not an address we call")]
    Address,
    /// The name leads to a place that is not public.
    #[error("the name leads to a place that is not public")]
    NotPublic,
    /// Nobody answered in time.
    #[error("nobody answered")]
    NoAnswer,
    /// The answer is an error, a redirect, or too large.
    #[error("the answer is not what was asked for (status {0})")]
    Answer(u16),
}

/// The address, if it is one we may call as far as its text says.
///
/// # Errors
/// [`Error::Address`], or [`Error::NotPublic`] for literal addresses that are not public.
pub fn public_url(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::Address)?;
    let port = url.port_or_known_default().unwrap_or(0);
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Address);
    }
    if !(matches!(port, 443 | 8443) || port > 1024) {
        return Err(Error::Address);
    }
    match url.host() {
        None => Err(Error::Address),
        Some(Host::Ipv4(address)) if !is_public(IpAddr::V4(address)) => Err(Error::NotPublic),
        Some(Host::Ipv6(address)) if !is_public(IpAddr::V6(address)) => Err(Error::NotPublic),
        Some(Host::Domain(name)) if is_inside(name) => Err(Error::NotPublic),
        Some(Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain(_)) => Ok(url),
    }
}

/// Names that lead inside by convention, whatever a resolver says.
fn is_inside(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = ["localhost", "local", "internal", "home.arpa", "onion"];
    ends.iter().any(|end| name == *end || name.ends_with(&format!(".{end}")))
}

/// Whether an address is one of the public network.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shut = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b));
    !shut
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    let first = segments[0];
    let shut = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || first & 0xffc0 == 0xfe80
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfec0
        || (first, segments[1]) == (0x2001, 0x0db8)
        || (first == 0x2001 && segments[1] < 0x0200)
        || (first == 0x3fff && segments[1] < 0x1000)
        || first == 0x2002
        || (first, segments[1]) == (0x0064, 0xff9b)
        || segments[..4] == [0x0100, 0, 0, 0]
        || first == 0x5f00
        || segments[..6] == [0; 6];
    !shut
}

/// Reads a small text from a public `https` address.
///
/// # Errors
/// [`Error`].
pub async fn read_public(address: &str) -> Result<String, Error> {
    let url = public_url(address)?;
    tokio::time::timeout(DEADLINE, fetch(&url)).await.unwrap_or(Err(Error::NoAnswer))
}

async fn fetch(url: &Url) -> Result<String, Error> {
    let host = url.host_str().ok_or(Error::Address)?;
    let checked = checked_addresses(host, url.port_or_known_default().unwrap_or(443)).await?;
    let http = reqwest::Client::builder()
        .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(host, &checked)
        .timeout(DEADLINE)
        .build()
        .map_err(|_| Error::NoAnswer)?;
    let mut answer = http.get(url.clone()).send().await.map_err(|_| Error::NoAnswer)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(Error::Answer(status));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| Error::NoAnswer)? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES_MAX {
            return Err(Error::Answer(status));
        }
    }
    String::from_utf8(body).map_err(|_| Error::Answer(status))
}

/// Every address of the name, if all of them are public: one that is not could be the one that is connected to.
async fn checked_addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port)).await.map_err(|_| Error::NoAnswer)?.collect();
    if found.is_empty() {
        return Err(Error::NoAnswer);
    }
    if found.iter().all(|address| is_public(address.ip())) { Ok(found) } else { Err(Error::NotPublic) }
}

#[cfg(test)]
mod tests {
    use super::{Error, read_public};

    #[tokio::test]
    async fn nothing_inside_is_asked() {
        for inside in ["https://localhost/", "https://127.0.0.1:8443/", "https://[::1]/", "https://10.0.0.1/x"] {
            assert_eq!(read_public(inside).await, Err(Error::NotPublic), "{inside}");
        }
        assert_eq!(read_public("http://example.com/").await, Err(Error::Address));
    }
}
