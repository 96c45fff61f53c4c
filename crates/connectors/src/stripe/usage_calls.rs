//! The calls about metered usage: meters, their events, metered items, invoice items.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::{Answer, Client};
use super::error::Error;
use super::form::{Form, path_segment};
use super::wire;
use crate::billing::{IdempotencyKey, MeterEvent, NewInvoiceItem, NewMeter, NewMeteredPrice};

/// What an invoice item of ours is found by.
pub(crate) const ITEM_MARK: &str = "tollgate_report";

/// A meter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Meter {
    /// `mtr_…`
    pub(crate) id: String,
    /// What its events are called.
    pub(crate) event_name: String,
}

/// What a customer's events came to in a stretch of time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct MeterSummary {
    /// The sum; a JSON number that may be written with a fraction.
    pub(crate) aggregated_value: serde_json::Number,
}

/// An answer of which only the fact that it came counts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Done {}

/// An object of which only the id counts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Made {
    /// Its id.
    pub(crate) id: String,
}

/// An invoice item, as far as we look at it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Item {
    /// `ii_…`
    pub(crate) id: String,
    /// Free pairs.
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Client {
    pub(crate) async fn invoice_items(
        &self,
        customer: &str,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<Item>>, Error> {
        let query =
            Form::new().integer(&["limit"], 100).text(&["customer"], customer).maybe(&["starting_after"], after);
        self.get("/v1/invoiceitems", query).await
    }

    pub(crate) async fn meters(&self, after: Option<&str>) -> Result<Answer<wire::List<Meter>>, Error> {
        let query = Form::new().integer(&["limit"], 100).maybe(&["starting_after"], after);
        self.get("/v1/billing/meters", query.text(&["status"], "active")).await
    }

    pub(crate) async fn create_meter(&self, key: &IdempotencyKey, new: &NewMeter) -> Result<Answer<Meter>, Error> {
        let body = Form::new()
            .text(&["display_name"], &new.name)
            .text(&["event_name"], &new.event_name)
            .text(&["default_aggregation", "formula"], "sum")
            .text(&["customer_mapping", "type"], "by_id")
            .text(&["customer_mapping", "event_payload_key"], "stripe_customer_id")
            .text(&["value_settings", "event_payload_key"], "value");
        self.post(key, "/v1/billing/meters", body).await
    }

    pub(crate) async fn create_metered_price(
        &self,
        key: &IdempotencyKey,
        new: &NewMeteredPrice,
    ) -> Result<Answer<wire::Price>, Error> {
        let body = Form::new()
            .text(&["product"], &new.product_id)
            .text(&["currency"], new.amount.currency.as_str())
            .integer(&["unit_amount"], new.amount.minor)
            .text(&["recurring", "interval"], new.interval.as_str())
            .text(&["recurring", "usage_type"], "metered")
            .text(&["recurring", "meter"], &new.meter_id)
            .integer(&["transform_quantity", "divide_by"], new.per_units)
            .text(&["transform_quantity", "round"], "up")
            .text(&["lookup_key"], &new.lookup_key)
            .boolean(&["transfer_lookup_key"], true);
        let body = new.metadata.iter().fold(body, |body, (name, value)| body.text(&["metadata", name], value));
        self.post(key, "/v1/prices", body).await
    }

    pub(crate) async fn metered_items(
        &self,
        subscription: &str,
    ) -> Result<Answer<wire::List<wire::SubscriptionItem>>, Error> {
        let query = Form::new().integer(&["limit"], 100).text(&["subscription"], subscription);
        self.get("/v1/subscription_items", query).await
    }

    pub(crate) async fn add_metered_item(
        &self,
        key: &IdempotencyKey,
        subscription: &str,
        price: &str,
    ) -> Result<Answer<Made>, Error> {
        let body = Form::new()
            .text(&["subscription"], subscription)
            .text(&["price"], price)
            .text(&["proration_behavior"], "none");
        self.post(key, "/v1/subscription_items", body).await
    }

    pub(crate) async fn move_metered_item(
        &self,
        key: &IdempotencyKey,
        item: &str,
        price: &str,
    ) -> Result<Answer<Made>, Error> {
        let body = Form::new().text(&["price"], price).text(&["proration_behavior"], "none");
        self.post(key, &format!("/v1/subscription_items/{}", path_segment(item)), body).await
    }

    pub(crate) async fn send_meter_event(
        &self,
        key: &IdempotencyKey,
        event: &MeterEvent,
    ) -> Result<Answer<Done>, Error> {
        let body = Form::new()
            .text(&["event_name"], &event.event_name)
            .text(&["payload", "stripe_customer_id"], event.customer_id.as_str())
            .text(&["payload", "value"], &event.units.to_string())
            .text(&["identifier"], &event.identifier)
            .integer(&["timestamp"], event.at.as_seconds());
        self.post(key, "/v1/billing/meter_events", body).await
    }

    pub(crate) async fn cancel_meter_event(
        &self,
        key: &IdempotencyKey,
        event_name: &str,
        identifier: &str,
    ) -> Result<Answer<Done>, Error> {
        let body = Form::new()
            .text(&["event_name"], event_name)
            .text(&["type"], "cancel")
            .text(&["cancel", "identifier"], identifier);
        self.post(key, "/v1/billing/meter_event_adjustments", body).await
    }

    pub(crate) async fn meter_summaries(
        &self,
        meter: &str,
        customer: &str,
        (start_seconds, end_seconds): (i64, i64),
    ) -> Result<Answer<wire::List<MeterSummary>>, Error> {
        let query = Form::new()
            .integer(&["limit"], 100)
            .text(&["customer"], customer)
            .integer(&["start_time"], start_seconds)
            .integer(&["end_time"], end_seconds);
        self.get(&format!("/v1/billing/meters/{}/event_summaries", path_segment(meter)), query).await
    }

    pub(crate) async fn create_invoice_item(
        &self,
        key: &IdempotencyKey,
        new: &NewInvoiceItem,
    ) -> Result<Answer<Made>, Error> {
        let body = Form::new()
            .text(&["customer"], new.customer_id.as_str())
            .integer(&["amount"], new.amount.minor)
            .text(&["currency"], new.amount.currency.as_str())
            .text(&["description"], &new.description)
            .maybe(&["subscription"], new.subscription_id.as_ref().map(|id| id.as_str()))
            .maybe(&["invoice"], new.invoice_id.as_ref().map(|id| id.as_str()))
            .text(&["metadata", ITEM_MARK], &new.mark);
        self.post(key, "/v1/invoiceitems", body).await
    }
}
