//! The catalog, for the operator's commands.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_engine::Engine;
use tollgate_engine::access::OperatorScope;
use tollgate_engine::plans::{self, Diff, Error, FieldChange, PlanChange, PlanDiff, PublishError, Published};
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::Catalog;

use super::execute::operator;
use crate::failure::{Exit, Failure};

/// What publishing the catalog would change, here and at Stripe.
pub(super) async fn plan(engine: &Engine, catalog: &str) -> Result<Value, Failure> {
    let scope = operator(Permission::PlansPublish)?;
    let catalog = parse(catalog)?;
    // First what stands: a change between the two makes the saved plan stale, never wrong.
    let state = plans::state(engine, &scope, &catalog).await.map_err(|error| failed(&error))?;
    let diff = plans::diff(engine, &scope, &catalog).await.map_err(|error| failed(&error))?;
    let changes: Vec<Value> = diff.plans.iter().map(change).collect();
    let prices: Vec<Value> = diff
        .prices
        .iter()
        .map(|price| json!({"plan": price.code, "lookupKey": price.lookup_key, "replaces": price.replaces}))
        .collect();
    let others = diff.others.iter().map(|one| json!({"what": one.what, "before": one.before, "after": one.after}));
    let others: Vec<Value> = others.collect();
    Ok(json!({
        "pending": !diff.is_empty(), "plans": changes, "prices": prices, "others": others, "impact": impact(&diff), "state": state,
    }))
}

/// Whom it concerns, all plans together.
fn impact(diff: &Diff) -> Value {
    let staying: i64 = diff.plans.iter().flat_map(|plan| &plan.orgs_staying).map(|(_, orgs)| orgs).sum();
    let over: i64 = diff.plans.iter().flat_map(|plan| &plan.orgs_over).map(|(_, orgs)| orgs).sum();
    json!({"orgsStaying": staying, "orgsOver": over})
}

fn change(diff: &PlanDiff) -> Value {
    let staying: Vec<Value> =
        diff.orgs_staying.iter().map(|(version, orgs)| json!({"version": version, "orgs": orgs})).collect();
    let over: Vec<Value> =
        diff.orgs_over.iter().map(|(metric, orgs)| json!({"metric": metric, "orgs": orgs})).collect();
    let (what, to, fields) = match &diff.change {
        PlanChange::New => ("new", None, Vec::new()),
        PlanChange::Edited { to, fields, .. } => ("edited", Some(*to), fields.iter().map(field).collect()),
        PlanChange::Archived => ("archived", None, Vec::new()),
        PlanChange::Restored => ("restored", None, Vec::new()),
    };
    json!({"plan": diff.code, "change": what, "version": to, "fields": fields, "orgsStaying": staying, "orgsOver": over})
}

fn field(change: &FieldChange) -> Value {
    json!({"field": change.field, "before": change.before, "after": change.after})
}

/// Publishes the catalog, and makes what is missing at Stripe. A saved plan is refused when anything has changed since.
pub(super) async fn apply(
    engine: &Engine,
    catalog: &str,
    expected: Option<BTreeMap<String, String>>,
) -> Result<Value, Failure> {
    let catalog = parse(catalog)?;
    let Some(expected) = expected else { return publish(engine, catalog).await };
    let scope = operator(Permission::PlansPublish)?;
    let published = plans::publish_over(engine, &scope, catalog, expected).await.map_err(refused)?;
    at_stripe(engine, &scope, &published).await
}

fn refused(error: PublishError) -> Failure {
    let moved = match error {
        PublishError::Plans(error) => return failed(&error),
        PublishError::Stale(moved) => moved,
    };
    let mut what = String::from("the plan is stale; nothing was applied. Since it was made:");
    for line in moved {
        let shown = |state: Option<String>| state.unwrap_or_else(|| String::from("nothing"));
        what.push_str(&format!("\n  {}: was {}, is {}", line.what, shown(line.was), shown(line.is)));
    }
    Failure::new(what).exit(Exit::Stale).remedy("Make a new one: tollgate plans plan --out FILE")
}

/// The catalog in force with the prices of Stripe, as a file.
pub(super) async fn pull(engine: &Engine) -> Result<Value, Failure> {
    let scope = operator(Permission::PlansPublish)?;
    let pulled = plans::pull(engine, &scope).await.map_err(|error| failed(&error))?;
    let file = pulled.catalog.to_toml();
    Ok(json!({"file": file, "takenOver": pulled.taken_over, "leftOut": pulled.left_out}))
}

/// Publishes a parsed catalog, and makes what is missing at Stripe.
///
/// # Errors
/// The database or Stripe does not answer: what was done stays, and applying again goes on.
pub(crate) async fn publish(engine: &Engine, catalog: Catalog) -> Result<Value, Failure> {
    let scope = operator(Permission::PlansPublish)?;
    let published = plans::publish(engine, &scope, catalog).await.map_err(|error| failed(&error))?;
    at_stripe(engine, &scope, &published).await
}

/// Makes at Stripe what was published, and tells both.
async fn at_stripe(engine: &Engine, scope: &OperatorScope, published: &Published) -> Result<Value, Failure> {
    let versions: Vec<Value> =
        published.versions.iter().map(|(code, version)| json!({"plan": code, "version": version})).collect();
    let at_stripe = match plans::ensure_at_stripe(engine, scope).await {
        Ok(made) => {
            json!({"productsCreated": made.products_created, "pricesCreated": made.prices_created, "pricesAdopted": made.prices_adopted, "pricesArchived": made.prices_archived})
        }
        Err(Error::Billing(tollgate_connectors::billing::Error::Off)) => Value::Null,
        Err(error) => return Err(failed(&error)),
    };
    Ok(json!({"versions": versions, "archived": published.archived, "atStripe": at_stripe}))
}

pub(super) fn parse(text: &str) -> Result<Catalog, Failure> {
    Catalog::parse(text).map_err(|error| Failure::usage(format!("the catalog: {error}")).remedy("Correct that line."))
}

pub(super) fn failed(error: &Error) -> Failure {
    Failure::new(error.to_string()).exit(Exit::Unreachable)
}
