//! The catalog, for the operator's commands.

use serde_json::{Value, json};
use tollgate_engine::plans::{self, FieldChange, PlanChange, PlanDiff};
use tollgate_engine::{Engine, plans::Error};
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::Catalog;

use super::execute::operator;
use crate::failure::{Exit, Failure};

/// What publishing the catalog would change, here and at Stripe.
pub(super) async fn plan(engine: &Engine, catalog: &str) -> Result<Value, Failure> {
    let scope = operator(Permission::PlansPublish)?;
    let diff = plans::diff(engine, &scope, &parse(catalog)?).await.map_err(|error| failed(&error))?;
    let changes: Vec<Value> = diff.plans.iter().map(change).collect();
    let prices: Vec<Value> = diff
        .prices
        .iter()
        .map(|price| json!({"plan": price.code, "lookupKey": price.lookup_key, "replaces": price.replaces}))
        .collect();
    Ok(json!({"pending": !diff.is_empty(), "plans": changes, "prices": prices}))
}

fn change(diff: &PlanDiff) -> Value {
    let staying: Vec<Value> =
        diff.orgs_staying.iter().map(|(version, orgs)| json!({"version": version, "orgs": orgs})).collect();
    let (what, to, fields) = match &diff.change {
        PlanChange::New => ("new", None, Vec::new()),
        PlanChange::Edited { to, fields, .. } => ("edited", Some(*to), fields.iter().map(field).collect()),
        PlanChange::Archived => ("archived", None, Vec::new()),
        PlanChange::Restored => ("restored", None, Vec::new()),
    };
    json!({"plan": diff.code, "change": what, "version": to, "fields": fields, "orgsStaying": staying})
}

fn field(change: &FieldChange) -> Value {
    json!({"field": change.field, "before": change.before, "after": change.after})
}

/// Publishes the catalog, and makes what is missing at Stripe.
pub(super) async fn apply(engine: &Engine, catalog: &str) -> Result<Value, Failure> {
    publish(engine, parse(catalog)?).await
}

/// Publishes a parsed catalog, and makes what is missing at Stripe.
///
/// # Errors
/// The database or Stripe does not answer: what was done stays, and applying again goes on.
pub(crate) async fn publish(engine: &Engine, catalog: Catalog) -> Result<Value, Failure> {
    let scope = operator(Permission::PlansPublish)?;
    let published = plans::publish(engine, &scope, catalog).await.map_err(|error| failed(&error))?;
    let versions: Vec<Value> =
        published.versions.iter().map(|(code, version)| json!({"plan": code, "version": version})).collect();
    let at_stripe = match plans::ensure_at_stripe(engine, &scope).await {
        Ok(made) => {
            json!({"productsCreated": made.products_created, "pricesCreated": made.prices_created, "pricesAdopted": made.prices_adopted})
        }
        Err(Error::Billing(tollgate_connectors::billing::Error::Off)) => Value::Null,
        Err(error) => return Err(failed(&error)),
    };
    Ok(json!({"versions": versions, "archived": published.archived, "atStripe": at_stripe}))
}

fn parse(text: &str) -> Result<Catalog, Failure> {
    Catalog::parse(text).map_err(|error| Failure::usage(format!("the catalog: {error}")).remedy("Correct that line."))
}

fn failed(error: &Error) -> Failure {
    Failure::new(error.to_string()).exit(Exit::Unreachable)
}
