//! What another catalog would have meant, for the operator's commands.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_engine::Engine;
use tollgate_engine::plans::{self, Difference, OrgDifference};
use tollgate_rules::access::Permission;

use super::execute::operator;
use super::plans::{failed, parse};
use crate::failure::Failure;

/// Folds the ledger of so many seconds back through a catalog.
pub(super) async fn what_if(engine: &Engine, catalog: &str, seconds: u64) -> Result<Value, Failure> {
    let scope = operator(Permission::PlansPublish)?;
    let catalog = parse(catalog)?;
    let since = engine.now().minus(Duration::from_secs(seconds));
    let found = plans::what_if(engine, &scope, &catalog, since).await.map_err(|error| failed(&error))?;
    let by_currency: serde_json::Map<String, Value> =
        found.money.iter().map(|(currency, difference)| (currency.clone(), money(difference))).collect();
    let orgs: Vec<Value> = found.differing.iter().map(org).collect();
    Ok(json!({
        "since": since,
        "orgs": found.orgs,
        "orgsStopped": found.orgs_stopped,
        "callsRefused": found.calls_refused,
        "unitsRefused": found.units_refused,
        "money": by_currency,
        "differing": orgs,
    }))
}

fn money(difference: &Difference) -> Value {
    json!({
        "mrrBefore": difference.mrr_before,
        "mrrAfter": difference.mrr_after,
        "overageBefore": difference.overage_before,
        "overageAfter": difference.overage_after,
    })
}

fn org(one: &OrgDifference) -> Value {
    let stop = |stop: &plans::Stopped| {
        json!({
            "metric": stop.metric,
            "periodKey": stop.period_key.to_string(),
            "used": stop.used,
            "included": stop.total,
            "callsRefused": stop.calls_refused,
            "unitsRefused": stop.units_refused,
            "firstAt": stop.first_at,
        })
    };
    let stops: Vec<Value> = one.stops.iter().map(stop).collect();
    json!({"orgId": one.org_id, "plan": one.plan_code, "currency": one.currency, "money": money(&one.money), "stops": stops})
}
