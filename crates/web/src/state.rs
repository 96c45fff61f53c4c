//! What the router is given: the engine, and what only the assembling binary knows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tollgate_engine::Engine;
use tollgate_rules::time::Timestamp;

use crate::denials::Denials;
use crate::proxies::Proxies;
use crate::request_id::RequestIds;

/// How this server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `tollgate dev`: start page, demo API, time machine; loopback needs no operator key for diagnostics.
    Dev,
    /// `tollgate serve`: production.
    Serve,
}

/// Everything the router needs.
#[derive(Clone)]
pub struct State {
    /// The only door to state.
    pub engine: Engine,
    /// How this server runs.
    pub mode: Mode,
    /// Prints the metrics in Prometheus' text format.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Moves the sandbox's clock (`dev` only).
    pub time_machine: Option<Arc<TimeMachine>>,
    /// The org the start page shows (`dev` with the demo seed).
    pub demo: Option<Demo>,
    /// The version that `/health` tells.
    pub version: String,
    /// Where clients reach this server, without a slash at the end.
    pub base_url: String,
    /// Who is believed about where a call came from.
    pub proxies: Proxies,
}

impl State {
    /// Whether clients reach this server over https.
    pub(crate) fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }
}

/// The org the start page shows.
#[derive(Clone)]
pub struct Demo {
    /// Its public name.
    pub org_id: String,
    /// The secret of one of its API keys, filled into the curl lines.
    pub key: String,
}

/// The future of one move of the clock.
pub type Advancing = Pin<Box<dyn Future<Output = Result<Advanced, AdvanceError>> + Send>>;

/// Moves the sandbox's clock and everything that is due with it.
pub struct TimeMachine {
    /// The business clock's time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Moves it, and answers once everything due by then has happened and converged.
    pub advance: Box<dyn Fn(Advance) -> Advancing + Send + Sync>,
}

/// How far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// By a length like `31d` (`s m h d w mo y`).
    By(String),
    /// To a moment.
    To(Timestamp),
    /// To the next event at Stripe, quota boundary or hold expiry.
    ToNext,
}

/// What a move did.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Advanced {
    /// The time now.
    #[schema(value_type = String)]
    pub now: Timestamp,
    /// What happened, in order; the first 1,000.
    pub happened: Vec<Happened>,
    /// How much happened in all.
    pub count: u64,
    /// What had not converged when waiting ended.
    pub unconverged: Vec<String>,
}

/// One thing that happened while the clock moved.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Happened {
    /// When, by the sandbox's clock.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// What (`invoice.paid`).
    pub kind: String,
    /// To which object.
    pub object: String,
    /// In words.
    pub summary: String,
}

/// Why the clock did not move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// The length makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The moment lies in the past, or there is nothing to move to.
    #[error("{0}")]
    Refused(String),
    /// Another move is running.
    #[error("the clock is being moved by another call")]
    Busy,
    /// Something due could not be done.
    #[error("{0}")]
    Failed(String),
}

/// The state as handlers hold it: one pointer.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    state: State,
    request_ids: RequestIds,
    denials: Denials,
    started: Duration,
    document: serde_json::Value,
    document_text: bytes::Bytes,
}

impl App {
    pub(crate) fn new(state: State, document: serde_json::Value) -> Self {
        let clocks = state.engine.clock();
        let request_ids = RequestIds::new(u64::from_be_bytes(clocks.entropy.bytes::<8>()));
        let started = clocks.monotonic.now();
        let document_text = bytes::Bytes::from(document.to_string());
        Self(Arc::new(Inner { state, request_ids, denials: Denials::default(), started, document, document_text }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.state.engine
    }

    pub(crate) fn state(&self) -> &State {
        &self.0.state
    }

    pub(crate) fn request_ids(&self) -> &RequestIds {
        &self.0.request_ids
    }

    /// The last denials, for the start page.
    pub(crate) fn denials(&self) -> &Denials {
        &self.0.denials
    }

    /// Business time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.engine().clock().business.now()
    }

    /// Monotonic time, for measuring.
    pub(crate) fn tick(&self) -> Duration {
        self.engine().clock().monotonic.now()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.tick().saturating_sub(self.0.started)
    }

    pub(crate) fn document(&self) -> &serde_json::Value {
        &self.0.document
    }

    pub(crate) fn document_text(&self) -> bytes::Bytes {
        self.0.document_text.clone()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("mode", &self.mode)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Demo").field("org_id", &self.org_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for TimeMachine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TimeMachine")
    }
}
