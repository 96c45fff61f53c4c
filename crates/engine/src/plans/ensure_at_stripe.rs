//! Makes the products and prices of the catalog in force exist at Stripe.
//!
//! A product has an id of ours (`tg_<code>`), a price is found by its lookup key. A version has prices of its own, so that a
//! subscription's plan can be told from its price: when a plan is edited, a new price takes the lookup key over and existing
//! subscriptions keep the old one. Safe to run at any time and any number of times: what is there is used.

use std::collections::BTreeMap;

use tollgate_connectors::billing::{Billing, Error as BillingError, IdempotencyKey, NewPrice, NewProduct, PriceFact};
use tollgate_rules::catalog::{Plan, PlanPrice};
use tollgate_rules::ids::PriceId;
use tollgate_rules::period::Interval;

use super::publish::{content_hash, freeze};
use super::{Error, archive, catalog, sql};
use crate::access::OperatorScope;
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::metering;

/// What a price says about the content it was made for.
pub(super) const CONTENT_MARK: &str = "tollgate_content";

/// What had to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnsuredAtStripe {
    /// Products that were made.
    pub products_created: u32,
    /// Prices that were made; each took its lookup key over.
    pub prices_created: u32,
    /// Prices that were there and are used.
    pub prices_adopted: u32,
    /// Prices that were taken off sale: replaced, or of a plan that left the catalog.
    pub prices_archived: u32,
}

/// Ensures every price of the catalog in force.
///
/// # Errors
/// [`Error::Billing`] when Stripe cannot be reached or refuses: what was done stays, and the next run goes on.
pub async fn ensure_at_stripe(engine: &Engine, _scope: &OperatorScope) -> Result<EnsuredAtStripe, Error> {
    let mut ensured = EnsuredAtStripe::default();
    for plan in catalog(engine).plans.iter().filter(|plan| !plan.prices.is_empty()) {
        ensure_plan(engine, plan, &mut ensured).await?;
        Box::pin(metering::ensure_prices(engine, plan)).await?;
    }
    // Last: by now everything that is sold has its lookup key.
    ensured.prices_archived = archive::archive_old(engine).await?;
    Ok(ensured)
}

/// The price at Stripe of a published plan for an interval; it is made now if it is missing.
pub(crate) async fn price_for(engine: &Engine, plan: &Plan, interval: Interval) -> Result<Option<PriceId>, Error> {
    let Some(wanted) = plan.price(interval) else { return Ok(None) };
    if let Some(stored) = stored(engine, plan, wanted).await? {
        return Ok(Some(stored));
    }
    ensure_plan(engine, plan, &mut EnsuredAtStripe::default()).await?;
    Ok(stored(engine, plan, wanted).await?)
}

async fn stored(engine: &Engine, plan: &Plan, wanted: &PlanPrice) -> Result<Option<PriceId>, db::Error> {
    let mut connection = engine.db().read().await?;
    let prices = sql::prices_of_plan(&mut connection, &plan.code, plan.version).await?;
    Ok(prices.into_iter().find(|price| price.interval == wanted.interval).map(|price| price.price_id))
}

async fn ensure_plan(engine: &Engine, plan: &Plan, ensured: &mut EnsuredAtStripe) -> Result<(), Error> {
    let billing = engine.billing();
    let hash = content_hash(&freeze(plan)?);
    let keys: Vec<String> = plan.prices.iter().map(|price| price.lookup_key.clone()).collect();
    let found = billing.prices(&keys).await?;
    for price in &plan.prices {
        if let Some(adopted) = &price.stripe_price {
            remember(engine, plan, price, adopted).await?;
            ensured.prices_adopted += 1;
            continue;
        }
        let holder = found.iter().find(|fact| fact.lookup_key.as_deref() == Some(price.lookup_key.as_str()));
        if let Some(holder) = holder
            && fits(holder, price)
            && belongs(engine, plan, holder, &hash).await?
        {
            remember(engine, plan, price, &holder.price_id).await?;
            ensured.prices_adopted += 1;
            continue;
        }
        if let Some(own) = stored(engine, plan, price).await?
            && archive::restore(engine, &own, &price.lookup_key).await?
        {
            ensured.prices_adopted += 1;
            continue;
        }
        ensure_product(billing, plan, ensured).await?;
        let made = billing.create_price(&price_key(plan, price, &hash)?, &new_price(plan, price, &hash)).await?;
        remember(engine, plan, price, &made.price_id).await?;
        ensured.prices_created += 1;
    }
    Ok(())
}

/// Whether a price costs what the plan says.
pub(super) fn fits(fact: &PriceFact, price: &PlanPrice) -> bool {
    fact.active && fact.amount == Some(price.amount) && fact.interval == Some(price.interval)
}

/// Whether a price was made for this content; one that somebody else made belongs to the first version that uses it.
async fn belongs(engine: &Engine, plan: &Plan, fact: &PriceFact, hash: &str) -> Result<bool, db::Error> {
    if let Some(mark) = fact.metadata.get(CONTENT_MARK) {
        return Ok(mark == hash);
    }
    let mut connection = engine.db().read().await?;
    let owner = sql::plan_of_price(&mut connection, &fact.price_id).await?;
    Ok(owner.is_none_or(|owner| owner == (plan.code.to_string(), plan.version)))
}

async fn ensure_product(billing: &Billing, plan: &Plan, ensured: &mut EnsuredAtStripe) -> Result<(), Error> {
    let product_id = product_id(plan);
    if billing.product(&product_id).await?.is_some() {
        return Ok(());
    }
    let metadata = BTreeMap::from([("tollgate_plan".to_owned(), plan.code.to_string())]);
    let new = NewProduct { product_id: product_id.clone(), name: plan.name.clone(), metadata };
    match billing.create_product(&key(&format!("tollgate:product:{product_id}:{}", plan.version))?, &new).await {
        Ok(_) => ensured.products_created += 1,
        // Another node was faster: the id is ours, so it is this product.
        Err(BillingError::Refused(_)) if billing.product(&product_id).await?.is_some() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn product_id(plan: &Plan) -> String {
    format!("tg_{}", plan.code)
}

fn new_price(plan: &Plan, price: &PlanPrice, hash: &str) -> NewPrice {
    let metadata = BTreeMap::from([
        ("tollgate_plan".to_owned(), plan.code.to_string()),
        ("tollgate_version".to_owned(), plan.version.to_string()),
        (CONTENT_MARK.to_owned(), hash.to_owned()),
    ]);
    NewPrice {
        product_id: product_id(plan),
        amount: price.amount,
        interval: price.interval,
        lookup_key: price.lookup_key.clone(),
        metadata,
    }
}

/// The same version asks with the same key: after a lost answer Stripe tells what it made.
fn price_key(plan: &Plan, price: &PlanPrice, hash: &str) -> Result<IdempotencyKey, BillingError> {
    let content = hash.get(..16).unwrap_or(hash);
    key(&format!("tollgate:price:{}:{}:{content}:{}", plan.code, plan.version, price.interval.letter()))
}

fn key(text: &str) -> Result<IdempotencyKey, BillingError> {
    IdempotencyKey::parse(text).map_err(|error| BillingError::Refused(error.to_string()))
}

async fn remember(engine: &Engine, plan: &Plan, price: &PlanPrice, price_id: &PriceId) -> Result<(), db::Error> {
    let (inner, price_id) = (engine.clone(), price_id.clone());
    let (code, version, price) = (plan.code.clone(), plan.version, price.clone());
    engine
        .db()
        .detached(async move {
            let mut tx = inner.db().begin(Lane::Control).await?;
            let row = sql::NewPriceRow { price_id: &price_id, code: &code, version, price: &price, now: inner.now() };
            sql::put_price(&mut tx, &row).await?;
            tx.commit().await
        })
        .await
}
