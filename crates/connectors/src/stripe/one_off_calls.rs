//! The calls about invoices that no subscription makes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::calls::taxed;
use super::client::{Answer, Client};
use super::error::Error;
use super::form::{Form, path_segment};
use super::wire::{self, OPERATION_MARK};
use crate::billing::{IdempotencyKey, NewOneOff};

/// A one-off invoice, as far as we look at it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct OneOff {
    /// `in_…`
    pub(crate) id: String,
    /// Where it stands.
    pub(crate) status: Option<wire::InvoiceStatus>,
    /// Free pairs.
    #[serde(default)]
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// The secret with which a browser can confirm the payment.
    #[serde(default)]
    pub(crate) confirmation_secret: Option<wire::ConfirmationSecret>,
}

impl wire::Identified for OneOff {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Client {
    /// A draft that waits for us: it is neither finalized nor charged by itself, and takes no waiting items along.
    pub(crate) async fn create_one_off(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewOneOff,
    ) -> Result<Answer<OneOff>, Error> {
        let body = Form::new()
            .text(&["customer"], new.customer_id.as_str())
            .text(&["currency"], new.currency.as_str())
            .text(&["description"], &new.description)
            .maybe(&["default_payment_method"], new.payment_method_id.as_ref().map(|id| id.as_str()))
            .boolean(&["auto_advance"], false)
            .text(&["collection_method"], "charge_automatically")
            .text(&["pending_invoice_items_behavior"], "exclude")
            .text(&["metadata", OPERATION_MARK], operation);
        self.post(key, "/v1/invoices", taxed(body, new.automatic_tax)).await
    }

    pub(crate) async fn one_offs(
        &self,
        customer: &str,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<OneOff>>, Error> {
        let query =
            Form::new().integer(&["limit"], 100).text(&["customer"], customer).maybe(&["starting_after"], after);
        self.get("/v1/invoices", query).await
    }

    pub(crate) async fn one_off(&self, id: &str) -> Result<Answer<OneOff>, Error> {
        let query = Form::new().list("expand", ["confirmation_secret"]);
        self.get(&format!("/v1/invoices/{}", path_segment(id)), query).await
    }

    /// A draft becomes final first.
    pub(crate) async fn pay_one_off(&self, key: &IdempotencyKey, id: &str) -> Result<Answer<OneOff>, Error> {
        self.post(key, &format!("/v1/invoices/{}/pay", path_segment(id)), Form::new()).await
    }
}
