//! Metered usage: what billing is told about units that are charged, and how it is read back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, InvoiceId, PriceId, SubscriptionId};
use tollgate_rules::money::Money;
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

use super::{Billing, Error, IdempotencyKey, PriceFact};
use crate::stripe::translate;
use crate::stripe::usage_calls::ITEM_MARK;

/// A meter to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMeter {
    /// What its events are called.
    pub event_name: String,
    /// The name people see.
    pub name: String,
}

/// A metered price to be made: so much per begun block of units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewMeteredPrice {
    /// The product it belongs to.
    pub product_id: String,
    /// The meter that counts for it.
    pub meter_id: String,
    /// What a block costs.
    pub amount: Money,
    /// The size of a block.
    pub per_units: i64,
    /// How often it is charged.
    pub interval: Interval,
    /// The name it is found by.
    pub lookup_key: String,
    /// Free pairs.
    pub metadata: BTreeMap<String, String>,
}

/// Units to be counted once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterEvent {
    /// The meter's event name.
    pub event_name: String,
    /// Whose.
    pub customer_id: CustomerId,
    /// How many.
    pub units: i64,
    /// What makes it count once.
    pub identifier: String,
    /// When they were used.
    pub at: Timestamp,
}

/// Something to be charged, or given back, with the next invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewInvoiceItem {
    /// Whose.
    pub customer_id: CustomerId,
    /// With which subscription's invoice.
    pub subscription_id: Option<SubscriptionId>,
    /// On this draft; left out, on the next invoice.
    pub invoice_id: Option<InvoiceId>,
    /// How much; below 0 is given back.
    pub amount: Money,
    /// What the invoice says.
    pub description: String,
    /// Our id of it.
    pub mark: String,
}

/// An item of a subscription that a meter counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteredItem {
    /// Its id.
    pub item_id: String,
    /// What it costs.
    pub price_id: String,
    /// The meter that counts for it.
    pub meter_id: String,
}

impl Billing {
    /// The id of the meter whose events are called so; nothing when there is none that counts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn meter(&self, event_name: &str) -> Result<Option<String>, Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.stripe()?.meters(after.as_deref()).await?.value;
            if let Some(meter) = page.data.iter().find(|meter| meter.event_name == event_name) {
                return Ok(Some(meter.id.clone()));
            }
            after = page.data.last().map(|meter| meter.id.clone()).filter(|_| page.has_more);
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// Makes a meter that sums up.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when an active one has the event name.
    pub async fn create_meter(&self, key: &IdempotencyKey, new: &NewMeter) -> Result<String, Error> {
        Ok(self.stripe()?.create_meter(key, new).await?.value.id)
    }

    /// Makes a metered price; the lookup key moves to it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_metered_price(&self, key: &IdempotencyKey, new: &NewMeteredPrice) -> Result<PriceFact, Error> {
        Ok(translate::price(&self.stripe()?.create_metered_price(key, new).await?.value)?)
    }

    /// The metered items of a subscription.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn metered_items(&self, id: &SubscriptionId) -> Result<Vec<MeteredItem>, Error> {
        let items = self.stripe()?.metered_items(id.as_str()).await?.value.data;
        Ok(items
            .into_iter()
            .filter_map(|item| {
                let meter_id = item.price.recurring.as_ref()?.meter.clone()?;
                Some(MeteredItem { item_id: item.id, price_id: item.price.id, meter_id })
            })
            .collect())
    }

    /// Puts a metered price on a subscription; it costs nothing until units are counted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_metered_item(
        &self,
        key: &IdempotencyKey,
        id: &SubscriptionId,
        price_id: &PriceId,
    ) -> Result<(), Error> {
        self.stripe()?.add_metered_item(key, id.as_str(), price_id.as_str()).await?;
        Ok(())
    }

    /// Gives a metered item another price.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn move_metered_item(
        &self,
        key: &IdempotencyKey,
        item_id: &str,
        price_id: &PriceId,
    ) -> Result<(), Error> {
        self.stripe()?.move_metered_item(key, item_id, price_id.as_str()).await?;
        Ok(())
    }

    /// Reports units. The identifier counts once for a day, the key as long; afterwards read back first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send_meter_event(&self, key: &IdempotencyKey, event: &MeterEvent) -> Result<(), Error> {
        self.stripe()?.send_meter_event(key, event).await?;
        Ok(())
    }

    /// Takes a reported event of the last day back.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cancel_meter_event(
        &self,
        key: &IdempotencyKey,
        event_name: &str,
        identifier: &str,
    ) -> Result<(), Error> {
        self.stripe()?.cancel_meter_event(key, event_name, identifier).await?;
        Ok(())
    }

    /// What a customer's events came to between two whole minutes.
    ///
    /// # Errors
    /// See [`Error`]; `Garbled` when the sum is not a whole number.
    pub async fn meter_total(
        &self,
        meter_id: &str,
        customer_id: &CustomerId,
        (start, end): (Timestamp, Timestamp),
    ) -> Result<i64, Error> {
        let window = (start.as_seconds(), end.as_seconds());
        let found = self.stripe()?.meter_summaries(meter_id, customer_id.as_str(), window).await?.value.data;
        let mut total = 0_i64;
        for summary in &found {
            let text = summary.aggregated_value.to_string();
            let whole = text.strip_suffix(".0").unwrap_or(&text).parse::<i64>();
            let units = whole.map_err(|_| Error::Garbled(format!("a meter counted {text} units")))?;
            total = total.saturating_add(units);
        }
        Ok(total)
    }

    /// Whether a customer has an invoice item with this mark of ours.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn has_invoice_item(&self, customer_id: &CustomerId, mark: &str) -> Result<bool, Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.stripe()?.invoice_items(customer_id.as_str(), after.as_deref()).await?.value;
            if page.data.iter().any(|item| item.metadata.get(ITEM_MARK).is_some_and(|found| found == mark)) {
                return Ok(true);
            }
            after = page.data.last().map(|item| item.id.clone()).filter(|_| page.has_more);
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    /// Makes an invoice item.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_invoice_item(&self, key: &IdempotencyKey, new: &NewInvoiceItem) -> Result<String, Error> {
        Ok(self.stripe()?.create_invoice_item(key, new).await?.value.id)
    }
}
