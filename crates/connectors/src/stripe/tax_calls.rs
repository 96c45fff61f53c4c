//! The calls about where a customer is taxed and by which tax ids.

use serde::Deserialize;

use super::client::{Answer, Client};
use super::error::Error;
use super::form::{Form, path_segment};
use super::wire;
use crate::billing::{IdempotencyKey, TaxAddress, TaxIdGiven};

/// A customer, as far as tax goes.
#[derive(Debug, Deserialize)]
pub(crate) struct TaxedCustomer {
    /// Where it is.
    #[serde(default)]
    pub(crate) address: Option<Address>,
}

/// An address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Address {
    pub(crate) country: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) line1: Option<String>,
    pub(crate) line2: Option<String>,
}

/// A tax id of a customer.
#[derive(Debug, Deserialize)]
pub(crate) struct TaxId {
    /// `txi_…`
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) verification: Option<Verification>,
}

impl wire::Identified for TaxId {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What a register said about a tax id.
#[derive(Debug, Deserialize)]
pub(crate) struct Verification {
    #[serde(default)]
    pub(crate) status: Option<String>,
}

/// A subscription, as far as tax goes.
#[derive(Debug, Deserialize)]
pub(crate) struct TaxedSubscription {
    #[serde(default)]
    pub(crate) automatic_tax: Option<AutomaticTax>,
}

/// Whether tax is worked out by where the customer is.
#[derive(Debug, Deserialize)]
pub(crate) struct AutomaticTax {
    pub(crate) enabled: bool,
}

/// What stays of something deleted.
#[derive(Debug, Deserialize)]
pub(crate) struct Gone {}

impl Client {
    pub(crate) async fn taxed_customer(&self, customer: &str) -> Result<Answer<TaxedCustomer>, Error> {
        self.get(&format!("/v1/customers/{}", path_segment(customer)), Form::new()).await
    }

    pub(crate) async fn taxed_subscription(&self, id: &str) -> Result<Answer<TaxedSubscription>, Error> {
        self.get(&format!("/v1/subscriptions/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn set_tax_address(
        &self,
        key: &IdempotencyKey,
        customer: &str,
        address: &TaxAddress,
    ) -> Result<Answer<TaxedCustomer>, Error> {
        // What an address leaves out is cleared: half of the old one and half of the new one is nowhere.
        let part =
            |form: Form, name, text: &Option<String>| form.text(&["address", name], text.as_deref().unwrap_or(""));
        let body = Form::new().text(&["address", "country"], &address.country);
        let body = part(body, "state", &address.state);
        let body = part(body, "postal_code", &address.postal_code);
        let body = part(body, "city", &address.city);
        let body = part(body, "line1", &address.line1);
        let body = part(body, "line2", &address.line2);
        let body = body.text(&["tax", "validate_location"], "immediately");
        self.post(key, &format!("/v1/customers/{}", path_segment(customer)), body).await
    }

    pub(crate) async fn tax_ids(&self, customer: &str) -> Result<Answer<wire::List<TaxId>>, Error> {
        let path = format!("/v1/customers/{}/tax_ids", path_segment(customer));
        self.get(&path, Form::new().integer(&["limit"], 100)).await
    }

    pub(crate) async fn create_tax_id(
        &self,
        key: &IdempotencyKey,
        customer: &str,
        new: &TaxIdGiven,
    ) -> Result<Answer<TaxId>, Error> {
        let body = Form::new().text(&["type"], &new.kind).text(&["value"], &new.value);
        self.post(key, &format!("/v1/customers/{}/tax_ids", path_segment(customer)), body).await
    }

    pub(crate) async fn delete_tax_id(&self, customer: &str, id: &str) -> Result<Answer<Gone>, Error> {
        let path = format!("/v1/customers/{}/tax_ids/{}", path_segment(customer), path_segment(id));
        self.delete(&path, Form::new()).await
    }
}
