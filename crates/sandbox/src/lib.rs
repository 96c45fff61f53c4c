//! A Stripe-compatible HTTP server with a time machine, and a Stigg stand-in beside it.
//!
//! [`Sandbox::start`] binds, restores what `sandbox.db` remembers and serves in the background: Stripe's API at `/v1/…`,
//! Stigg's at `/stigg/api/v1/…`, Clerk's at `/clerk/v1/…`. All live on one [`Clock`] that runs with the system's and can be moved forward with
//! [`Sandbox::move_to`], which carries out everything that falls due on the way, in order: trial ends, renewals, charges,
//! retries and repeated webhooks. Rules of Stripe's that are not written down in public are marked where they are coded.
//!
//! | where | what |
//! | --- | --- |
//! | `server.rs` | one HTTP call: credentials, form, idempotency, dispatch, answer |
//! | `stripe/mod.rs` | the table of routes; one file per resource beside it |
//! | `pages/` | what people click through: checkout, the portal, invoices |
//! | `desk.rs` | what a resource works with: objects, events, agenda, time of one transaction |
//! | `timeline.rs` | carries out what is due |
//! | `deliver.rs` | signed webhooks with repeats |
//! | `control.rs` | its own controls over HTTP: the clock, and what goes wrong |
//! | `contract.rs` | checks requests and answers against the official description |
//! | `store.rs` | the file and all its SQL |
//!
//! Known to Stripe and refused here as unknown, until a resource of its own brings it: Checkout for anything but subscriptions, plan
//! changes in the portal, invoices not charged automatically, a trial for a subscription that is past its own. Refusing is the point: a call that only seems to work would hide that.

// Stripe's objects have more members than the json macro's default depth allows.
#![recursion_limit = "512"]

mod api_error;
mod calendar;
mod clerk;
mod clock;
pub mod contract;
mod control;
mod deliver;
mod desk;
pub mod dns;
mod faults;
mod form;
pub mod oidc;
mod pages;
mod render;
mod server;
mod shape;
mod stigg;
mod store;
mod stripe;
mod timeline;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use faults::{Failure, Faults};
pub use store::StoreError;

use desk::{Desk, Premises, alphanumeric};
use server::InFlight;
use store::{Fate, Store, Tx};

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

/// What becomes of a subscription when the last attempt to charge a renewal failed (a setting of the account at Stripe).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLastAttempt {
    /// It is cancelled.
    Cancel,
    /// It becomes `unpaid`: periods go on, their invoices stay drafts.
    MarkUnpaid,
}

/// A running sandbox; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Sandbox {
    inner: Arc<Inner>,
    tasks: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>,
}

/// What the parts of a running sandbox share.
#[derive(Debug)]
pub(crate) struct Inner {
    address: SocketAddr,
    clock: Clock,
    store: Store,
    /// The store's file.
    database: PathBuf,
    faults: Faults,
    clerk: clerk::Room,
    premises: Arc<Premises>,
    in_flight: InFlight,
    requests: AtomicU64,
    /// Somebody changed something: look at what is due and what is to be delivered.
    wake: Notify,
    /// Held while the clock's agenda is being carried out.
    turn: Mutex<()>,
    /// Places for webhooks under way.
    places: Semaphore,
    stopped: watch::Sender<bool>,
}

impl Inner {
    /// A new id for one request.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let hash = Sha256::digest(format!("{:?} {number} {}", self.premises.seed, self.clock.now_micros()));
        format!("req_{}", alphanumeric(&hash, 14))
    }
}

/// The setting behind [`Sandbox::after_last_attempt`].
pub(crate) const AFTER_LAST_ATTEMPT: &str = "after_last_attempt";
/// How many webhooks are under way at once.
const PLACES: usize = 16;
/// How long stopping waits for calls that are being answered.
const STOP_GRACE: Duration = Duration::from_secs(1);

impl Sandbox {
    /// Binds, restores what the file remembers and serves in the background.
    ///
    /// # Errors
    /// The address is taken, or the file cannot be opened.
    pub async fn start(config: Config) -> Result<Sandbox, StartError> {
        let listen = |source| StartError::Listen { address: config.listen, source };
        let store = Store::open(&config.database).await?;
        let fresh_seed = clock::random_seed().map_err(|error| StartError::System(error.to_string()))?;
        let start_at = config.start_at_micros;
        let (offset, seed) = store.run(move |tx| (Fate::Commit, restore(tx, start_at, fresh_seed))).await??;
        let clock = Clock::default();
        clock.restore(offset);
        let listener = tokio::net::TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        let client = client.map_err(|error| StartError::System(error.to_string()))?;
        let (stopped, mut stop) = watch::channel(false);
        let inner = Arc::new(Inner {
            address,
            clock,
            store,
            database: config.database,
            faults: config.faults,
            clerk: clerk::Room::default(),
            premises: Arc::new(Premises {
                seed,
                base_url: format!("http://{address}"),
                run: alphanumeric(&fresh_seed, 16),
            }),
            in_flight: InFlight::default(),
            requests: AtomicU64::new(0),
            wake: Notify::new(),
            turn: Mutex::new(()),
            places: Semaphore::new(PLACES),
            stopped,
        });
        let app = axum::Router::new().fallback(server::handle).with_state(Arc::clone(&inner));
        let served = tokio::spawn(async move {
            let until_stopped = async move {
                let _ = stop.changed().await;
            };
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(until_stopped).await {
                tracing::error!(%error, "the sandbox stopped serving");
            }
        });
        let timeline = tokio::spawn(timeline::run(Arc::clone(&inner), client));
        Ok(Self { inner, tasks: Arc::new(std::sync::Mutex::new(vec![served, timeline])) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// `http://address`, with Stripe at `/v1/…` and the Stigg stand-in at `/stigg/api/v1/…`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.inner.premises.base_url.clone()
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
        let next = self.inner.store.run(|tx| {
            let event = tx.next_appointment(None).ok().flatten().map(|appointment| appointment.due_micros);
            let webhook = tx.next_redelivery().ok().flatten();
            (Fate::RollBack, event.into_iter().chain(webhook).min())
        });
        next.await.ok().flatten()
    }

    /// Sets the clock to `micros` and carries out everything due by then, in time order.
    ///
    /// # Errors
    /// `micros` has passed or lies after the year 9000, or the file cannot be written.
    pub async fn move_to(&self, micros: i64) -> Result<Vec<Happened>, Error> {
        move_to(&self.inner, micros).await
    }

    /// Waits until every event's first delivery has been answered, well or badly; false when that takes longer.
    pub async fn deliveries_settled(&self, timeout: Duration) -> bool {
        let settled = async {
            while self.unattempted().await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(timeout, settled).await.is_ok()
    }

    async fn unattempted(&self) -> i64 {
        let count = self.inner.store.run(|tx| (Fate::RollBack, tx.unattempted()));
        count.await.and_then(|count| count).unwrap_or(0)
    }

    /// Makes sure that all events go to `url`, and returns the endpoint's `whsec_…` secret; the same for the same address.
    /// An endpoint of an earlier run that differs only in its port moves here, and in each run the
    /// first call begins the repeats of what is still to be delivered there anew.
    ///
    /// # Errors
    /// The address is no HTTP address, or the file cannot be written.
    pub async fn ensure_webhook_endpoint(&self, url: &str) -> Result<String, Error> {
        let (url, premises, now) = (url.to_owned(), Arc::clone(&self.inner.premises), self.inner.clock.now_micros());
        let secret = self.inner.store.run(move |tx| {
            let secret = stripe::webhook_endpoints::ensure(&mut Desk::new(tx, &premises, now), &url);
            (if secret.is_ok() { Fate::Commit } else { Fate::RollBack }, secret)
        });
        let secret = secret.await?.map_err(|error| Error::Refused(error.message().to_owned()))?;
        self.inner.wake.notify_one();
        Ok(secret)
    }

    /// Copies the file into `folder` as it is at one moment, under its own name, and lets `beside` happen at that moment: nothing changes
    /// here before both are done. Answers what time it is in the copy.
    ///
    /// # Errors
    /// The file cannot be copied, or `beside` failed, in its words.
    pub async fn copy_into<W>(&self, folder: &Path, beside: W) -> Result<i64, Error>
    where
        W: FnOnce() -> Result<(), String> + Send + 'static,
    {
        let (from, folder) = (self.inner.database.clone(), folder.to_owned());
        let copied = self.inner.store.run(move |tx| (Fate::RollBack, still(tx, &from, &folder, beside))).await?;
        copied.map_err(Error::Refused)
    }

    /// Says what becomes of subscriptions after the last failed attempt; a new sandbox cancels them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn after_last_attempt(&self, then: AfterLastAttempt) -> Result<(), Error> {
        let value = match then {
            AfterLastAttempt::Cancel => "cancel",
            AfterLastAttempt::MarkUnpaid => "mark_unpaid",
        };
        Ok(self.inner.store.run(move |tx| (Fate::Commit, tx.set(AFTER_LAST_ATTEMPT, value))).await??)
    }

    /// Stops serving and delivering. Calls under way are answered; webhooks under way are repeated by the next start.
    pub async fn stop(self) {
        self.inner.stopped.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for mut task in tasks {
            if tokio::time::timeout(STOP_GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

/// Inside a transaction that nobody else can be beside: the file and its log do not change under the copy.
fn still(tx: &mut Tx, from: &Path, folder: &Path, beside: impl FnOnce() -> Result<(), String>) -> Result<i64, String> {
    beside()?;
    let offset = tx.setting("offset_micros").map_err(|error| error.to_string())?;
    let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for name in [name.clone(), format!("{name}-wal")] {
        let there = from.with_file_name(&name);
        if there.exists() {
            std::fs::copy(&there, folder.join(&name)).map_err(|error| format!("copying {name}: {error}"))?;
        }
    }
    let clock = Clock::default();
    clock.restore(offset.and_then(|text| text.parse().ok()).unwrap_or(0));
    Ok(clock.now_micros())
}

/// Sets the clock and carries out what is due by then.
pub(crate) async fn move_to(inner: &Arc<Inner>, micros: i64) -> Result<Vec<Happened>, Error> {
    let now = inner.clock.now_micros();
    if micros < now {
        return Err(Error::Backwards { asked: micros, now });
    }
    if micros > calendar::TIME_MAX * clock::SECOND {
        return Err(Error::Refused("the sandbox's calendar ends with the year 9000".into()));
    }
    let happened = timeline::carry_out_until(inner, micros).await?;
    let offset = inner.clock.offset_for(micros);
    inner.store.run(move |tx| (Fate::Commit, tx.set("offset_micros", &offset.to_string()))).await??;
    inner.clock.advance(offset);
    inner.wake.notify_one();
    Ok(happened)
}

/// What time it is in the file of a sandbox that is not running.
///
/// # Errors
/// The file cannot be read.
pub async fn time_in(database: &Path) -> Result<i64, StoreError> {
    let store = Store::open(database).await?;
    let offset = store.run(|tx| (Fate::RollBack, tx.setting("offset_micros"))).await??;
    let clock = Clock::default();
    clock.restore(offset.and_then(|text| text.parse().ok()).unwrap_or(0));
    Ok(clock.now_micros())
}

/// Makes it a moment in the file of a sandbox that is not running: also an earlier one, for the file is as it was then.
///
/// # Errors
/// The file cannot be written.
pub async fn set_time_in(database: &Path, micros: i64) -> Result<(), StoreError> {
    let store = Store::open(database).await?;
    let offset = clock::offset_starting_at(micros);
    store.run(move |tx| (Fate::Commit, tx.set("offset_micros", &offset.to_string()))).await?
}

/// The clock's offset and the seed of all ids: what the file remembers, else what a new one begins with.
fn restore(tx: &mut Tx, start_at: Option<i64>, fresh_seed: [u8; 32]) -> Result<(i64, [u8; 32]), StoreError> {
    let offset = match tx.setting("offset_micros")?.and_then(|text| text.parse().ok()) {
        Some(offset) => offset,
        None => {
            let offset = start_at.map_or(0, clock::offset_starting_at);
            tx.set("offset_micros", &offset.to_string())?;
            offset
        }
    };
    let stored = tx.setting("seed")?;
    let seed = stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(fresh_seed);
    tx.set("seed", &serde_json::json!(seed).to_string())?;
    Ok((offset, seed))
}
