//! What the ledger answers: a quota that is used up is an answer, a request that makes no sense is a [`Refusal`].

use crate::catalog::DenyStatus;
use crate::ids::{HoldId, Metric, PlanCode, RequestId};
use crate::ledger::{Numbers, Slice};
use crate::period::PeriodKey;
use crate::time::Timestamp;

/// Granted, or denied for a reason the product expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It passed.
    Allowed(T),
    /// It did not; nothing was written.
    Denied(Box<Denial>),
}

/// Why usage is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not enough units are left.
    QuotaExceeded,
    /// No subscription gives access.
    NoSubscription,
    /// A payment failed and the days of grace are over.
    PastDue,
    /// The org is suspended or closed.
    OrgSuspended,
}

impl Reason {
    /// The error code of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::QuotaExceeded => "quota_exceeded",
            Reason::NoSubscription => "no_subscription",
            Reason::PastDue => "past_due",
            Reason::OrgSuspended => "org_suspended",
        }
    }
}

/// Which rule a quota denial goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What the plan includes, with grants on top.
    Allowance,
    /// A pool that the metric draws on; the denial's metric is the pool.
    Pool {
        /// What was asked for.
        drawn_by: Metric,
    },
    /// The most that the org lets overage cost in a period.
    SpendCap {
        /// The cap, in minor units of the plan's currency.
        cap_minor: i64,
        /// What overage costs already.
        spent_minor: i64,
    },
    /// The slice of the key that asked; the org itself has room.
    KeySlice(Slice),
}

impl Rule {
    /// The key's slice, where that says no.
    pub const fn slice(&self) -> Option<&Slice> {
        match self {
            Rule::KeySlice(slice) => Some(slice),
            Rule::Allowance | Rule::Pool { .. } | Rule::SpendCap { .. } => None,
        }
    }

    /// The word it is told as.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Rule::Allowance => "allowance",
            Rule::Pool { .. } => "credit_pool",
            Rule::SpendCap { .. } => "spend_cap",
            Rule::KeySlice(_) => "key_slice",
        }
    }
}

/// A denial with everything that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The rule of a quota denial.
    pub rule: Rule,
    /// The metric that did not fit.
    pub metric: Metric,
    /// Units of it that were asked for.
    pub requested: i64,
    /// Where the org stands; nothing where it has no access.
    pub numbers: Option<Numbers>,
    /// The status the plan wants for quota denials.
    pub deny_status: DenyStatus,
    /// What the org is called.
    pub org_name: String,
    /// The plan in force; nothing where it has no access.
    pub plan_code: Option<PlanCode>,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// A request that cannot be carried out, whatever is left. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The catalog has no such metric.
    #[error("unknown metric {0}")]
    UnknownMetric(Metric),
    /// The id was accepted before with other content.
    #[error("request_id {0} was used before with other content")]
    Reused(RequestId),
    /// The sum would go beyond what can be counted.
    #[error("the total of {0} would go beyond 9007199254740991 units")]
    TotalTooLarge(Metric),
    /// `occurredAt` is older than 35 days or more than 5 minutes ahead.
    #[error("occurredAt must lie between 35 days ago and 5 minutes ahead")]
    OccurredAtOutOfRange,
    /// No such hold.
    #[error("no such hold")]
    HoldNotFound,
    /// The hold was charged, freed or has expired, and this no longer fits to it.
    #[error("the hold has ended")]
    HoldEnded,
    /// The event to correct does not exist.
    #[error("no event with request_id {0}")]
    CorrectsUnknown(RequestId),
    /// The event to correct counted several metrics and none was named.
    #[error("the event counted several metrics; correct them one by one by recording against each")]
    CorrectsSeveral,
    /// A correction of 0 units, or beyond what can be counted.
    #[error("a correction has between -9007199254740991 and 9007199254740991 units and is not 0")]
    CorrectionUnits,
    /// `used` would fall below 0.
    #[error("the correction would bring used below 0")]
    BelowZero,
    /// The period named is not the current one.
    #[error("{0} is not the current period")]
    OtherPeriod(PeriodKey),
    /// No items, or too many.
    #[error("a record has at least one item")]
    NoItems,
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a record.
    Recorded(Outcome<Recorded>),
    /// To a reserve.
    Reserved(Outcome<Reserved>),
    /// To a settle, release or extend.
    Hold(HoldAnswer),
    /// To a correction.
    Corrected(Corrected),
    /// To a seed.
    Seeded(Outcome<Seeded>),
}

/// A check that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What was asked about.
    pub metric: Metric,
    /// Units asked for.
    pub units: i64,
    /// Where the org stands.
    pub numbers: Numbers,
    /// Whether only shadow mode lets it pass.
    pub would_deny: bool,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// Usage that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The label of the period it was counted in.
    pub period_key: PeriodKey,
    /// Item by item, in the order of the request.
    pub items: Vec<Counted>,
    /// Whether this is the first answer again.
    pub repeat: bool,
    /// When it was counted first.
    pub recorded_at: Timestamp,
}

/// One item that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What.
    pub metric: Metric,
    /// How many.
    pub units: i64,
    /// Where the org stood right after it.
    pub numbers: Numbers,
    /// Whether only shadow mode let it pass.
    pub would_deny: bool,
}

/// Units that are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The hold.
    pub hold_id: HoldId,
    /// What.
    pub metric: Metric,
    /// How many.
    pub units: i64,
    /// When it expires, as first answered.
    pub expires_at: Timestamp,
    /// Where the org stood right after it.
    pub numbers: Numbers,
    /// Whether only shadow mode let it pass.
    pub would_deny: bool,
    /// Whether this is the first answer again.
    pub repeat: bool,
    /// When it was taken.
    pub recorded_at: Timestamp,
}

/// A hold after a settle, release or extend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldAnswer {
    /// The hold.
    pub hold_id: HoldId,
    /// What it holds or held.
    pub metric: Metric,
    /// Units charged; 0 unless settled.
    pub units: i64,
    /// When it expires or was to expire.
    pub expires_at: Timestamp,
    /// Where the org stood right after it, in the hold's period.
    pub numbers: Numbers,
    /// Whether this is the first answer again.
    pub repeat: bool,
    /// When that was.
    pub recorded_at: Timestamp,
}

/// A count that was put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrected {
    /// What.
    pub metric: Metric,
    /// Signed units that were added.
    pub units: i64,
    /// Where the org stood right after it, in the period of the corrected event.
    pub numbers: Numbers,
    /// Whether this is the first answer again.
    pub repeat: bool,
    /// When that was.
    pub recorded_at: Timestamp,
}

/// The current period's counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// Where the org stands.
    pub numbers: Numbers,
    /// When that was.
    pub decided_at: Timestamp,
}
