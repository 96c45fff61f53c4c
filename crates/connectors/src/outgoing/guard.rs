//! Where a webhook may go: public addresses, over TLS, never back into our own network.
//!
//! An address is judged when it is given and again when it is connected to: the names of a host are looked up by
//! [`Resolver`], every address of the answer has to be public, and the connection goes to one of exactly these. So a name
//! that is pointed elsewhere between the look-up and the connection (DNS rebinding) reaches nothing. Which addresses are public
//! is decided in `reach.rs`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::reach::{is_public, public_url};

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
    /// It is not https to a public host on a port of the web, without credentials.
    #[error("must be https://, a public host, a port of the web, and carry no credentials")]
    NotPublic,
}

/// Checks an address that webhooks are to go to.
///
/// # Errors
/// [`Refused`].
pub fn check(address: &str, reach: Reach) -> Result<Url, Refused> {
    let url = Url::parse(address).map_err(|_| Refused::NoUrl)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(Refused::NoUrl);
    }
    match reach {
        Reach::Anywhere => Ok(url),
        Reach::Public => public_url(address).map(|_| url).map_err(|_| Refused::NotPublic),
    }
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
