//! The one door: what billing told overwrites our mirror, and the org's rights follow in the same transaction.

use serde_json::json;

use tollgate_rules::billing::{CustomerFact, SubscriptionFact};
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::{CustomerId, OrgKey, PaymentMethodId, PlanCode};
use tollgate_rules::subscription::{Stage, stage};

use super::mirror::{KnownPlans, Mirror};
use super::sql::{self, CustomerRow};
use crate::access::OrgScope;
use crate::audit;
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::{incidents, ledger, notices, orgs, plans, provision};

/// Something billing told us. Invoices have their own door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A subscription as it was fetched.
    Subscription(Box<SubscriptionFact>),
    /// A customer as it was fetched.
    Customer(CustomerFact),
}

/// On whose behalf the fact was fetched: what the audit entry says.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// Somebody's change, of which this is the result.
    Change(OrgScope),
    /// A worker of ours followed a hint.
    Hint {
        /// Which worker.
        worker: &'static str,
        /// The trace id of the hint.
        corr_id: String,
    },
}

/// What a fact did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It changed something of this org: after the commit, call `engine.ledger().forget(org_key)`.
    Changed(OrgKey),
    /// Everything was so already; nothing was written.
    Unchanged(OrgKey),
    /// It is of no org of ours.
    Foreign,
}

/// Overwrites the mirror with a fact. The same fact again writes nothing.
///
/// The caller holds the customer's lease since before the fetch and has checked it in this transaction, so that an older fetch can
/// never overwrite a newer one; it commits.
pub(crate) async fn apply_fact(engine: &Engine, tx: &mut Tx, cause: &Cause, fact: &Fact) -> Result<Applied, Error> {
    match fact {
        Fact::Subscription(fact) => subscription(engine, tx, cause, fact).await,
        Fact::Customer(fact) => customer(engine, tx, cause, fact).await,
    }
}

async fn subscription(engine: &Engine, tx: &mut Tx, cause: &Cause, fact: &SubscriptionFact) -> Result<Applied, Error> {
    let Some(owner) = sql::customer_by_id(tx, &fact.customer_id).await? else { return Ok(Applied::Foreign) };
    let org_key = owner.org_key;
    sql::lock_customer(tx, org_key).await?;
    let mirrors = sql::mirrors(tx, org_key).await?;
    let before = mirrors.iter().find(|mirror| mirror.subscription_id == fact.subscription_id);
    let plans = KnownPlans {
        of_price: plans::sql::plan_of_price(tx, &fact.price_id).await?,
        trial_version: plans::catalog(engine).plan(PlanCode::TRIAL).map(|plan: &Plan| plan.version),
    };
    let after = Mirror::after(before, fact, plans);
    if before == Some(&after) {
        return Ok(Applied::Unchanged(org_key));
    }
    sql::put_mirror(tx, org_key, &after, engine.now()).await?;
    let action = if before.is_some() { "subscription.update" } else { "subscription.create" };
    let mut entry = cause.entry(org_key, action, after.subscription_id.as_str()).after(after.audited());
    if let Some(before) = before {
        entry = entry.before(before.audited());
    }
    audit::append(engine, tx, entry).await?;
    several(engine, tx, org_key).await?;
    notices::plan(engine, tx, org_key, (before, &after)).await?;
    provision::notice(engine, tx, org_key, &after).await?;
    ledger::refresh(engine, tx, org_key).await?;
    Ok(Applied::Changed(org_key))
}

/// An org has one living subscription; another one is a matter for a person, who ends one of them.
async fn several(engine: &Engine, tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    let mirrors = sql::mirrors(tx, org_key).await?;
    let living: Vec<&str> = mirrors
        .iter()
        .filter(|mirror| stage(mirror.status) == Stage::Live)
        .map(|mirror| mirror.subscription_id.as_str())
        .collect();
    let (kind, subject) = (incidents::Kind::SeveralSubscriptions, format!("org {}", org_key.0));
    if living.len() < 2 {
        return incidents::close(engine, tx, kind, &subject).await;
    }
    let detail = format!("{} live beside each other; the newest with a plan counts", living.join(", "));
    incidents::open(engine, tx, &incidents::Seen { org_key: org_key.0, kind, subject: &subject, detail: &detail }).await
}

async fn customer(engine: &Engine, tx: &mut Tx, cause: &Cause, fact: &CustomerFact) -> Result<Applied, Error> {
    let Some(org_key) = owner(tx, fact).await? else { return Ok(Applied::Foreign) };
    sql::lock_customer(tx, org_key).await?;
    let before = sql::customer(tx, org_key).await?;
    if before.as_ref().is_some_and(|before| before.customer_id != fact.customer_id && !before.deleted) {
        tracing::warn!("billing has a second customer for an org; the first one counts");
        return Ok(Applied::Foreign);
    }
    let now = engine.now();
    let after = CustomerRow {
        org_key,
        customer_id: fact.customer_id.clone(),
        email: fact.email.clone(),
        default_payment_method: fact.default_payment_method.clone(),
        deleted: fact.deleted,
        created_at: before.as_ref().map_or(now, |before| before.created_at),
    };
    if before.as_ref() == Some(&after) {
        return Ok(Applied::Unchanged(org_key));
    }
    sql::put_customer(tx, &after, now).await?;
    let action = if before.is_some() { "customer.update" } else { "customer.create" };
    let mut entry = cause.entry(org_key, action, after.customer_id.as_str()).after(audited(&after, before.as_ref()));
    if let Some(before) = &before {
        entry = entry.before(audited(before, None));
    }
    audit::append(engine, tx, entry).await?;
    ledger::refresh(engine, tx, org_key).await?;
    Ok(Applied::Changed(org_key))
}

/// Whose customer it is: ours by its id, else by our mark on it.
async fn owner(tx: &mut Tx, fact: &CustomerFact) -> Result<Option<OrgKey>, Error> {
    if let Some(known) = sql::customer_by_id(tx, &fact.customer_id).await? {
        return Ok(Some(known.org_key));
    }
    match &fact.org_id {
        Some(org_id) if !fact.deleted => orgs::sql::org_key(tx, org_id).await,
        Some(_) | None => Ok(None),
    }
}

/// The address itself is personal: the journal says only that it changed.
fn audited(customer: &CustomerRow, before: Option<&CustomerRow>) -> serde_json::Value {
    json!({
        "customerId": CustomerId::as_str(&customer.customer_id),
        "paymentMethodId": customer.default_payment_method.as_ref().map(PaymentMethodId::as_str),
        "emailChanged": before.is_some_and(|before| before.email != customer.email),
        "deleted": customer.deleted,
    })
}

impl Cause {
    fn entry(&self, org_key: OrgKey, action: &'static str, entity: &str) -> audit::Entry {
        match self {
            Cause::Change(scope) => audit::Entry::of(scope, action, entity),
            Cause::Hint { worker, corr_id } => {
                audit::Entry::by_system(worker, org_key, action, entity).corr_id(corr_id)
            }
        }
    }
}
