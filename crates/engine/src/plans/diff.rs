//! What publishing a plans file would change, and whom it concerns.

use serde_json::Value;

use tollgate_connectors::billing::{Billing, PriceFact};
use tollgate_rules::catalog::{Catalog, Plan};
use tollgate_rules::ids::{Metric, PlanCode, PriceId};

use super::publish::{content_hash, freeze, parsed};
use super::{Error, load, sql};
use crate::access::OperatorScope;
use crate::db::{self, Connection};
use crate::engine::Engine;

/// Everything that would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Plans that would get a version or leave the catalog.
    pub plans: Vec<PlanDiff>,
    /// Prices that would be made at Stripe; empty where billing is off.
    pub prices: Vec<PriceDiff>,
    /// Metrics and top-ups that would be other ones.
    pub others: Vec<OtherDiff>,
}

/// A change of a metric or a top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherDiff {
    /// What (`metric tokens`, `top-up calls_10k`).
    pub what: String,
    /// What it is; nothing: it is new.
    pub before: Option<Value>,
    /// What it would be; nothing: it would be gone.
    pub after: Option<Value>,
}

impl Diff {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.prices.is_empty() && self.others.is_empty()
    }
}

/// What would change about a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDiff {
    /// The plan.
    pub code: PlanCode,
    /// The change.
    pub change: PlanChange,
    /// Orgs with a live subscription on each of its versions: they stay there.
    pub orgs_staying: Vec<(u32, i64)>,
    /// Metrics whose limit would go down, each with how many of the plan's orgs have used more than that in their open period:
    /// they would exceed it if they were moved.
    pub orgs_over: Vec<(Metric, i64)>,
}

/// A change of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanChange {
    /// It is new.
    New,
    /// It would get the version `to`.
    Edited {
        /// The version in force.
        from: u32,
        /// The version it would get.
        to: u32,
        /// What differs.
        fields: Vec<FieldChange>,
    },
    /// It would no longer be sold.
    Archived,
    /// It would be sold again, as it was.
    Restored,
}

/// One difference inside a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where (`allowances.api_call.included.units`).
    pub field: String,
    /// What it is; nothing when it is not there.
    pub before: Option<Value>,
    /// What it would be; nothing when it would be gone.
    pub after: Option<Value>,
}

/// A price that Stripe lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceDiff {
    /// The plan.
    pub code: PlanCode,
    /// The lookup key the new price would get.
    pub lookup_key: String,
    /// The price that has the lookup key now and would lose it.
    pub replaces: Option<PriceId>,
}

/// Compares a plans file with what is published and with what is at Stripe. Changes nothing.
///
/// # Errors
/// [`Error::Billing`] when Stripe cannot be asked, [`Error::Database`] when the database cannot answer.
pub async fn diff(engine: &Engine, _scope: &OperatorScope, catalog: &Catalog) -> Result<Diff, Error> {
    let plans = plans(engine, catalog).await?;
    let prices = if engine.billing().is_on() { prices(engine.billing(), catalog).await? } else { Vec::new() };
    Ok(Diff { plans, prices, others: others(engine, catalog)? })
}

/// Metrics and top-ups, each by its code.
fn others(engine: &Engine, catalog: &Catalog) -> Result<Vec<OtherDiff>, db::Error> {
    let (before, after) = (listed(&super::catalog(engine))?, listed(catalog)?);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    Ok(differing
        .map(|what| OtherDiff {
            what: what.clone(),
            before: before.get(what).cloned(),
            after: after.get(what).cloned(),
        })
        .collect())
}

fn listed(catalog: &Catalog) -> Result<std::collections::BTreeMap<String, Value>, db::Error> {
    let bug = |error: serde_json::Error| db::Error::Bug(format!("a catalog: {error}"));
    let mut listed = std::collections::BTreeMap::new();
    for (metric, name) in &catalog.metrics {
        listed.insert(format!("metric {metric}"), serde_json::to_value(name).map_err(bug)?);
    }
    for topup in &catalog.topups {
        listed.insert(format!("top-up {}", topup.code), serde_json::to_value(topup).map_err(bug)?);
    }
    Ok(listed)
}

async fn plans(engine: &Engine, catalog: &Catalog) -> Result<Vec<PlanDiff>, db::Error> {
    let mut connection = engine.db().read().await?;
    let heads = sql::heads(&mut connection).await?;
    let mut changes = Vec::new();
    for plan in &catalog.plans {
        let content = freeze(plan)?;
        let change = match heads.iter().find(|head| head.code == plan.code.as_str()) {
            None => PlanChange::New,
            Some(head) if head.content_hash != content_hash(&content) => {
                let before = sql::content(&mut connection, &head.code, head.version).await?.unwrap_or_default();
                PlanChange::Edited { from: head.version, to: head.version + 1, fields: fields(&before, &content)? }
            }
            Some(head) if head.archived => PlanChange::Restored,
            Some(_) => continue,
        };
        changes.push((plan.code.clone(), change));
    }
    for head in heads.iter().filter(|head| !head.archived && catalog.plan(&head.code).is_none()) {
        changes.push((parsed(&head.code)?, PlanChange::Archived));
    }
    let mut plans = Vec::with_capacity(changes.len());
    for (code, change) in changes {
        let orgs_staying = sql::orgs_by_version(&mut connection, &code).await?;
        let orgs_over = match (&change, catalog.plan(code.as_str())) {
            (PlanChange::Edited { from, .. }, Some(after)) => orgs_over(engine, &mut connection, *from, after).await?,
            _ => Vec::new(),
        };
        plans.push(PlanDiff { code, change, orgs_staying, orgs_over });
    }
    Ok(plans)
}

/// Who has used more than a lowered limit already.
async fn orgs_over(
    engine: &Engine,
    connection: &mut Connection,
    from: u32,
    after: &Plan,
) -> Result<Vec<(Metric, i64)>, db::Error> {
    let Some(before) = load::version(engine, connection, after.code.as_str(), from).await? else {
        return Ok(Vec::new());
    };
    let mut over = Vec::new();
    for metric in before.allowances.keys() {
        let (old, new) = (before.allowance(metric).included.units(), after.allowance(metric).included.units());
        if let Some(units) = new.filter(|new| old.is_none_or(|old| *new < old)) {
            over.push((metric.clone(), sql::orgs_over(connection, &after.code, metric, units).await?));
        }
    }
    Ok(over)
}

async fn prices(billing: &Billing, catalog: &Catalog) -> Result<Vec<PriceDiff>, Error> {
    let wanted = catalog.plans.iter().flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)));
    let wanted: Vec<_> = wanted.filter(|(_, price)| price.stripe_price.is_none()).collect();
    let keys: Vec<String> = wanted.iter().map(|(_, price)| price.lookup_key.clone()).collect();
    let found = billing.prices(&keys).await?;
    let mut missing = Vec::new();
    for (plan, price) in wanted {
        let holder = found.iter().find(|fact| fact.lookup_key.as_deref() == Some(&price.lookup_key));
        if !holder.is_some_and(|fact| super::ensure_at_stripe::fits(fact, price) && same_content(plan, fact)) {
            missing.push(PriceDiff {
                code: plan.code.clone(),
                lookup_key: price.lookup_key.clone(),
                replaces: holder.map(|fact| fact.price_id.clone()),
            });
        }
    }
    Ok(missing)
}

/// Whether a price was made for this very content, or by somebody who says nothing about it.
fn same_content(plan: &Plan, fact: &PriceFact) -> bool {
    let marked = fact.metadata.get(super::ensure_at_stripe::CONTENT_MARK);
    marked.is_none_or(|mark| freeze(plan).is_ok_and(|content| *mark == content_hash(&content)))
}

/// The differences between two frozen contents, field by field.
fn fields(before: &str, after: &str) -> Result<Vec<FieldChange>, db::Error> {
    let read =
        |text: &str| serde_json::from_str(text).map_err(|error| db::Error::Bug(format!("a published plan: {error}")));
    let (before, after): (Value, Value) = (read(before)?, read(after)?);
    let mut found = Vec::new();
    compare(String::new(), Some(&before), Some(&after), &mut found);
    Ok(found)
}

fn compare(field: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let path = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
            compare(path, old.get(name), new.get(name), found);
        }
        return;
    }
    found.push(FieldChange { field, before: before.cloned(), after: after.cloned() });
}
