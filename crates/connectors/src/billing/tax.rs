//! Where a customer is taxed, and by which tax ids.

use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, SubscriptionId};

use super::{Billing, Error, IdempotencyKey, SubscriptionChange};
use crate::stripe::translate;

/// Where a customer is. What is left out is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxAddress {
    /// ISO 3166, two capital letters.
    pub country: String,
    /// State, province or region.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Street and number.
    pub line1: Option<String>,
    /// What goes below them.
    pub line2: Option<String>,
}

/// A tax id as it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxIdGiven {
    /// Which kind (`eu_vat`).
    pub kind: String,
    /// As the authority wrote it.
    pub value: String,
}

/// A tax id as billing keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxIdFact {
    /// Its id at billing.
    pub tax_id: String,
    /// What it is.
    pub given: TaxIdGiven,
    /// What the register said: `pending`, `verified`, `unverified`, `unavailable`.
    pub status: Option<String>,
}

impl Billing {
    /// Where a customer is, as far as billing knows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tax_address(&self, id: &CustomerId) -> Result<Option<TaxAddress>, Error> {
        let address = self.stripe()?.taxed_customer(id.as_str()).await?.value.address.unwrap_or_default();
        let known = |text: Option<String>| text.filter(|text| !text.is_empty());
        let Some(country) = known(address.country) else { return Ok(None) };
        Ok(Some(TaxAddress {
            country,
            state: known(address.state),
            postal_code: known(address.postal_code),
            city: known(address.city),
            line1: known(address.line1),
            line2: known(address.line2),
        }))
    }

    /// Sets where a customer is, in place of what was known.
    ///
    /// # Errors
    /// See [`Error`]; `NoPlace` where tax could not be worked out there.
    pub async fn set_tax_address(
        &self,
        key: &IdempotencyKey,
        id: &CustomerId,
        address: &TaxAddress,
    ) -> Result<(), Error> {
        self.stripe()?.set_tax_address(key, id.as_str(), address).await?;
        Ok(())
    }

    /// A customer's tax ids: billing keeps few of them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tax_ids(&self, id: &CustomerId) -> Result<Vec<TaxIdFact>, Error> {
        let list = self.stripe()?.tax_ids(id.as_str()).await?.value;
        let fact = |tax_id: crate::stripe::TaxId| TaxIdFact {
            tax_id: tax_id.id,
            given: TaxIdGiven { kind: tax_id.kind, value: tax_id.value },
            status: tax_id.verification.and_then(|verification| verification.status),
        };
        Ok(list.data.into_iter().map(fact).collect())
    }

    /// Gives a customer a tax id.
    ///
    /// # Errors
    /// See [`Error`]; `BadTaxId` where it is none of its kind.
    pub async fn create_tax_id(&self, key: &IdempotencyKey, id: &CustomerId, new: &TaxIdGiven) -> Result<(), Error> {
        self.stripe()?.create_tax_id(key, id.as_str(), new).await?;
        Ok(())
    }

    /// Takes a tax id away. One that is gone stays gone.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_tax_id(&self, id: &CustomerId, tax_id: &str) -> Result<(), Error> {
        translate::found(self.stripe()?.delete_tax_id(id.as_str(), tax_id).await).map(drop)
    }

    /// Whether a subscription's tax is worked out by where the customer is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn has_automatic_tax(&self, id: &SubscriptionId) -> Result<bool, Error> {
        let subscription = self.stripe()?.taxed_subscription(id.as_str()).await?.value;
        Ok(subscription.automatic_tax.is_some_and(|tax| tax.enabled))
    }

    /// Lets a subscription's tax be worked out by where the customer is, from its next invoice on.
    ///
    /// # Errors
    /// See [`Error`]; `NoPlace` where that is not known.
    pub async fn switch_on_tax(&self, key: &IdempotencyKey, id: &SubscriptionId) -> Result<(), Error> {
        let change = SubscriptionChange { automatic_tax: true, ..SubscriptionChange::default() };
        self.update_subscription(key, id, &change).await.map(drop)
    }
}
