//! Subscribes an org to a price: with a trial the first time, without one ever after.

use std::time::Duration;

use serde_json::{Value, json};

use tollgate_connectors::billing::{self, PaymentBehavior};
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::{CustomerId, PriceId, SubscriptionId};
use tollgate_rules::period::Interval;
use tollgate_rules::subscription::{Stage, stage};
use tollgate_rules::time::Timestamp;

use super::apply_fact::Cause;
use super::mirror::Mirror;
use super::sql::{self, CustomerRow};
use super::sync::{stop, sync};
use super::{Error, facts};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Kind, NewOperation, Run, Stop};
use crate::plans;

/// Billing forgets idempotency keys after a day; a little earlier we look first.
const KEYS_KEPT: Duration = Duration::from_hours(23);
pub(crate) const QUANTITY_MAX: i64 = 1_000_000;

/// What an org wants to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// The price's lookup key in the catalog.
    pub price_lookup: String,
    /// Seats; 1 where nothing is said.
    pub quantity: Option<i64>,
}

/// The org's subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id at billing.
    pub subscription_id: SubscriptionId,
    /// Its status: `trialing`; `active` or `incomplete` where the org had its trial.
    pub status: SubscriptionStatus,
    /// When its trial ends.
    pub trial_ends_at: Option<Timestamp>,
}

/// Subscribes an org. The same lookup key again answers the subscription that is there.
///
/// # Errors
/// [`Error::UnknownPrice`] (checked first), [`Error::BadQuantity`], [`Error::NoCustomer`], [`Error::AlreadySubscribed`] to another
/// price; [`Error::BillingUnavailable`]: the subscription will be there by itself.
pub async fn create(engine: &Engine, scope: &OrgScope, new: &NewSubscription) -> Result<Created, Error> {
    let catalog = plans::catalog(engine);
    let (plan, price) = catalog.price(&new.price_lookup).ok_or(Error::UnknownPrice)?;
    let quantity = new.quantity.unwrap_or(1);
    if !(1..=QUANTITY_MAX).contains(&quantity) {
        return Err(Error::BadQuantity);
    }
    let found = standing(engine, scope).await?;
    let customer = found.customer.filter(|customer| !customer.deleted).ok_or(Error::NoCustomer)?;
    if let Some(there) = found.mirror {
        return existing(&there, plan, price.interval);
    }
    let price_id = plans::price_for(engine, plan, price.interval).await?.ok_or(Error::UnknownPrice)?;
    let trial_days = Some(catalog.trial_days(plan)).filter(|days| *days > 0 && !found.had_trial);
    let body = billing::NewSubscription {
        customer_id: customer.customer_id,
        org_id: scope.org_id().clone(),
        price_id,
        quantity,
        trial_days,
        // Without a method there is nothing to charge: the first invoice waits for one.
        payment: match customer.default_payment_method {
            Some(_) => PaymentBehavior::AllowIncomplete,
            None => PaymentBehavior::DefaultIncomplete,
        },
        default_payment_method: None,
        automatic_tax: engine.automatic_tax(),
    };
    let outcome = begin_and_drive(engine, scope, body).await?;
    // A call that came while another was under way hears what that one made.
    existing(&applied(engine, scope, &outcome).await?, plan, price.interval)
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let new: billing::NewSubscription = run.body()?;
    let customer_id = new.customer_id.clone();
    let engine = run.engine().clone();
    let forgotten = keys_are_forgotten(run);
    let subscription_id: SubscriptionId = run
        .step("subscription", |key| async move {
            if forgotten && let Some(found) = find(&engine, &new.customer_id, &new.price_id).await? {
                return Ok(found);
            }
            point(&engine, "subscribe.before_send").map_err(db::Error::from)?;
            let made = engine.billing().create_subscription(&key, &new).await.map_err(stop)?;
            point(&engine, "subscribe.sent").map_err(db::Error::from)?;
            Ok(made.fact.subscription_id)
        })
        .await?;
    point(run.engine(), "subscribe.stored").map_err(db::Error::from)?;
    sync(run.engine(), Cause::Change(run.scope().clone()), &customer_id).await?;
    point(run.engine(), "subscribe.synced").map_err(db::Error::from)?;
    Ok(json!({ "subscriptionId": subscription_id.as_str() }))
}

/// Whether billing may know nothing of the keys that were sent: they are too old, or others are used now.
pub(crate) fn keys_are_forgotten(run: &Run<'_>) -> bool {
    run.has_new_keys() || run.engine().clock().wall.now().since(run.begun_at()) > KEYS_KEPT
}

/// What a subscription of ours left at billing when its answer was lost long ago.
async fn find(engine: &Engine, customer_id: &CustomerId, price_id: &PriceId) -> Result<Option<SubscriptionId>, Stop> {
    let facts = engine.billing().subscriptions_of(customer_id).await.map_err(stop)?;
    let open = facts.into_iter().find(|fact| fact.price_id == *price_id && stage(fact.status) != Stage::Ended);
    Ok(open.map(|fact| fact.subscription_id))
}

/// What an org has at billing.
pub(crate) struct Standing {
    pub(crate) customer: Option<CustomerRow>,
    /// The subscription that counts, unless it has ended.
    pub(crate) mirror: Option<Mirror>,
    pub(crate) had_trial: bool,
}

pub(crate) async fn standing(engine: &Engine, scope: &OrgScope) -> Result<Standing, db::Error> {
    let mut connection = engine.read_for(scope).await?;
    let customer = sql::customer(&mut connection, scope.org_key()).await?;
    let mirrors = sql::mirrors(&mut connection, scope.org_key()).await?;
    let had_trial = sql::had_trial(&mut connection, scope.org_key()).await?;
    let mirror = facts::chosen(&mirrors).filter(|mirror| stage(mirror.status) != Stage::Ended).cloned();
    Ok(Standing { customer, mirror, had_trial })
}

/// The org's subscription that counts, unless it has ended.
pub(crate) async fn living(engine: &Engine, scope: &OrgScope) -> Result<Option<SubscriptionId>, db::Error> {
    Ok(standing(engine, scope).await?.mirror.map(|mirror| mirror.subscription_id))
}

fn existing(there: &Mirror, plan: &Plan, interval: Interval) -> Result<Created, Error> {
    let same_plan = there.plan.as_ref().is_some_and(|(code, _)| code == plan.code.as_str());
    if same_plan && there.interval == interval { Ok(Created::of(there)) } else { Err(Error::AlreadySubscribed) }
}

async fn begin_and_drive(engine: &Engine, scope: &OrgScope, body: billing::NewSubscription) -> Result<Value, Error> {
    let body = serde_json::to_value(body).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::SubscriptionCreate, dedupe_key: "subscription".to_owned(), body };
    let (inner, by) = (engine.clone(), scope.clone());
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    Ok(operations::drive(engine, begun).await?)
}

async fn applied(engine: &Engine, scope: &OrgScope, outcome: &Value) -> Result<Mirror, Error> {
    let id = outcome["subscriptionId"].as_str().unwrap_or_default();
    let mut connection = engine.read_for(scope).await?;
    let mirrors = sql::mirrors(&mut connection, scope.org_key()).await?;
    let mirror = mirrors.into_iter().find(|mirror| mirror.subscription_id.as_str() == id);
    Ok(mirror.ok_or_else(|| db::Error::Bug(format!("subscription {id} was not applied")))?)
}

impl Created {
    fn of(mirror: &Mirror) -> Created {
        let trial = mirror.trial.filter(|_| mirror.status == SubscriptionStatus::Trialing);
        Created {
            subscription_id: mirror.subscription_id.clone(),
            status: mirror.status,
            trial_ends_at: trial.map(|trial| trial.end),
        }
    }
}
