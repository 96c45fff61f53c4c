//! What an org may use and has used, now or at any past moment.

use std::collections::BTreeMap;

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::{Draws, FeatureValue, OveragePolicy};
use tollgate_rules::entitlement::{OrgFacts, Resolved, ScheduledChange, resolve};
use tollgate_rules::ids::{FeatureCode, Metric, OrgId, OrgKey, PlanCode};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::subscription::Access;
use tollgate_rules::time::Timestamp;

use super::{facts, snapshot, sql};
use crate::access::OrgScope;
use crate::db::{Connection, Error};
use crate::engine::Engine;

/// What an org may use and has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlements {
    /// The org.
    pub org_id: OrgId,
    /// Whether it may use anything.
    pub access: Access,
    /// The status of the subscription that counts, else the last one's; nothing: there never was one.
    pub status: Option<SubscriptionStatus>,
    /// The plan in force; nothing without access.
    pub plan_code: Option<PlanCode>,
    /// Its version.
    pub plan_version: Option<u32>,
    /// In a trial, the plan being tried.
    pub trial_of: Option<PlanCode>,
    /// The quota period; nothing without access.
    pub period: Option<Period>,
    /// Its label.
    pub period_key: Option<PeriodKey>,
    /// Since when this is so: what is answered for any moment from then on until something changes.
    pub effective_at: Option<Timestamp>,
    /// The plan change that comes by itself.
    pub scheduled_change: Option<ScheduledChange>,
    /// Every metric's numbers; empty without access.
    pub metrics: Vec<MetricEntitlement>,
    /// The features in force; empty without access.
    pub features: BTreeMap<FeatureCode, FeatureValue>,
}

/// The numbers of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricEntitlement {
    /// The metric.
    pub metric: Metric,
    /// Included units; nothing: no limit.
    pub included: Option<i64>,
    /// Units granted on top.
    pub granted: i64,
    /// Units used in the period.
    pub used: i64,
    /// Units held in the period.
    pub held: i64,
    /// Used beyond the limit where that is charged.
    pub overage: i64,
    /// Used beyond the limit where it stops hard (forced, or the limit was lowered).
    pub overrun: i64,
    /// What is left; nothing: no limit.
    pub remaining: Option<i64>,
    /// What happens beyond the limit.
    pub policy: OveragePolicy,
    /// When the numbers start anew.
    pub reset_at: Timestamp,
    /// The pool that its units are taken from as well.
    pub draws: Option<Draws>,
}

impl Entitlements {
    /// The numbers of one metric.
    #[must_use]
    pub fn metric(&self, metric: &str) -> Option<&MetricEntitlement> {
        self.metrics.iter().find(|numbers| numbers.metric.as_str() == metric)
    }
}

/// What the org may use now; with `at`, what it could use and had used at that past moment (a later one is now).
///
/// # Errors
/// The database cannot answer.
pub async fn entitlements(engine: &Engine, scope: &OrgScope, at: Option<Timestamp>) -> Result<Entitlements, Error> {
    let now = engine.now();
    let past = at.filter(|at| *at < now);
    let moment = past.unwrap_or(now);
    let mut connection = engine.read_for(scope).await?;
    let (facts, known_from) = match past {
        Some(at) => snapshot::facts_at(engine, &mut connection, scope.org_key(), at).await?.unzip(),
        None => {
            let facts = facts::facts(engine, &mut connection, scope.org_key()).await?;
            (Some(facts), snapshot::known_from(&mut connection, scope.org_key()).await?)
        }
    };
    let Some(facts) = facts else { return Ok(nothing(scope)) };
    let resolved = resolve(&facts, moment);
    let (metrics, period_key) = match (resolved.period, &resolved.subscription_id) {
        (Some(period), Some(_)) => numbers(&mut connection, scope.org_key(), &resolved, period, past).await?,
        _ => (Vec::new(), None),
    };
    Ok(Entitlements {
        org_id: scope.org_id().clone(),
        access: resolved.access,
        status: resolved.status,
        plan_code: resolved.plan_code,
        plan_version: resolved.plan_version,
        trial_of: resolved.trial_of,
        period: resolved.period,
        period_key,
        effective_at: effective_at(&facts, resolved.period, known_from),
        scheduled_change: resolved.scheduled,
        metrics,
        features: resolved.features,
    })
}

/// Before anything was known about the org.
fn nothing(scope: &OrgScope) -> Entitlements {
    Entitlements {
        org_id: scope.org_id().clone(),
        access: Access::NoSubscription,
        status: None,
        plan_code: None,
        plan_version: None,
        trial_of: None,
        period: None,
        period_key: None,
        effective_at: None,
        scheduled_change: None,
        metrics: Vec::new(),
        features: BTreeMap::new(),
    }
}

/// The later of the period's start and the last change of what decides; a change learned before the period began counts from its
/// start.
fn effective_at(facts: &OrgFacts, period: Option<Period>, known_from: Option<Timestamp>) -> Option<Timestamp> {
    let ended = facts.subscription.as_ref().and_then(|subscription| subscription.ended_at);
    match period {
        Some(period) => Some(known_from.map_or(period.start, |known| known.max(period.start))),
        None => ended.or(known_from),
    }
}

/// The numbers of every metric and the label of the period. A period that nothing has opened yet is empty.
async fn numbers(
    connection: &mut Connection,
    org_key: OrgKey,
    resolved: &Resolved,
    period: Period,
    past: Option<Timestamp>,
) -> Result<(Vec<MetricEntitlement>, Option<PeriodKey>), Error> {
    let opened = match &resolved.subscription_id {
        Some(subscription_id) => sql::usage::period_of(connection, org_key, subscription_id, period.start).await?,
        None => None,
    };
    let mut counted: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let label = match opened {
        Some((period_no, label)) => {
            counted = usage(connection, org_key, period_no, past).await?;
            PeriodKey::parse(&label).map_err(|error| Error::Bug(error.to_string()))?
        }
        None => next_label(connection, org_key, period).await?,
    };
    let metrics = resolved
        .limits
        .iter()
        .map(|(metric, limit)| {
            let (used, held) = counted.get(metric.as_str()).copied().unwrap_or_default();
            let total = limit.included.map(|included| included.saturating_add(limit.granted));
            let beyond = total.map_or(0, |total| used.saturating_sub(total).max(0));
            let metered = matches!(limit.policy, OveragePolicy::Metered { .. });
            MetricEntitlement {
                metric: metric.clone(),
                included: limit.included,
                granted: limit.granted,
                used,
                held,
                overage: if metered { beyond } else { 0 },
                overrun: if metered { 0 } else { beyond },
                remaining: total.map(|total| total.saturating_sub(used).saturating_sub(held).max(0)),
                policy: limit.policy,
                reset_at: period.end,
                draws: limit.draws.clone(),
            }
        })
        .collect();
    Ok((paid_by_pools(metrics), Some(label)))
}

/// Of what draws on a pool no more is left than the pool pays for.
fn paid_by_pools(mut metrics: Vec<MetricEntitlement>) -> Vec<MetricEntitlement> {
    let left: BTreeMap<Metric, Option<i64>> = metrics.iter().map(|one| (one.metric.clone(), one.remaining)).collect();
    for one in &mut metrics {
        let Some(draws) = &one.draws else { continue };
        let paid = left.get(&draws.pool).copied().flatten().map(|left| left.div_euclid(draws.rate.max(1)));
        one.remaining = one.remaining.into_iter().chain(paid).min();
    }
    metrics
}

/// Used and held units per metric: from the counters now, from the events themselves at a past moment.
async fn usage(
    connection: &mut Connection,
    org_key: OrgKey,
    period_no: i64,
    past: Option<Timestamp>,
) -> Result<BTreeMap<String, (i64, i64)>, Error> {
    let Some(at) = past else {
        let counters = sql::usage::counters(connection, org_key, period_no).await?;
        return Ok(counters.into_iter().map(|(metric, used, held)| (metric, (used, held))).collect());
    };
    let mut counted: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for (metric, used) in sql::usage::used_at(connection, org_key, period_no, at).await? {
        counted.entry(metric).or_default().0 = used;
    }
    for (metric, held) in sql::usage::held_at(connection, org_key, period_no, at).await? {
        counted.entry(metric).or_default().1 = held;
    }
    Ok(counted)
}

/// The label that a period will get when it is opened.
async fn next_label(connection: &mut Connection, org_key: OrgKey, period: Period) -> Result<PeriodKey, Error> {
    let first = PeriodKey::label(period.start, 1);
    let taken = sql::usage::periods_in_month(connection, org_key, &first.to_string()).await?;
    let last = taken.iter().filter_map(|label| PeriodKey::parse(label).ok()).map(|key| key.nth()).max();
    Ok(PeriodKey::label(period.start, last.map_or(1, |last| last.saturating_add(1))))
}
