//! The ledger, for the operator's commands.

use serde_json::{Value, json};
use tollgate_engine::access::OrgRef;
use tollgate_engine::paging::Paging;
use tollgate_engine::{Engine, ledger, orgs};
use tollgate_rules::access::Permission;

use super::execute::{caller, operator, org};
use crate::failure::{Exit, Failure};

/// A decision in words, from its receipt.
pub(super) fn explain(engine: &Engine, receipt: &str) -> Result<Value, Failure> {
    let told = ledger::explain_to(engine, &caller(), receipt).map_err(|error| match error {
        ledger::Error::BadReceipt => Failure::new("this is no receipt of this server")
            .exit(Exit::NotFound)
            .remedy("Copy the whole Tollgate-Receipt header, and ask the server that gave it."),
        other => Failure::new(other.to_string()),
    })?;
    let numbers = told.numbers.as_ref().map(|numbers| {
        json!({"included": numbers.included, "granted": numbers.granted, "used": numbers.used, "held": numbers.held,
            "remaining": numbers.remaining, "periodKey": numbers.period_key, "resetAt": numbers.reset_at})
    });
    Ok(json!({
        "orgId": told.org_id,
        "verb": told.verb,
        "allowed": told.allowed,
        "reason": told.reason,
        "metric": told.metric,
        "units": told.units,
        "decidedAt": told.decided_at,
        "planCode": told.plan_code,
        "numbers": numbers,
        "rule": told.rule,
    }))
}

/// Compares counters with events.
pub(super) async fn verify(engine: &Engine, org_id: Option<&str>) -> Result<Value, Failure> {
    let scope = operator(Permission::UsageCorrect)?;
    let org = match org_id {
        Some(id) => Some(reference(engine, id).await?),
        None => None,
    };
    let verified =
        ledger::verify(engine, &scope, org.as_ref()).await.map_err(Failure::during("verifying the ledger"))?;
    Ok(shown(&verified))
}

/// Makes counters anew, for one org or one after the other for all.
pub(super) async fn rebuild(engine: &Engine, org_id: Option<&str>) -> Result<Value, Failure> {
    let scope = operator(Permission::UsageCorrect)?;
    let ids = match org_id {
        Some(id) => vec![id.to_owned()],
        None => all_orgs(engine).await?,
    };
    let mut sum = ledger::Verified::default();
    for id in &ids {
        let org = reference(engine, id).await?;
        let one = ledger::rebuild(engine, &scope, &org).await.map_err(Failure::during(format!("rebuilding {id}")))?;
        sum.counters += one.counters;
        sum.events += one.events;
        sum.units += one.units;
        sum.drift += one.drift;
        sum.drifts.extend(one.drifts);
    }
    Ok(shown(&sum))
}

async fn reference(engine: &Engine, id: &str) -> Result<OrgRef, Failure> {
    let scope = org(engine, Permission::UsageCorrect, id).await?;
    Ok(OrgRef { key: scope.org_key(), id: scope.org_id().clone() })
}

async fn all_orgs(engine: &Engine) -> Result<Vec<String>, Failure> {
    let scope = operator(Permission::OrgsList)?;
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let paging = Paging::new(Some(200), cursor.as_deref()).map_err(Failure::during("listing orgs"))?;
        let page = orgs::list(engine, &scope, &orgs::Filter::default(), &paging).await;
        let page = page.map_err(Failure::during("listing orgs"))?;
        ids.extend(page.items.iter().map(|org| org.org_id.to_string()));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(ids),
        }
    }
}

fn shown(verified: &ledger::Verified) -> Value {
    let drifts: Vec<Value> = verified
        .drifts
        .iter()
        .map(|drift| {
            json!({"org": drift.org_key, "period": drift.period_no, "metric": drift.metric, "number": drift.number,
                "stored": drift.stored, "counted": drift.counted})
        })
        .collect();
    json!({
        "ok": drifts.is_empty(),
        "counters": verified.counters,
        "events": verified.events,
        "units": verified.units,
        "drift": verified.drift,
        "drifts": drifts,
    })
}
