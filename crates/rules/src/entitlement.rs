//! What an org may use now: its subscription, plan, overrides and grants, resolved.
//!
//! [`resolve`] works from stored facts alone, so the first event after a boundary opens the right period before any job or
//! webhook did, also after a server slept through several of them. Stripe's answer confirms it later.

#[cfg(test)]
mod tests;

mod grants;
mod resolve;

pub use grants::{Drawn, Spent, draw, grants_in_order};
pub use resolve::resolve;

use crate::billing::SubscriptionStatus;
use crate::catalog::{DenyStatus, Draws, FeatureValue, OnUnavailable, OveragePolicy, Plan};
use crate::ids::{FeatureCode, Metric, PlanCode, SubscriptionId};
use crate::money::Money;
use crate::paid::Debt;
use crate::period::{Interval, Period};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything known about an org that decides what it may use.
#[derive(Clone, Debug)]
pub struct OrgFacts {
    /// The org's own status.
    pub org_status: OrgStatus,
    /// The subscription that counts, if there ever was one.
    pub subscription: Option<SubscriptionState>,
    /// Whether the next invoice can be paid by itself.
    pub has_default_payment_method: bool,
    /// The plan version of the subscription's price.
    pub plan: Option<Arc<Plan>>,
    /// The plan version whose limits hold in a trial.
    pub trial_plan: Option<Arc<Plan>>,
    /// Every metric of the catalog: those a plan does not name are included with 0.
    pub metrics: BTreeSet<Metric>,
    /// The operator's exceptions, in the order they were made; later ones win.
    pub overrides: Vec<Override>,
    /// Extra units.
    pub grants: Vec<Grant>,
    /// Units that were used and not paid for, taken off by period.
    pub debts: Vec<Debt>,
    /// The most that the org lets overage cost in a quota period.
    pub spend_cap: Option<Money>,
    /// Whether quota denials are enforced; `false` is shadow mode.
    pub strict_quota: bool,
}

/// The status of an org.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrgStatus {
    /// In use.
    #[default]
    Active,
    /// Stopped by the operator.
    Suspended,
    /// Deleted by its owner or the operator; its ledger stays.
    Closed,
}

impl OrgStatus {
    /// The word it is written as.
    pub const fn as_str(self) -> &'static str {
        match self {
            OrgStatus::Active => "active",
            OrgStatus::Suspended => "suspended",
            OrgStatus::Closed => "closed",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(OrgStatus::Active),
            "suspended" => Some(OrgStatus::Suspended),
            "closed" => Some(OrgStatus::Closed),
            _ => None,
        }
    }
}

/// Our mirror of the subscription that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// Its id at Stripe.
    pub subscription_id: SubscriptionId,
    /// Its status at the last fetch.
    pub status: SubscriptionStatus,
    /// How often it is charged.
    pub interval: Interval,
    /// Seats.
    pub quantity: i64,
    /// The original anchor of its cycle.
    pub anchor: Timestamp,
    /// The item's period at the last fetch.
    pub item_period: Period,
    /// Its trial, past or present.
    pub trial: Option<Period>,
    /// When it ends by itself.
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When the payment failed that has not been made up for.
    pub past_due_since: Option<Timestamp>,
    /// The plan it changes to by itself.
    pub pending: Option<PendingPlan>,
}

impl SubscriptionState {
    /// The trial it is in, while its status at the last fetch was `trialing`: its own dates, else the item's period.
    pub fn running_trial(&self) -> Option<Period> {
        (self.status == SubscriptionStatus::Trialing).then(|| self.trial.unwrap_or(self.item_period))
    }
}

/// A plan that a subscription changes to by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPlan {
    /// From when on.
    pub at: Timestamp,
    /// The plan that comes.
    pub plan: Arc<Plan>,
}

/// An operator's exception for one org.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Its id.
    pub id: String,
    /// What it replaces.
    pub change: OverrideChange,
    /// From when on.
    pub from: Timestamp,
    /// Until when; nothing: permanent.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// What an override replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideChange {
    /// The included units of a metric; `None`: no limit.
    Included {
        /// The metric.
        metric: Metric,
        /// Included units instead of the plan's.
        units: Option<i64>,
    },
    /// What happens beyond the included units of a metric.
    Policy {
        /// The metric.
        metric: Metric,
        /// The policy instead of the plan's.
        policy: OveragePolicy,
    },
    /// The value of a feature.
    Feature {
        /// The feature.
        feature: FeatureCode,
        /// Its value instead of the plan's.
        value: FeatureValue,
    },
}

/// Extra units of one metric for one org.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Of what.
    pub metric: Metric,
    /// How many were given.
    pub units: i64,
    /// How many were used up, in whatever period.
    pub consumed: i64,
    /// Of these, what was used up in the newest period it was used in, and when that period began.
    #[serde(default)]
    pub newest: Option<(Timestamp, i64)>,
    /// Lower is used first.
    pub priority: i64,
    /// From when on.
    pub from: Timestamp,
    /// Until when; nothing: for good.
    pub until: Option<Timestamp>,
    /// The start of the only period it counts in; nothing: in any.
    #[serde(default)]
    pub only_in: Option<Timestamp>,
}

/// What an org may use, until [`Resolved::valid_until`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Whether it may use anything.
    pub access: crate::subscription::Access,
    /// The status of the subscription that counts, as time has changed it since the fetch; nothing: there never was one.
    pub status: Option<SubscriptionStatus>,
    /// The plan in force; nothing without access.
    pub plan_code: Option<PlanCode>,
    /// Its version.
    pub plan_version: Option<u32>,
    /// In a trial, the plan being tried.
    pub trial_of: Option<PlanCode>,
    /// The quota period; nothing without access.
    pub period: Option<Period>,
    /// The subscription the period belongs to.
    pub subscription_id: Option<SubscriptionId>,
    /// The limit of every metric; empty without access.
    pub limits: BTreeMap<Metric, Limit>,
    /// The status of a quota denial.
    pub deny_status: DenyStatus,
    /// What happens while storage cannot answer.
    pub on_unavailable: OnUnavailable,
    /// The features in force; empty without access.
    pub features: BTreeMap<FeatureCode, FeatureValue>,
    /// Whether quota denials are enforced.
    pub strict: bool,
    /// The most that overage may cost in the period, in minor units of the plan's currency.
    pub spend_cap: Option<i64>,
    /// The plan change that will come by itself.
    pub scheduled: Option<ScheduledChange>,
    /// Until when this holds, unless something is changed; [`Timestamp::MAX`]: for good.
    pub valid_until: Timestamp,
}

/// The limit of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Included units; nothing: no limit.
    pub included: Option<i64>,
    /// Units granted on top.
    pub granted: i64,
    /// What happens beyond them.
    pub policy: OveragePolicy,
    /// The override that set it.
    pub override_id: Option<String>,
    /// The pool that its units are taken from as well.
    pub draws: Option<Draws>,
}

/// A plan change that will come by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledChange {
    /// The plan that comes; nothing: the subscription ends.
    pub plan_code: Option<PlanCode>,
    /// From when on.
    pub at: Timestamp,
}
