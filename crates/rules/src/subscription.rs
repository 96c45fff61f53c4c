//! What a subscription's status means: which of several counts, and whether the org may use anything.

#[cfg(test)]
mod tests;

use crate::billing::{SubscriptionFact, SubscriptionStatus};
use crate::entitlement::{OrgFacts, OrgStatus, SubscriptionState};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether an org may use anything, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It may.
    Allowed,
    /// No subscription gives access.
    NoSubscription,
    /// A payment failed and the days of grace are over.
    PastDue,
    /// The operator suspended it, or it is closed.
    OrgSuspended,
}

impl Access {
    /// The word it is written as; the three refusals are the codes of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Access::Allowed => "allowed",
            Access::NoSubscription => "no_subscription",
            Access::PastDue => "past_due",
            Access::OrgSuspended => "org_suspended",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Access::Allowed, Access::NoSubscription, Access::PastDue, Access::OrgSuspended]
            .into_iter()
            .find(|access| access.as_str() == text)
    }
}

/// Whether the org may use anything at `now`.
pub fn access(facts: &OrgFacts, now: Timestamp) -> Access {
    match facts.org_status {
        OrgStatus::Suspended | OrgStatus::Closed => return Access::OrgSuspended,
        OrgStatus::Active => {}
    }
    let (Some(subscription), Some(plan)) = (&facts.subscription, &facts.plan) else {
        return Access::NoSubscription;
    };
    match status_at(subscription, facts.has_default_payment_method, now) {
        SubscriptionStatus::Trialing | SubscriptionStatus::Active => Access::Allowed,
        SubscriptionStatus::PastDue => {
            if now < grace_end(subscription, plan.grace_days) {
                Access::Allowed
            } else {
                Access::PastDue
            }
        }
        SubscriptionStatus::Unpaid
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired => Access::NoSubscription,
    }
}

/// The status at `now`, from what the last fetch told: a cancellation that came due ends it, and a trial that is over becomes
/// the paid plan only where a payment method is known.
pub fn status_at(
    subscription: &SubscriptionState,
    has_default_payment_method: bool,
    now: Timestamp,
) -> SubscriptionStatus {
    let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
    match subscription.status {
        SubscriptionStatus::Canceled => SubscriptionStatus::Canceled,
        SubscriptionStatus::IncompleteExpired => SubscriptionStatus::IncompleteExpired,
        _ if over(subscription.ended_at) || over(subscription.cancel_at) => SubscriptionStatus::Canceled,
        SubscriptionStatus::Trialing if over(subscription.running_trial().map(|trial| trial.end)) => {
            if has_default_payment_method {
                SubscriptionStatus::Active
            } else {
                SubscriptionStatus::Canceled
            }
        }
        status => status,
    }
}

/// When the days of grace after a failed payment are over.
pub fn grace_end(subscription: &SubscriptionState, grace_days: u32) -> Timestamp {
    subscription.past_due_since.unwrap_or(subscription.item_period.start).plus_days(grace_days)
}

/// Since when a payment is missing: the first failure that has not been made up for.
pub fn past_due_since(before: Option<Timestamp>, fact: &SubscriptionFact) -> Option<Timestamp> {
    match fact.status {
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => {
            let failed = fact.latest_invoice_created.unwrap_or(fact.item_period.start);
            Some(before.map_or(failed, |before| before.min(failed)))
        }
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired => None,
    }
}

/// What decides which of several subscriptions counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its id at Stripe.
    pub subscription_id: &'a str,
    /// Its status.
    pub status: SubscriptionStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether its price is one of the catalog's.
    pub known_price: bool,
}

/// The one that counts: the newest live one with a catalog price, else the newest that waits for something (a first payment, a
/// resume), else the one that ended last. Nothing where none has a catalog price.
pub fn counting<'a>(candidates: &[Candidate<'a>]) -> Option<&'a str> {
    candidates
        .iter()
        .filter(|candidate| candidate.known_price)
        .max_by_key(|candidate| {
            let stage = stage(candidate.status);
            let moment = match stage {
                Stage::Ended => candidate.ended_at.unwrap_or(candidate.created),
                Stage::Live | Stage::Waiting => candidate.created,
            };
            (stage, moment, candidate.subscription_id)
        })
        .map(|candidate| candidate.subscription_id)
}

/// How many of them are live: more than one is an incident.
pub fn live(candidates: &[Candidate<'_>]) -> usize {
    candidates.iter().filter(|candidate| stage(candidate.status) == Stage::Live).count()
}

/// What a status is good for, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Over.
    Ended,
    /// Not over, but gives no access.
    Waiting,
    /// Gives access (`past_due` within its days of grace).
    Live,
}

/// What a status is good for.
pub const fn stage(status: SubscriptionStatus) -> Stage {
    match status {
        SubscriptionStatus::Trialing | SubscriptionStatus::Active | SubscriptionStatus::PastDue => Stage::Live,
        SubscriptionStatus::Unpaid | SubscriptionStatus::Paused | SubscriptionStatus::Incomplete => Stage::Waiting,
        SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired => Stage::Ended,
    }
}
