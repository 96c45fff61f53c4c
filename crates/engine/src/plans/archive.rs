//! Takes prices off sale at Stripe: what was replaced, and what left the catalog. Whoever is subscribed to one stays.

use std::collections::BTreeMap;

use tollgate_connectors::billing::{Error as BillingError, IdempotencyKey, PriceChange};
use tollgate_rules::ids::PriceId;

use super::{Error, sql};
use crate::engine::Engine;

/// Takes every price off sale that the catalog in force does not sell; how many.
pub(super) async fn archive_old(engine: &Engine) -> Result<u32, Error> {
    let old = sql::old_prices(&mut engine.db().read().await?).await?;
    let mut archived = 0;
    for price_id in old {
        put(engine, &price_id, Sale::Off).await?;
        remember(engine, &price_id, Sale::Off).await?;
        archived += 1;
    }
    Ok(archived)
}

/// Puts a price on sale again under its name; false when Stripe does not have it any more.
pub(super) async fn restore(engine: &Engine, price_id: &PriceId, lookup_key: &str) -> Result<bool, Error> {
    match put(engine, price_id, Sale::On(lookup_key)).await {
        Ok(()) => {}
        Err(Error::Billing(BillingError::Missing(_))) => return Ok(false),
        Err(error) => return Err(error),
    }
    remember(engine, price_id, Sale::On(lookup_key)).await?;
    Ok(true)
}

/// Whether a price can be bought.
#[derive(Clone, Copy)]
enum Sale<'k> {
    On(&'k str),
    Off,
}

async fn put(engine: &Engine, price_id: &PriceId, sale: Sale<'_>) -> Result<(), Error> {
    let (active, lookup_key) = match sale {
        Sale::On(key) => (true, Some(key.to_owned())),
        Sale::Off => (false, None),
    };
    let change = PriceChange { active: Some(active), lookup_key, metadata: BTreeMap::new() };
    // It may go on and off sale any number of times: each is a key of its own, and setting it twice changes nothing.
    let key = IdempotencyKey::parse(&engine.new_id("tollgate:sale:"))
        .map_err(|error| BillingError::Refused(error.to_string()))?;
    match engine.billing().update_price(&key, price_id.as_str(), &change).await {
        // What was deleted by hand is off sale.
        Err(BillingError::Missing(_)) if !active => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

async fn remember(engine: &Engine, price_id: &PriceId, sale: Sale<'_>) -> Result<(), Error> {
    let (inner, price_id) = (engine.clone(), price_id.clone());
    let archived_at = match sale {
        Sale::On(_) => None,
        Sale::Off => Some(engine.now()),
    };
    let write = async move {
        let mut tx = inner.db().begin(crate::db::Lane::Control).await?;
        sql::mark_price(&mut tx, &price_id, archived_at).await?;
        tx.commit().await
    };
    Ok(engine.db().detached(write).await?)
}
