//! The catalog: plans with prices, allowances and features, and the metrics they count.
//!
//! `plans.toml` is its single source of truth. A published plan is frozen as a version; editing it makes another version and
//! existing subscriptions stay on theirs.

#[cfg(test)]
mod tests;

mod parse;
mod pool;
mod topup;
mod tree;
mod write;

pub use pool::{Draws, Pools};
pub use topup::{Topup, TopupLasts};

use crate::ids::{FeatureCode, Metric, PlanCode, PriceId};
use crate::money::Money;
use crate::period::Interval;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All plans, cheapest rank first, and all metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The plans in the order of their rank.
    pub plans: Vec<Plan>,
    /// What can be counted, and what it is called.
    pub metrics: BTreeMap<Metric, MetricName>,
    /// What can be bought once, beside a plan.
    #[serde(default)]
    pub topups: Vec<Topup>,
}

/// How a metric is called on pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricName {
    /// Its name (`API calls`).
    pub name: String,
    /// One of it (`call`).
    pub unit: String,
}

/// A plan. As read from a file its version is 0; publishing gives it one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its code.
    pub code: PlanCode,
    /// Its version; 0 until it is published.
    pub version: u32,
    /// Its name on pages.
    pub name: String,
    /// Its place in the catalog: a plan of higher rank is an upgrade.
    pub rank: u32,
    /// The length of its own trial in days; nothing: as long as plan `trial` says.
    pub trial_days: Option<u32>,
    /// Whether customers can choose it by themselves.
    pub self_service: bool,
    /// Where to ask for it otherwise.
    pub contact_url: Option<String>,
    /// For how many days a failed payment leaves the access open.
    pub grace_days: u32,
    /// The status of a quota denial.
    pub deny_status: DenyStatus,
    /// What happens while storage cannot answer.
    pub on_unavailable: OnUnavailable,
    /// Whether a change that brings fresh units gives nothing back for a period whose units are used up ahead of its time. Left out
    /// of the frozen text where it is on, so that plans published before there was a choice read the same.
    #[serde(default = "on", skip_serializing_if = "is_on")]
    pub anti_arbitrage: bool,
    /// What it costs.
    pub prices: Vec<PlanPrice>,
    /// What it includes. A metric it does not name: 0, hard stop.
    pub allowances: BTreeMap<Metric, Allowance>,
    /// What several metrics draw on at fixed rates. Left out of the frozen text where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: Pools,
    /// Its capabilities.
    pub features: BTreeMap<FeatureCode, FeatureValue>,
}

const fn on() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
const fn is_on(value: &bool) -> bool {
    *value
}

/// The status of a quota denial; the code stays `quota_exceeded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum DenyStatus {
    /// 429.
    #[default]
    TooManyRequests,
    /// 402.
    PaymentRequired,
    /// 403.
    Forbidden,
}

impl DenyStatus {
    /// 429, 402 or 403.
    pub const fn code(self) -> u16 {
        match self {
            DenyStatus::TooManyRequests => 429,
            DenyStatus::PaymentRequired => 402,
            DenyStatus::Forbidden => 403,
        }
    }

    /// Reads 429, 402 or 403.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            429 => Some(DenyStatus::TooManyRequests),
            402 => Some(DenyStatus::PaymentRequired),
            403 => Some(DenyStatus::Forbidden),
            _ => None,
        }
    }
}

impl TryFrom<u16> for DenyStatus {
    type Error = String;
    fn try_from(code: u16) -> Result<Self, String> {
        Self::from_code(code.into()).ok_or_else(|| "deny_status is 429, 402 or 403".to_owned())
    }
}

impl From<DenyStatus> for u16 {
    fn from(status: DenyStatus) -> u16 {
        status.code()
    }
}

/// What happens while storage cannot answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// Nothing is let through: 503.
    #[default]
    Refuse,
    /// So many units are let through from a journaled emergency allowance.
    AllowBounded {
        /// The emergency allowance.
        units: i64,
    },
}

/// What a plan costs per interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPrice {
    /// How often it is charged.
    pub interval: Interval,
    /// The amount for one seat.
    pub amount: Money,
    /// The lookup key at Stripe (`plan_starter_m`).
    pub lookup_key: String,
    /// A price that already exists at Stripe and is used as it is.
    pub stripe_price: Option<PriceId>,
}

/// What a plan includes of one metric per quota period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// How much.
    pub included: Included,
    /// What happens beyond it.
    pub policy: OveragePolicy,
    /// What becomes of units that a period leaves unused; nothing: they are gone with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollover: Option<Rollover>,
}

/// Unused units that are carried over into the next periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollover {
    /// So many of one period at most.
    pub max: i64,
    /// For so many periods.
    pub periods: u32,
}

impl Allowance {
    /// Of a metric that a plan does not name.
    pub const NOTHING: Allowance =
        Allowance { included: Included::Units(0), policy: OveragePolicy::HardStop, rollover: None };
}

/// Included units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Included {
    /// So many.
    Units(i64),
    /// Any number.
    Unlimited,
}

impl Included {
    /// The number; nothing when there is no limit.
    pub const fn units(self) -> Option<i64> {
        match self {
            Included::Units(units) => Some(units),
            Included::Unlimited => None,
        }
    }
}

/// What happens beyond the included units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OveragePolicy {
    /// Calls are refused.
    HardStop,
    /// Calls pass and are charged by the block.
    Metered {
        /// The price of a block in minor units of the plan's currency.
        amount_minor: i64,
        /// The size of a block in units.
        per_units: i64,
    },
}

impl OveragePolicy {
    /// `HARD_STOP` or `METERED`, as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OveragePolicy::HardStop => "HARD_STOP",
            OveragePolicy::Metered { .. } => "METERED",
        }
    }
}

/// The value of a feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeatureValue {
    /// On or off.
    Bool(bool),
    /// How many.
    Number(i64),
    /// Which.
    Text(String),
}

/// Why a catalog cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plans.toml line {line}: {field}: {message}")]
pub struct CatalogError {
    /// The line, counted from 1.
    pub line: usize,
    /// The field, as a path (`plan.starter.price.amount`).
    pub field: String,
    /// What is wrong and how to fix it.
    pub message: String,
}

impl Catalog {
    /// Reads a catalog in the format of `plans.toml`.
    ///
    /// # Errors
    /// [`CatalogError`] for the first thing that is wrong: a key nobody knows, a code used twice, a negative amount, a metric
    /// that is not declared.
    pub fn parse(toml: &str) -> Result<Catalog, CatalogError> {
        parse::catalog(toml)
    }

    /// The catalog as the text of a `plans.toml`; reading it gives the same catalog again.
    pub fn to_toml(&self) -> String {
        write::catalog(self)
    }

    /// The text of the catalog that is built in.
    pub const fn default_text() -> &'static str {
        include_str!("../../../plans.toml")
    }

    /// The plan with this code.
    pub fn plan(&self, code: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.code.as_str() == code)
    }

    /// The plan whose limits hold during every trial.
    pub fn trial(&self) -> Option<&Plan> {
        self.plan(PlanCode::TRIAL)
    }

    /// The plan and price with this lookup key.
    pub fn price(&self, lookup_key: &str) -> Option<(&Plan, &PlanPrice)> {
        self.plans
            .iter()
            .flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)))
            .find(|(_, price)| price.lookup_key == lookup_key)
    }

    /// The top-up with this code.
    pub fn topup(&self, code: &str) -> Option<&Topup> {
        self.topups.iter().find(|topup| topup.code.as_str() == code)
    }

    /// How many days a trial of `plan` lasts; 0: it has none.
    pub fn trial_days(&self, plan: &Plan) -> u32 {
        plan.trial_days.or_else(|| self.trial()?.trial_days).unwrap_or(0)
    }
}

impl Plan {
    /// What it includes of a metric.
    pub fn allowance(&self, metric: &Metric) -> Allowance {
        match self.allowances.get(metric) {
            Some(own) => *own,
            // What draws on a pool has no limit of its own unless the plan names one.
            None if self.draws(metric).is_some() => Allowance { included: Included::Unlimited, ..Allowance::NOTHING },
            None => Allowance::NOTHING,
        }
    }

    /// The pool that a metric draws on.
    pub fn draws(&self, metric: &Metric) -> Option<Draws> {
        pool::draws(&self.pools, metric)
    }

    /// Its price for an interval.
    pub fn price(&self, interval: Interval) -> Option<&PlanPrice> {
        self.prices.iter().find(|price| price.interval == interval)
    }

    /// Whether both say the same, whatever their versions.
    pub fn same_content(&self, other: &Plan) -> bool {
        Plan { version: 0, ..self.clone() } == Plan { version: 0, ..other.clone() }
    }
}
