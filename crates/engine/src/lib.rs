//! Every use case of Tollgate, each one function in one file: transactions, SQL, migrations, jobs, audit. The only door to state.
//!
//! It knows `tollgate_rules` (what is decided) and `tollgate_connectors` (how the outside is spoken to). It must not know
//! status codes, JSON shapes of the API, cookies, HTML, environment variables or providers' wire types.
//!
//! A use case takes an [`Engine`] and the right to act: an [`access::OrgScope`] for one org, an [`access::OperatorScope`] for all.
//! It writes in one transaction with its audit entry and with the jobs that must follow; no network inside a transaction.

pub mod access;
pub mod accounts;
pub mod activation;
pub mod adjustments;
pub mod alerts;
pub mod audit;
pub mod backup;
pub mod checkouts;
pub mod clock;
pub mod db;
pub mod diag;
mod engine;
pub(crate) mod erasure;
#[cfg(not(any(test, feature = "testing")))]
pub(crate) mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fault;
pub mod flags;
pub mod grants;
pub mod idempotency;
pub mod identity;
pub mod inbox;
pub mod incidents;
pub mod invoices;
pub mod jobs;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod mail;
pub mod members;
pub mod metering;
mod notices;
pub mod operations;
pub mod operators;
pub mod orgs;
pub mod outgoing;
pub mod overrides;
pub mod paging;
pub mod plans;
pub mod provision;
pub mod quotes;
mod retention;
mod sealing;
mod secrets;
mod settings;
pub mod spending;
pub mod subscriptions;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tokens;
pub mod topups;
mod workers;

pub use engine::{Engine, OpenError, statements};
pub use settings::{IdentitySettings, KeyEnvironment, Settings, WebhookSecrets};
pub use workers::Workers;
