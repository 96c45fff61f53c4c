//! Meters, metered prices and metered items at Stripe: made when they are needed, used when they are there.

use std::collections::BTreeMap;

use tollgate_connectors::billing::{Error as BillingError, MeteredMove, NewMeter, NewMeteredPrice, NewProduct};
use tollgate_rules::catalog::{OveragePolicy, Plan};
use tollgate_rules::ids::{Metric, PriceId, SubscriptionId};
use tollgate_rules::metering::Block;
use tollgate_rules::money::Money;
use tollgate_rules::period::Interval;

use super::{Error, key};
use crate::db;
use crate::engine::Engine;
use crate::plans;

/// What a metered price says about its block: other sizes are other prices.
const BLOCK_MARK: &str = "tollgate_block";

/// What the events of a metric's meter are called.
pub(super) fn event_name(metric: &Metric) -> String {
    format!("tollgate_{metric}")
}

/// Ensures the meters and metered prices of a plan.
///
/// # Errors
/// [`Error`]; a repeat goes on where this one stopped.
pub(crate) async fn ensure_prices(engine: &Engine, plan: &Plan) -> Result<(), Error> {
    for (metric, allowance) in &plan.allowances {
        let OveragePolicy::Metered { amount_minor, per_units } = allowance.policy else { continue };
        for price in &plan.prices {
            ensure_price(engine, plan, (metric, price.interval), Block { amount_minor, per_units }).await?;
        }
    }
    Ok(())
}

/// The metered price of a plan's metric for an interval.
pub(super) async fn ensure_price(
    engine: &Engine,
    plan: &Plan,
    (metric, interval): (&Metric, Interval),
    block: Block,
) -> Result<Option<PriceId>, Error> {
    let Some(base) = plan.price(interval) else { return Ok(None) };
    let billing = engine.billing();
    let lookup_key = format!("{}_{metric}", base.lookup_key);
    let amount = Money::new(block.amount_minor, base.amount.currency);
    let mark = format!("{}/{}", block.amount_minor, block.per_units);
    let found = billing.prices(std::slice::from_ref(&lookup_key)).await?;
    let fits = found.iter().find(|fact| {
        fact.amount == Some(amount) && fact.interval == Some(interval) && fact.metadata.get(BLOCK_MARK) == Some(&mark)
    });
    if let Some(fact) = fits {
        return Ok(Some(fact.price_id.clone()));
    }
    let product_id = ensure_product(engine, plan, metric).await?;
    let metadata = BTreeMap::from([
        ("tollgate_plan".to_owned(), plan.code.to_string()),
        ("tollgate_metric".to_owned(), metric.to_string()),
        (BLOCK_MARK.to_owned(), mark.clone()),
    ]);
    let new = NewMeteredPrice {
        product_id,
        meter_id: ensure_meter(engine, metric).await?,
        amount,
        per_units: block.per_units,
        interval,
        lookup_key,
        metadata,
    };
    let name = format!("tollgate:price:{}:{metric}:{}:{}:{mark}", plan.code, plan.version, interval.letter());
    Ok(Some(billing.create_metered_price(&key(&name)?, &new).await?.price_id))
}

/// The meter of a metric.
pub(super) async fn ensure_meter(engine: &Engine, metric: &Metric) -> Result<String, Error> {
    let event_name = event_name(metric);
    if let Some(meter_id) = engine.billing().meter(&event_name).await? {
        return Ok(meter_id);
    }
    let name =
        plans::catalog(engine).metrics.get(metric).map_or_else(|| metric.to_string(), |known| known.name.clone());
    let new = NewMeter { event_name: event_name.clone(), name };
    match engine.billing().create_meter(&key(&format!("tollgate:meter:{metric}"))?, &new).await {
        Ok(meter_id) => Ok(meter_id),
        // Another node was faster.
        Err(error @ BillingError::Refused(_)) => match engine.billing().meter(&event_name).await? {
            Some(meter_id) => Ok(meter_id),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

async fn ensure_product(engine: &Engine, plan: &Plan, metric: &Metric) -> Result<String, Error> {
    let billing = engine.billing();
    let product_id = format!("tg_{}_{metric}", plan.code);
    if billing.product(&product_id).await?.is_some() {
        return Ok(product_id);
    }
    let unit =
        plans::catalog(engine).metrics.get(metric).map_or_else(|| metric.to_string(), |known| known.name.clone());
    let metadata = BTreeMap::from([("tollgate_plan".to_owned(), plan.code.to_string())]);
    let new = NewProduct {
        product_id: product_id.clone(),
        name: format!("{}: {unit} beyond the included", plan.name),
        metadata,
    };
    match billing.create_product(&key(&format!("tollgate:product:{product_id}:{}", plan.version))?, &new).await {
        Ok(_) => Ok(product_id),
        Err(BillingError::Refused(_)) if billing.product(&product_id).await?.is_some() => Ok(product_id),
        Err(error) => Err(error.into()),
    }
}

/// Where a subscription's metered items go when it is charged for another interval: to the first of these plans that charges their
/// metric by use, so that what was counted keeps its place; taken away where none does.
///
/// # Errors
/// [`Error`].
pub(crate) async fn moved_items(
    engine: &Engine,
    subscription: &SubscriptionId,
    plans: [&Plan; 2],
    interval: Interval,
) -> Result<Vec<MeteredMove>, Error> {
    let mut moves = Vec::new();
    for item in engine.billing().metered_items(subscription).await? {
        let from = PriceId::parse(&item.price_id).map_err(|error| db::Error::Bug(error.to_string()))?;
        let mut to = None;
        for plan in plans {
            for (metric, allowance) in &plan.allowances {
                let OveragePolicy::Metered { amount_minor, per_units } = allowance.policy else { continue };
                if to.is_none() && ensure_meter(engine, metric).await? == item.meter_id {
                    let block = Block { amount_minor, per_units };
                    to = ensure_price(engine, plan, (metric, interval), block).await?;
                }
            }
        }
        moves.push(MeteredMove { item_id: item.item_id, from, to });
    }
    Ok(moves)
}

/// Makes sure that a subscription has the metered price for a metric: added, or moved from another price of the same meter.
pub(super) async fn ensure_item(
    engine: &Engine,
    subscription: &SubscriptionId,
    metric: &Metric,
    price_id: &PriceId,
) -> Result<(), Error> {
    let billing = engine.billing();
    let items = billing.metered_items(subscription).await?;
    if items.iter().any(|item| item.price_id == price_id.as_str()) {
        return Ok(());
    }
    let meter_id = ensure_meter(engine, metric).await?;
    match items.iter().find(|item| item.meter_id == meter_id) {
        Some(item) => {
            // The place it moves from is part of the key: it may move back some day.
            let name = format!("tollgate:item:{}:{}:{price_id}", item.item_id, item.price_id);
            billing.move_metered_item(&key(&name)?, &item.item_id, price_id).await?;
        }
        None => {
            let name = format!("tollgate:item:{subscription}:{}:{price_id}", items.len());
            billing.add_metered_item(&key(&name)?, subscription, price_id).await?;
        }
    }
    Ok(())
}
