//! Outgoing changes at Stripe, Stigg or Clerk: stored with their key and frozen body before anything is sent. Table `operations`.
//!
//! An operation runs in named steps. A step's key is `tollgate:<operation>:<step>`; its answer is stored before the next step,
//! so that a run which is resumed after a crash sends nothing twice under two keys. Where the outside keeps a failure under a key for ever,
//! all steps that are not over get another key (`…~1`), and look first whether their change is there. Whoever runs an operation holds its lease;
//! every write checks the epoch. A job of the operation resumes what stopped half-way.
//!
//! Invariants: of one kind and dedupe key of an org at most one runs; the body never changes; secrets are not stored.
//!
//! A use case: `begin` in its transaction (with the audit entry), `drive` after the commit; the steps of each kind stand with
//! its noun and are called from `dispatch.rs`.

mod begin;
mod dispatch;
mod drive;
mod get;
mod kind;
mod resume;
mod run;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use secrecy::SecretString;
use serde_json::{Map, Value};

use tollgate_rules::ids::{OperationId, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::db;

pub(crate) use begin::{Begun, NewOperation, begin, begin_alone};
pub(crate) use drive::drive;
pub use get::{Shown, get, org_of};
pub use kind::Kind;
pub(crate) use resume::resume;
pub(crate) use run::Run;

/// An operation as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) org_key: OrgKey,
    pub(crate) operation_id: OperationId,
    pub(crate) kind: Kind,
    /// Frozen when it was begun.
    pub(crate) body: Value,
    /// Answers of the steps that are over.
    pub(crate) steps: Map<String, Value>,
    pub(crate) state: State,
    pub(crate) outcome: Option<Value>,
    pub(crate) refusal: Option<(Code, String)>,
    pub(crate) attempts: i64,
    pub(crate) epoch: i64,
    pub(crate) lease_until: Timestamp,
    pub(crate) actor: String,
    pub(crate) corr_id: String,
    pub(crate) created_at: Timestamp,
}

/// The states of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Under way; it completes by itself.
    Running,
    /// Over, with an outcome.
    Done,
    /// Over, refused; what was to change is as it was.
    Failed,
}

impl State {
    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Option<State> {
        [State::Running, State::Done, State::Failed].into_iter().find(|state| state.as_str() == word)
    }
}

/// Why the outside refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The payment was declined.
    PaymentFailed,
    /// The customer must confirm the payment first (3-D Secure).
    PaymentActionRequired,
    /// What it concerns does not exist there (any more).
    Missing,
    /// The request is wrong there, or in conflict with the state there.
    Refused,
    /// Tax is worked out by where the customer is, and that is not known.
    NoPlace,
    /// A tax id is none of its kind.
    BadTaxId,
    /// Our credentials lack a right; a person must act.
    Credentials,
    /// Nobody is configured for this.
    Off,
}

impl Code {
    const ALL: [Code; 8] = [
        Code::PaymentFailed,
        Code::PaymentActionRequired,
        Code::Missing,
        Code::Refused,
        Code::NoPlace,
        Code::BadTaxId,
        Code::Credentials,
        Code::Off,
    ];

    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::PaymentFailed => "payment_failed",
            Code::PaymentActionRequired => "payment_action_required",
            Code::Missing => "missing",
            Code::Refused => "refused",
            Code::NoPlace => "no_place",
            Code::BadTaxId => "bad_tax_id",
            Code::Credentials => "credentials",
            Code::Off => "off",
        }
    }

    fn parse(word: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

/// A refusal for good.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What kind of refusal.
    pub code: Code,
    /// What may be shown to the caller.
    pub message: String,
    /// The bank's reason (`insufficient_funds`), when there is one. Not stored.
    pub reason: Option<String>,
    /// For the browser, where the customer can still confirm. Never stored: a later reader does not get it.
    pub client_secret: Option<SecretString>,
}

/// Why an operation did not get to its outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused for good; nothing changed.
    #[error("refused: {}", .0.message)]
    Refused(Refusal),
    /// The outside does not answer now; the operation completes by itself, ask for it by its id.
    #[error("the outside does not answer; operation {operation_id} completes by itself")]
    Pending {
        /// What to ask for.
        operation_id: OperationId,
    },
    /// Ours does not answer, or a bug.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Why a run stopped before its end: what the steps of a kind return.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The outside may answer later.
    Later(String),
    /// The outside keeps a failure of its own under our key: it is looked whether the change happened, then asked for under another.
    Stuck(String),
    /// The outside refused for good.
    Refused(Refusal),
    /// Ours does not answer, or a bug.
    Database(db::Error),
    /// Another worker has the operation now.
    Lost,
}

impl From<db::Error> for Stop {
    fn from(error: db::Error) -> Stop {
        Stop::Database(error)
    }
}
