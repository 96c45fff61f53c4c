//! The calls about what Stripe hosts for customers: checkout, the portal, and the cards kept there.

use super::calls::ORG_MARK;
use super::client::{Answer, Client};
use super::error::Error;
use super::form::{Form, path_segment};
use super::wire;
use crate::billing::{IdempotencyKey, NewCheckout};

/// The metadata field that names the checkout of ours a session and its subscription come from.
pub(crate) const CHECKOUT_MARK: &str = "tollgate_checkout";
/// The metadata field with the name of the org that a checkout is going to make.
const ORG_NAME_MARK: &str = "tollgate_org_name";

/// Objects per page: the most Stripe gives.
const PAGE: i64 = 100;

impl Client {
    pub(crate) async fn create_checkout(
        &self,
        key: &IdempotencyKey,
        new: &NewCheckout,
    ) -> Result<Answer<wire::CheckoutSession>, Error> {
        let body = Form::new()
            .text(&["mode"], "subscription")
            .maybe(&["customer"], new.customer_id.as_ref().map(|customer| customer.as_str()))
            .maybe(&["customer_email"], new.email.as_deref())
            .text(&["client_reference_id"], new.org_id.as_str())
            .text(&["line_items", "0", "price"], new.price_id.as_str())
            .integer(&["line_items", "0", "quantity"], new.quantity)
            .text(&["success_url"], &new.success_url)
            .text(&["cancel_url"], &new.cancel_url)
            .text(&["subscription_data", "billing_mode", "type"], "flexible");
        let body = marked(body, &["metadata"], new);
        let body = marked(body, &["subscription_data", "metadata"], new);
        let body = match new.trial_days {
            Some(days) => body
                .integer(&["subscription_data", "trial_period_days"], i64::from(days))
                .text(&["subscription_data", "trial_settings", "end_behavior", "missing_payment_method"], "cancel"),
            None => body,
        };
        let body = match new.collect_tax {
            false => body,
            true => {
                let body =
                    body.boolean(&["automatic_tax", "enabled"], true).boolean(&["tax_id_collection", "enabled"], true);
                // An existing customer's address and name are only kept where that is said.
                let known = new.customer_id.as_ref().map(|_| "auto");
                body.maybe(&["customer_update", "address"], known).maybe(&["customer_update", "name"], known)
            }
        };
        self.post(key, "/v1/checkout/sessions", body).await
    }

    pub(crate) async fn checkout(&self, id: &str) -> Result<Answer<wire::CheckoutSession>, Error> {
        self.get(&format!("/v1/checkout/sessions/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn checkouts(
        &self,
        since_seconds: i64,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<wire::CheckoutSession>>, Error> {
        let query = Form::new()
            .integer(&["limit"], PAGE)
            .maybe(&["starting_after"], after)
            .integer(&["created", "gte"], since_seconds);
        self.get("/v1/checkout/sessions", query).await
    }

    pub(crate) async fn expire_checkout(
        &self,
        key: &IdempotencyKey,
        id: &str,
    ) -> Result<Answer<wire::CheckoutSession>, Error> {
        self.post(key, &format!("/v1/checkout/sessions/{}/expire", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn create_portal_session(
        &self,
        key: &IdempotencyKey,
        customer: &str,
        return_url: Option<&str>,
    ) -> Result<Answer<wire::PortalSession>, Error> {
        let body = Form::new().text(&["customer"], customer).maybe(&["return_url"], return_url);
        self.post(key, "/v1/billing_portal/sessions", body).await
    }

    pub(crate) async fn payment_methods(
        &self,
        customer: &str,
        limit: i64,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<wire::PaymentMethod>>, Error> {
        let query = Form::new().integer(&["limit"], limit.clamp(1, PAGE)).maybe(&["starting_after"], after);
        self.get(&format!("/v1/customers/{}/payment_methods", path_segment(customer)), query).await
    }

    pub(crate) async fn detach_payment_method(
        &self,
        key: &IdempotencyKey,
        id: &str,
    ) -> Result<Answer<wire::PaymentMethod>, Error> {
        self.post(key, &format!("/v1/payment_methods/{}/detach", path_segment(id)), Form::new()).await
    }
}

fn marked(form: Form, under: &[&str], new: &NewCheckout) -> Form {
    let path = |name| [under, &[name]].concat();
    form.text(&path(ORG_MARK), new.org_id.as_str())
        .text(&path(CHECKOUT_MARK), &new.checkout_id)
        .maybe(&path(ORG_NAME_MARK), new.org_name.as_deref())
}
