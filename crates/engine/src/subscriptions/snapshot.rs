//! What decided an org's rights from some moment on, kept so that any past moment can be answered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::Plan;
use tollgate_rules::entitlement::{Grant, OrgFacts, OrgStatus, Override, PendingPlan, SubscriptionState};
use tollgate_rules::ids::{Metric, OrgKey, SubscriptionId};
use tollgate_rules::money::Money;
use tollgate_rules::paid::Debt;
use tollgate_rules::period::{Interval, Period};
use tollgate_rules::time::Timestamp;

use super::sql;
use crate::db::{Connection, Error, Tx};
use crate::engine::Engine;
use crate::plans;

/// The facts with plans by version instead of by content: versions never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot {
    org_status: OrgStatus,
    subscription: Option<Subscription>,
    has_default_payment_method: bool,
    plan: Option<(String, u32)>,
    trial_plan: Option<(String, u32)>,
    metrics: Vec<Metric>,
    overrides: Vec<Override>,
    grants: Vec<Grant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    debts: Vec<Debt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spend_cap: Option<Money>,
    strict_quota: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subscription {
    subscription_id: SubscriptionId,
    status: SubscriptionStatus,
    interval: Interval,
    quantity: i64,
    anchor: Timestamp,
    item_period: Period,
    trial: Option<Period>,
    cancel_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    past_due_since: Option<Timestamp>,
    pending: Option<(Timestamp, String, u32)>,
}

/// Remembers what decides an org's rights from `now` on, if it differs from what did before. Called under the org's lock by whoever
/// resolves them anew.
pub(crate) async fn remember(tx: &mut Tx, org_key: OrgKey, facts: &OrgFacts, now: Timestamp) -> Result<(), Error> {
    let text =
        serde_json::to_string(&Snapshot::of(facts)).map_err(|error| Error::Bug(format!("a snapshot: {error}")))?;
    let last = sql::last_snapshot(tx, org_key).await?;
    if last.as_ref().is_some_and(|last| last.facts == text) {
        return Ok(());
    }
    let entry_no = last.as_ref().map_or(1, |last| last.entry_no + 1);
    // A clock that went back does not change what was in force before.
    let known_from = last.map_or(now, |last| last.known_from.max(now));
    sql::add_snapshot(tx, org_key, &sql::SnapshotRow { entry_no, known_from, facts: text }).await
}

/// What decided the org's rights at a past moment, and since when; nothing before anything was known.
pub(super) async fn facts_at(
    engine: &Engine,
    connection: &mut Connection,
    org_key: OrgKey,
    at: Timestamp,
) -> Result<Option<(OrgFacts, Timestamp)>, Error> {
    let Some(row) = sql::snapshot_at(connection, org_key, at).await? else { return Ok(None) };
    let snapshot: Snapshot =
        serde_json::from_str(&row.facts).map_err(|error| Error::Bug(format!("a stored snapshot: {error}")))?;
    Ok(Some((snapshot.facts(engine, connection).await?, row.known_from)))
}

/// Since when the latest snapshot decides.
pub(super) async fn known_from(connection: &mut Connection, org_key: OrgKey) -> Result<Option<Timestamp>, Error> {
    Ok(sql::last_snapshot(connection, org_key).await?.map(|row| row.known_from))
}

impl Snapshot {
    fn of(facts: &OrgFacts) -> Snapshot {
        let sold = |plan: &Option<Arc<Plan>>| plan.as_ref().map(|plan| (plan.code.to_string(), plan.version));
        Snapshot {
            org_status: facts.org_status,
            subscription: facts.subscription.as_ref().map(Subscription::of),
            has_default_payment_method: facts.has_default_payment_method,
            plan: sold(&facts.plan),
            trial_plan: sold(&facts.trial_plan),
            metrics: facts.metrics.iter().cloned().collect(),
            overrides: facts.overrides.clone(),
            grants: facts.grants.clone(),
            debts: facts.debts.clone(),
            spend_cap: facts.spend_cap,
            strict_quota: facts.strict_quota,
        }
    }

    async fn facts(self, engine: &Engine, connection: &mut Connection) -> Result<OrgFacts, Error> {
        let plan = match self.plan {
            Some((code, version)) => plans::version(engine, connection, &code, version).await?,
            None => None,
        };
        let trial_plan = match self.trial_plan {
            Some((code, version)) => plans::version(engine, connection, &code, version).await?,
            None => None,
        };
        let subscription = match self.subscription {
            Some(subscription) => Some(subscription.state(engine, connection).await?),
            None => None,
        };
        Ok(OrgFacts {
            org_status: self.org_status,
            subscription,
            has_default_payment_method: self.has_default_payment_method,
            plan,
            trial_plan,
            metrics: self.metrics.into_iter().collect(),
            overrides: self.overrides,
            grants: self.grants,
            debts: self.debts,
            spend_cap: self.spend_cap,
            strict_quota: self.strict_quota,
        })
    }
}

impl Subscription {
    fn of(state: &SubscriptionState) -> Subscription {
        let pending = state.pending.as_ref();
        Subscription {
            subscription_id: state.subscription_id.clone(),
            status: state.status,
            interval: state.interval,
            quantity: state.quantity,
            anchor: state.anchor,
            item_period: state.item_period,
            trial: state.trial,
            cancel_at: state.cancel_at,
            ended_at: state.ended_at,
            past_due_since: state.past_due_since,
            pending: pending.map(|pending| (pending.at, pending.plan.code.to_string(), pending.plan.version)),
        }
    }

    async fn state(self, engine: &Engine, connection: &mut Connection) -> Result<SubscriptionState, Error> {
        let pending = match self.pending {
            Some((at, code, version)) => {
                plans::version(engine, connection, &code, version).await?.map(|plan| PendingPlan { at, plan })
            }
            None => None,
        };
        Ok(SubscriptionState {
            subscription_id: self.subscription_id,
            status: self.status,
            interval: self.interval,
            quantity: self.quantity,
            anchor: self.anchor,
            item_period: self.item_period,
            trial: self.trial,
            cancel_at: self.cancel_at,
            ended_at: self.ended_at,
            past_due_since: self.past_due_since,
            pending,
        })
    }
}
