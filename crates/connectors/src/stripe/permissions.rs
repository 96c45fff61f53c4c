//! Which permissions of a restricted key Tollgate needs, and which of them a key lacks: found out by reading one object each.
//!
//! A restricted key has, per resource, none, read or write; write includes read. Only reads are tried, because they change
//! nothing: what is told as there may still lack its write half, which `doctor` names beside it. Stripe's answer names the permission
//! it would take in its own words (`rak_…`); they are passed on as they are.

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
    /// A list whose reading shows it; nothing where there is none to read.
    path: Option<&'static str>,
}

const fn write(resource: &'static str, path: &'static str) -> Permission {
    Permission { resource, write: true, path: Some(path) }
}

const fn read(resource: &'static str, path: &'static str) -> Permission {
    Permission { resource, write: false, path: Some(path) }
}

/// What can only be written: nothing harmless shows it.
const fn send(resource: &'static str) -> Permission {
    Permission { resource, write: true, path: None }
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
    write("Meters", "/v1/billing/meters"),
    send("Meter events"),
    send("Meter event adjustments"),
    read("PaymentIntents", "/v1/payment_intents"),
    read("Events", "/v1/events"),
];

/// What reading showed about a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The key may read there.
    There,
    /// The key may not. With what Stripe calls the permission, where it says so.
    Missing(Option<String>),
    /// Nothing harmless shows it.
    Untried,
    /// Stripe did not say.
    Unknown(String),
}

impl Client {
    /// Reads one object of every resource and says what the key may.
    pub(crate) async fn permissions(&self) -> Vec<(Permission, Seen)> {
        let mut seen = Vec::with_capacity(NEEDED.len());
        for permission in NEEDED {
            let told = match permission.path {
                Some(path) => self.may_read(path).await,
                None => Seen::Untried,
            };
            seen.push((*permission, told));
        }
        seen
    }

    async fn may_read(&self, path: &str) -> Seen {
        match self.get::<serde_json::Value>(path, Form::new().integer(&["limit"], 1)).await {
            Ok(_) => Seen::There,
            Err(Error::Credentials(refusal)) if refusal.status == 403 => Seen::Missing(named_in(&refusal.message)),
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }
}

/// `… Having the 'rak_coupon_read' permission would allow …` → `rak_coupon_read`.
fn named_in(message: &str) -> Option<String> {
    let word = message.split('\'').find(|part| part.starts_with("rak_"))?;
    let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    plain.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn the_permission_is_called_what_stripe_calls_it() {
        let message = "The provided key 'rk_test_*' does not have the required permissions for this endpoint on account \
                       'acct_1'. Having the 'rak_coupon_read' permission would allow this request to continue.";
        assert_eq!(named_in(message).as_deref(), Some("rak_coupon_read"));
        assert_eq!(named_in("No."), None);
    }
}
