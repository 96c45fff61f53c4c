//! Moves existing subscriptions to the newest version of their plan. Without it they stay on the version they were sold.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{ItemChange, Proration, SubscriptionChange};
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::{CustomerId, Metric, OrgId, PlanCode, SubscriptionId};

use super::apply_fact::Cause;
use super::create::standing;
use super::sync::{stop, sync};
use super::{Error, entitlements, sql};
use crate::access::{OperatorScope, OrgRef, OrgScope};
use crate::db;
use crate::engine::Engine;
use crate::operations::{self, Code, Kind, NewOperation, Refusal, Run, Stop};
use crate::{audit, plans};

/// Orgs of one call; the answer says how many are left.
const ORGS_MAX: usize = 100;

/// Which subscriptions are to be moved.
#[derive(Debug, Clone)]
pub struct Migrate {
    /// The plan whose older versions are left.
    pub plan_code: PlanCode,
    /// Only these orgs; all when left out.
    pub orgs: Option<Vec<OrgId>>,
    /// Why; kept in the audit journal.
    pub reason: String,
}

/// What would become, or became, of an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Whose subscription.
    pub org_id: OrgId,
    /// The version it was sold.
    pub from_version: u32,
    /// Metrics of which it has used more than the new version includes.
    pub over: Vec<Metric>,
    /// Why it did not move; nothing: it did, or would.
    pub failed: Option<String>,
}

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The newest version.
    pub to_version: u32,
    /// Org by org.
    pub orgs: Vec<Moved>,
    /// Orgs that are still on older versions and were not looked at; call again.
    pub remaining: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    subscription_id: SubscriptionId,
    version: u32,
    change: SubscriptionChange,
}

/// Who would be moved, and who has used more than the new version includes. Changes nothing.
///
/// # Errors
/// [`Error::UnknownPlan`], or the database's.
pub async fn preview_migration(engine: &Engine, scope: &OperatorScope, wanted: &Migrate) -> Result<Migrated, Error> {
    let plan = newest(engine, wanted)?;
    let (found, remaining) = on_older(engine, &plan, wanted).await?;
    let mut orgs = Vec::new();
    for (org, from_version) in found {
        let of = scope.scope_of(org);
        orgs.push(looked_at(engine, &of, &plan, from_version).await?);
    }
    Ok(Migrated { to_version: plan.version, orgs, remaining })
}

/// Moves subscriptions to the newest version of their plan, without proration: the new price counts from the next renewal, the new
/// limits at once.
///
/// # Errors
/// [`Error::UnknownPlan`], or the database's. What goes wrong with one org stands in its line.
pub async fn migrate(engine: &Engine, scope: &OperatorScope, wanted: &Migrate) -> Result<Migrated, Error> {
    let plan = newest(engine, wanted)?;
    let (found, remaining) = on_older(engine, &plan, wanted).await?;
    let mut orgs = Vec::new();
    for (org, from_version) in found {
        let of = scope.scope_of(org);
        let mut line = looked_at(engine, &of, &plan, from_version).await?;
        match Box::pin(move_one(engine, &of, &plan, &wanted.reason)).await {
            Ok(()) => {}
            Err(Error::Database(error)) => return Err(error.into()),
            Err(error) => line.failed = Some(error.to_string()),
        }
        orgs.push(line);
    }
    Ok(Migrated { to_version: plan.version, orgs, remaining })
}

fn newest(engine: &Engine, wanted: &Migrate) -> Result<Plan, Error> {
    plans::catalog(engine).plan(wanted.plan_code.as_str()).cloned().ok_or(Error::UnknownPlan)
}

/// The orgs on older versions, up to the bound of one call, and how many more there are.
async fn on_older(engine: &Engine, plan: &Plan, wanted: &Migrate) -> Result<(Vec<(OrgRef, u32)>, i64), Error> {
    let mut connection = engine.db().read().await?;
    let mut found = sql::on_older_versions(&mut connection, &plan.code, plan.version).await?;
    if let Some(orgs) = &wanted.orgs {
        found.retain(|(org, _)| orgs.contains(&org.id));
    }
    let remaining = i64::try_from(found.len().saturating_sub(ORGS_MAX)).unwrap_or(i64::MAX);
    found.truncate(ORGS_MAX);
    Ok((found, remaining))
}

async fn looked_at(engine: &Engine, of: &OrgScope, plan: &Plan, from_version: u32) -> Result<Moved, Error> {
    let now = entitlements(engine, of, None).await?;
    let exceeds = |numbers: &&super::MetricEntitlement| {
        let included = plan.allowance(&numbers.metric).included.units();
        included.is_some_and(|included| numbers.used > included.saturating_add(numbers.granted))
    };
    let over = match now.trial_of {
        Some(_) => Vec::new(),
        None => now.metrics.iter().filter(exceeds).map(|numbers| numbers.metric.clone()).collect(),
    };
    Ok(Moved { org_id: of.org_id().clone(), from_version, over, failed: None })
}

async fn move_one(engine: &Engine, of: &OrgScope, plan: &Plan, reason: &str) -> Result<(), Error> {
    let found = standing(engine, of).await?;
    let customer = found.customer.as_ref().filter(|customer| !customer.deleted).ok_or(Error::NoSubscription)?;
    let mirror = found.mirror.as_ref().ok_or(Error::NoSubscription)?;
    let price_id = plans::price_for(engine, plan, mirror.interval).await?.ok_or(Error::UnknownPlan)?;
    let frozen = Frozen {
        customer_id: customer.customer_id.clone(),
        subscription_id: mirror.subscription_id.clone(),
        version: plan.version,
        change: SubscriptionChange {
            item: Some(ItemChange { item_id: mirror.item_id.clone(), price_id, quantity: mirror.quantity }),
            proration: Some(Proration::Nothing),
            ..SubscriptionChange::default()
        },
    };
    let body = serde_json::to_value(&frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::PlanMigrate, dedupe_key: "plan".to_owned(), body };
    let entry = audit::Entry::of(of, "plans.migrate", mirror.subscription_id.as_str())
        .before(json!({ "plan": mirror.plan }))
        .after(json!({ "planCode": plan.code, "version": plan.version, "reason": reason }));
    let (inner, by) = (engine.clone(), of.clone());
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        if matches!(begun, operations::Begun::New(_)) {
            audit::append(&inner, &mut tx, entry).await?;
        }
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    operations::drive(engine, begun).await?;
    Ok(())
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { customer_id, subscription_id, version, change } = run.body()?;
    let engine = run.engine().clone();
    let cause = Cause::Change(run.scope().clone());
    let sent = run
        .step("subscription", |key| async move {
            // After a lost answer of long ago: the price may be there already.
            let now = engine.billing().subscription(&subscription_id).await.map_err(stop)?;
            let now = now.ok_or_else(|| {
                let message = "the subscription does not exist any more".to_owned();
                Stop::Refused(Refusal { code: Code::Missing, message, reason: None, client_secret: None })
            })?;
            if change.item.as_ref().map(|item| &item.price_id) == Some(&now.price_id) {
                return Ok(());
            }
            engine.billing().update_subscription(&key, &subscription_id, &change).await.map_err(stop)?;
            Ok(())
        })
        .await;
    let synced = sync(run.engine(), cause, &customer_id).await;
    sent?;
    synced?;
    Ok(json!({ "version": version }))
}
