//! Schedules less for the end of the running period, and takes that back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{MeteredMove, PhaseItem};
use tollgate_rules::ids::{CustomerId, PlanCode, PriceId, SubscriptionId};
use tollgate_rules::period::Interval;
use tollgate_rules::quote::When;
use tollgate_rules::time::Timestamp;

use super::Error;
use super::apply_fact::Cause;
use super::create::standing;
use super::schedules::{Next, put, release};
use super::sync::sync;
use super::upgrade::give_up_waiting;
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Kind, NewOperation, Run, Stop};
use crate::quotes::{Wanted, weigh};

/// A change that happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// The plan it brings.
    pub plan_code: PlanCode,
    /// When.
    pub effective_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    subscription_id: SubscriptionId,
    plan_code: PlanCode,
    price_id: PriceId,
    next: PhaseItem,
    interval: Interval,
    fresh_anchor: bool,
    #[serde(default)]
    metered: Vec<MeteredMove>,
}

/// Schedules a lower plan, a shorter interval or fewer seats for the end of the running period. Nothing is charged or given back;
/// another change that was scheduled is replaced.
///
/// # Errors
/// As `quotes::weigh`; [`Error::IsUpgrade`] for what happens now instead; [`Error::Ending`] when the subscription ends then anyway.
pub async fn schedule_downgrade(engine: &Engine, scope: &OrgScope, wanted: &Wanted) -> Result<Scheduled, Error> {
    let weighed = weigh(engine, scope, wanted).await?;
    if weighed.when == When::Now {
        return Err(Error::IsUpgrade);
    }
    if let Some(at) = weighed.mirror.cancel_at {
        return Err(Error::Ending(at));
    }
    let Some(item) = weighed.change.item else { return Err(Error::AlreadyOnPlan) };
    let frozen = Frozen {
        customer_id: weighed.customer.customer_id,
        subscription_id: weighed.mirror.subscription_id,
        plan_code: weighed.plan.code,
        price_id: weighed.mirror.price_id,
        next: PhaseItem { price_id: item.price_id, quantity: Some(item.quantity) },
        interval: weighed.interval,
        fresh_anchor: weighed.interval != weighed.mirror.interval,
        metered: weighed.change.metered,
    };
    let outcome = begin_and_drive(engine, scope, Kind::PlanDowngrade, &frozen).await?;
    let effective_at = Timestamp::deserialize(&outcome["effectiveAt"])
        .map_err(|error| db::Error::Bug(format!("a stored outcome: {error}")))?;
    Ok(Scheduled { plan_code: frozen.plan_code, effective_at })
}

/// Takes back what was scheduled; where nothing was, nothing changes.
///
/// # Errors
/// [`Error::NoSubscription`]; [`Error::BillingUnavailable`]: it is taken back by itself.
pub async fn cancel_downgrade(engine: &Engine, scope: &OrgScope) -> Result<(), Error> {
    let found = standing(engine, scope).await?;
    let customer = found.customer.filter(|customer| !customer.deleted).ok_or(Error::NoSubscription)?;
    let mirror = found.mirror.ok_or(Error::NoSubscription)?;
    let frozen = FrozenKeep { customer_id: customer.customer_id, subscription_id: mirror.subscription_id };
    begin_and_drive(engine, scope, Kind::PlanKeep, &frozen).await.map(drop)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct FrozenKeep {
    customer_id: CustomerId,
    subscription_id: SubscriptionId,
}

async fn begin_and_drive(
    engine: &Engine,
    scope: &OrgScope,
    kind: Kind,
    frozen: &impl Serialize,
) -> Result<Value, Error> {
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind, dedupe_key: "plan".to_owned(), body: body.clone() };
    let begun = operations::begin_alone(engine, scope, operation).await?;
    if let operations::Begun::Running(other) = &begun
        && other.body != body
    {
        return Err(Error::Busy(other.operation_id.clone()));
    }
    Ok(operations::drive(engine, begun).await?)
}

/// The steps of scheduling.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let frozen: Frozen = run.body()?;
    point(run.engine(), "downgrade.begun").map_err(db::Error::from)?;
    // Who chooses less does not wait any more for more to be paid.
    give_up_waiting(run, &frozen.subscription_id).await?;
    let next = Next {
        in_place_of: frozen.price_id,
        item: frozen.next,
        interval: frozen.interval,
        fresh_anchor: frozen.fresh_anchor,
        metered: frozen.metered,
    };
    let put = put(run, &frozen.subscription_id, next).await;
    sync(run.engine(), Cause::Change(run.scope().clone()), &frozen.customer_id).await?;
    point(run.engine(), "downgrade.synced").map_err(db::Error::from)?;
    Ok(json!({ "effectiveAt": put?.end }))
}

/// The steps of taking back.
pub(crate) async fn keep(run: &mut Run<'_>) -> Result<Value, Stop> {
    let frozen: FrozenKeep = run.body()?;
    release(run, &frozen.subscription_id).await?;
    sync(run.engine(), Cause::Change(run.scope().clone()), &frozen.customer_id).await?;
    point(run.engine(), "downgrade.kept").map_err(db::Error::from)?;
    Ok(Value::Null)
}
