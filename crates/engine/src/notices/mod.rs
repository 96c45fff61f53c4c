//! What an org's people are told about its payments, by letter: owners and billing members, else the org's own address.
//! Table `billing_notices`.
//!
//! Words: an *occasion* is one failure, one recovery, one end of access, one trial; each is told once. What the mirror of a subscription
//! shows sets a job, and the job looks whether it is still so when its time comes.
//!
//! Invariants: the row of an occasion is written with its letters, so that it is told once whatever comes twice; nothing is told that
//! is not so any more.

mod letters;
mod plan;
pub(crate) mod sql;
mod tell;
#[cfg(test)]
mod tests;

pub(crate) use plan::plan;
pub(crate) use tell::tell;

use tollgate_rules::ids::SubscriptionId;
use tollgate_rules::time::Timestamp;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A payment failed; access goes on for the days of grace.
    PaymentFailed,
    /// What was owed is paid.
    PaymentRecovered,
    /// The days of grace are over, or billing gave up.
    AccessEnded,
    /// A trial ends in three days.
    TrialWillEnd,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::PaymentFailed, Kind::PaymentRecovered, Kind::AccessEnded, Kind::TrialWillEnd];

    const fn as_str(self) -> &'static str {
        match self {
            Kind::PaymentFailed => "payment_failed",
            Kind::PaymentRecovered => "payment_recovered",
            Kind::AccessEnded => "access_ended",
            Kind::TrialWillEnd => "trial_will_end",
        }
    }

    fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One thing that is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occasion {
    kind: Kind,
    subscription_id: SubscriptionId,
    /// Since when a payment is missing, or when the trial ends.
    moment: Timestamp,
}

impl Occasion {
    /// Its name beside its kind.
    fn name(&self) -> String {
        format!("{}:{}", self.subscription_id, self.moment.as_seconds())
    }

    /// The key of its job.
    fn key(&self) -> String {
        format!("{}:{}", self.kind.as_str(), self.name())
    }

    fn parse(key: &str) -> Option<Occasion> {
        let (kind, rest) = key.split_once(':')?;
        let (subscription, moment) = rest.rsplit_once(':')?;
        Some(Occasion {
            kind: Kind::parse(kind)?,
            subscription_id: SubscriptionId::parse(subscription).ok()?,
            moment: Timestamp::from_seconds(moment.parse().ok()?),
        })
    }
}
