//! From facts to what an org may use, and until when that answer holds.

use super::grants::granted;
use super::{Limit, OrgFacts, OverrideChange, Resolved, ScheduledChange, SubscriptionState};
use crate::billing::SubscriptionStatus;
use crate::catalog::{DenyStatus, FeatureValue, OnUnavailable, Plan};
use crate::ids::{FeatureCode, Metric, PlanCode};
use crate::paid::taken_off;
use crate::period::{Interval, Period, quota_period};
use crate::subscription::{Access, access, grace_end, status_at};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the org may use at `now`, from what is known at this moment.
///
/// The answer is a function of time as well: it changes by itself at [`Resolved::valid_until`] and not before.
pub fn resolve(facts: &OrgFacts, now: Timestamp) -> Resolved {
    let closed = Resolved {
        access: access(facts, now),
        status: facts.subscription.as_ref().map(|s| status_at(s, facts.has_default_payment_method, now)),
        plan_code: None,
        plan_version: None,
        trial_of: None,
        period: None,
        subscription_id: None,
        limits: BTreeMap::new(),
        deny_status: facts.plan.as_ref().map_or_else(DenyStatus::default, |plan| plan.deny_status),
        on_unavailable: OnUnavailable::Refuse,
        features: BTreeMap::new(),
        strict: facts.strict_quota,
        spend_cap: None,
        scheduled: None,
        valid_until: valid_until(facts, None, now),
    };
    match (closed.access, &facts.subscription, &facts.plan) {
        (Access::Allowed, Some(subscription), Some(plan)) => {
            let terms = terms(facts, subscription, plan, now);
            Resolved {
                plan_code: Some(terms.plan.code.clone()),
                plan_version: Some(terms.plan.version),
                trial_of: terms.trial_of.clone(),
                period: Some(terms.period),
                subscription_id: Some(subscription.subscription_id.clone()),
                limits: limits(facts, &terms, now),
                deny_status: terms.plan.deny_status,
                on_unavailable: terms.plan.on_unavailable,
                features: features(facts, &terms.plan, now),
                spend_cap: spend_cap(facts, &terms.plan),
                scheduled: scheduled(subscription, now),
                valid_until: valid_until(facts, Some(terms.period), now),
                ..closed
            }
        }
        _ => closed,
    }
}

/// The plan and period in force.
struct Terms {
    plan: Arc<Plan>,
    trial_of: Option<PlanCode>,
    period: Period,
}

fn terms(facts: &OrgFacts, subscription: &SubscriptionState, plan: &Arc<Plan>, now: Timestamp) -> Terms {
    if let Some(trial) = subscription.running_trial().filter(|trial| now < trial.end) {
        let trial_plan = facts.trial_plan.as_ref().unwrap_or(plan);
        return Terms { plan: Arc::clone(trial_plan), trial_of: Some(plan.code.clone()), period: trial };
    }
    let plan = match &subscription.pending {
        Some(pending) if pending.at <= now => Arc::clone(&pending.plan),
        _ => Arc::clone(plan),
    };
    Terms { plan, trial_of: None, period: paid_period(subscription, now) }
}

/// The quota period of a paid plan: Stripe's item period, cut into months where it is a year; after its end, while nothing newer
/// is known, the month steps that Stripe will take as well.
fn paid_period(subscription: &SubscriptionState, now: Timestamp) -> Period {
    let item = subscription.item_period;
    if let Some(trial) = subscription.running_trial() {
        let paid = Period::new(trial.end, Timestamp::MAX);
        return quota_period(trial.end, now).within(paid);
    }
    if now >= item.end {
        return quota_period(subscription.anchor, now).within(Period::new(item.end, Timestamp::MAX));
    }
    // A clock that lags behind Stripe's start of the period belongs to the period's first month.
    let period = match subscription.interval {
        Interval::Month => item,
        Interval::Year => quota_period(subscription.anchor, now.max(item.start)).within(item),
    };
    // Stripe counts whole seconds: a trial that ended within its first one began at the very moment the paid period does. They
    // are two periods all the same.
    match subscription.trial {
        Some(trial) if trial.start == period.start => {
            Period::new(period.start.plus(Duration::from_micros(1)), period.end)
        }
        Some(_) | None => period,
    }
}

fn limits(facts: &OrgFacts, terms: &Terms, now: Timestamp) -> BTreeMap<Metric, Limit> {
    let metrics: BTreeSet<&Metric> = facts.metrics.iter().chain(terms.plan.allowances.keys()).collect();
    metrics.into_iter().map(|metric| (metric.clone(), limit(facts, terms, metric, now))).collect()
}

fn limit(facts: &OrgFacts, terms: &Terms, metric: &Metric, now: Timestamp) -> Limit {
    let allowance = terms.plan.allowance(metric);
    let mut limit = Limit {
        included: allowance.included.units(),
        granted: 0,
        policy: allowance.policy,
        override_id: None,
        draws: terms.plan.draws(metric),
    };
    limit.included = limit.included.map(|included| included - taken_off(included, owed(facts, metric, terms.period)));
    for (id, change) in in_force(facts, now) {
        match change {
            OverrideChange::Included { metric: named, units } if named == metric => limit.included = *units,
            OverrideChange::Policy { metric: named, policy } if named == metric => limit.policy = *policy,
            OverrideChange::Included { .. } | OverrideChange::Policy { .. } | OverrideChange::Feature { .. } => {
                continue;
            }
        }
        limit.override_id = Some(id.to_owned());
    }
    limit.granted = granted(&facts.grants, metric, terms.period, now);
    limit
}

/// What is owed in a period: as it stood when that began.
fn owed(facts: &OrgFacts, metric: &Metric, period: Period) -> i64 {
    let known = facts.debts.iter().filter(|debt| debt.metric == *metric && debt.since <= period.start);
    known.max_by_key(|debt| debt.since).map_or(0, |debt| debt.units)
}

/// The org's cap, where it is in the currency the plan's overage is charged in.
fn spend_cap(facts: &OrgFacts, plan: &Plan) -> Option<i64> {
    let currency = plan.prices.first()?.amount.currency;
    facts.spend_cap.filter(|cap| cap.currency == currency).map(|cap| cap.minor)
}

fn features(facts: &OrgFacts, plan: &Plan, now: Timestamp) -> BTreeMap<FeatureCode, FeatureValue> {
    let mut features = plan.features.clone();
    for (_, change) in in_force(facts, now) {
        match change {
            OverrideChange::Feature { feature, value } => {
                features.insert(feature.clone(), value.clone());
            }
            OverrideChange::Included { .. } | OverrideChange::Policy { .. } => {}
        }
    }
    features
}

/// The overrides in force, in the order they were made.
fn in_force(facts: &OrgFacts, now: Timestamp) -> impl Iterator<Item = (&str, &OverrideChange)> {
    facts
        .overrides
        .iter()
        .filter(move |exception| exception.from <= now && exception.until.is_none_or(|until| now < until))
        .map(|exception| (exception.id.as_str(), &exception.change))
}

fn scheduled(subscription: &SubscriptionState, now: Timestamp) -> Option<ScheduledChange> {
    if let Some(at) = subscription.cancel_at.filter(|at| *at > now) {
        return Some(ScheduledChange { plan_code: None, at });
    }
    let pending = subscription.pending.as_ref().filter(|pending| pending.at > now)?;
    Some(ScheduledChange { plan_code: Some(pending.plan.code.clone()), at: pending.at })
}

/// The first moment after `now` at which anything in the facts takes effect or ends.
fn valid_until(facts: &OrgFacts, period: Option<Period>, now: Timestamp) -> Timestamp {
    let grace_days = facts.plan.as_ref().map_or(0, |plan| plan.grace_days);
    let of_subscription = facts.subscription.iter().flat_map(|subscription| {
        let grace = match subscription.status {
            SubscriptionStatus::PastDue => Some(grace_end(subscription, grace_days)),
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired => None,
        };
        [
            grace,
            subscription.running_trial().map(|trial| trial.end),
            subscription.cancel_at,
            subscription.ended_at,
            subscription.pending.as_ref().map(|pending| pending.at),
        ]
    });
    let of_overrides = facts.overrides.iter().flat_map(|exception| [Some(exception.from), exception.until]);
    let of_grants = facts.grants.iter().flat_map(|grant| [Some(grant.from), grant.until]);
    of_subscription
        .chain(of_overrides)
        .chain(of_grants)
        .chain([period.map(|period| period.end)])
        .flatten()
        .filter(|moment| *moment > now)
        .min()
        .unwrap_or(Timestamp::MAX)
}
