//! Which permissions of a restricted key Tollgate needs, and which of them a key lacks: found out by reading one object each.
//!
//! A restricted key has, per resource, none, read or write; write includes read. Only reads are tried, because they change
//! nothing: what is told as there may still lack its write half, which `doctor` names beside it.

use super::client::Client;
use super::error::Error;
use super::form::Form;

/// A permission as Stripe's dashboard names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The resource, as the dashboard names it.
    pub resource: &'static str,
    /// Whether Tollgate changes it.
    pub write: bool,
    /// A list whose reading shows it.
    path: &'static str,
}

const fn write(resource: &'static str, path: &'static str) -> Permission {
    Permission { resource, write: true, path }
}

const fn read(resource: &'static str, path: &'static str) -> Permission {
    Permission { resource, write: false, path }
}

/// Every permission that Tollgate needs.
pub const NEEDED: &[Permission] = &[
    write("Customers", "/v1/customers"),
    write("Products", "/v1/products"),
    write("Prices", "/v1/prices"),
    write("Subscriptions", "/v1/subscriptions"),
    write("SetupIntents", "/v1/setup_intents"),
    write("Invoices", "/v1/invoices"),
    write("Checkout Sessions", "/v1/checkout/sessions"),
    write("Customer portal", "/v1/billing_portal/configurations"),
    write("PaymentMethods", "/v1/payment_methods"),
    write("Coupons", "/v1/coupons"),
    write("Promotion Codes", "/v1/promotion_codes"),
    write("Credit notes", "/v1/credit_notes"),
    write("Charges and Refunds", "/v1/refunds"),
    write("Webhook Endpoints", "/v1/webhook_endpoints"),
    read("PaymentIntents", "/v1/payment_intents"),
    read("Events", "/v1/events"),
];

/// What reading showed about a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The key may read there.
    There,
    /// The key may not.
    Missing,
    /// Stripe did not say.
    Unknown(String),
}

impl Client {
    /// Reads one object of every resource and says what the key may.
    pub(crate) async fn permissions(&self) -> Vec<(Permission, Seen)> {
        let mut seen = Vec::with_capacity(NEEDED.len());
        for permission in NEEDED {
            let found = self.get::<serde_json::Value>(permission.path, Form::new().integer(&["limit"], 1)).await;
            seen.push((
                *permission,
                match found {
                    Ok(_) => Seen::There,
                    Err(Error::Credentials(refusal)) if refusal.status == 403 => Seen::Missing,
                    Err(error) => Seen::Unknown(error.to_string()),
                },
            ));
        }
        seen
    }
}
