//! The calls we make, one function each: which path, which parameters. Answers are wire shapes; `billing` translates.

mod adjustments;

use super::client::{API_VERSION, Answer, Client};
use super::error::Error;
use super::form::{Form, path_segment};
use super::wire;
use crate::billing::{
    Anchor, CancelSettlement, CustomerChange, IdempotencyKey, NewCustomer, NewPrice, NewProduct, NewSubscription,
    NewWebhookEndpoint, PaymentBehavior, PriceChange, Proration, SubscriptionChange, TrialChange,
};

/// Lookup keys one request may name.
pub(crate) const LOOKUP_KEYS_MAX: usize = 10;

/// Objects per page: the most Stripe gives.
const PAGE: i64 = 100;

/// The metadata field that marks our customers and subscriptions with their org.
pub(crate) const ORG_MARK: &str = "tollgate_org";

/// The events the inbox understands: what a webhook endpoint of ours asks for as long as nobody names others.
pub const EVENTS: &[&str] = &[
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "subscription_schedule.updated",
    "subscription_schedule.released",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.aborted",
    "invoice.created",
    "invoice.updated",
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "setup_intent.succeeded",
    "setup_intent.setup_failed",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "payment_method.automatically_updated",
    "checkout.session.completed",
    "checkout.session.expired",
    "refund.created",
    "refund.updated",
    "refund.failed",
];

impl Client {
    pub(crate) async fn create_customer(
        &self,
        key: &IdempotencyKey,
        new: &NewCustomer,
    ) -> Result<Answer<wire::Customer>, Error> {
        let body = Form::new()
            .maybe(&["email"], new.email.as_deref())
            .maybe(&["name"], new.name.as_deref())
            .text(&["metadata", ORG_MARK], new.org_id.as_str());
        self.post(key, "/v1/customers", body).await
    }

    pub(crate) async fn customer(&self, id: &str) -> Result<Answer<wire::Customer>, Error> {
        self.get(&format!("/v1/customers/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn customers_by_email(
        &self,
        email: &str,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<wire::Customer>>, Error> {
        self.get("/v1/customers", page(after).text(&["email"], email)).await
    }

    pub(crate) async fn update_customer(
        &self,
        key: &IdempotencyKey,
        id: &str,
        change: &CustomerChange,
    ) -> Result<Answer<wire::Customer>, Error> {
        let method = change.default_payment_method.as_ref().map(|method| method.as_str());
        let body = Form::new()
            .maybe(&["email"], change.email.as_deref())
            .maybe(&["name"], change.name.as_deref())
            .maybe(&["invoice_settings", "default_payment_method"], method)
            .maybe(&["metadata", ORG_MARK], change.org_id.as_ref().map(|org| org.as_str()));
        self.post(key, &format!("/v1/customers/{}", path_segment(id)), body).await
    }

    pub(crate) async fn delete_customer(&self, id: &str) -> Result<Answer<wire::Customer>, Error> {
        self.delete(&format!("/v1/customers/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn product(&self, id: &str) -> Result<Answer<wire::Product>, Error> {
        self.get(&format!("/v1/products/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn create_product(
        &self,
        key: &IdempotencyKey,
        new: &NewProduct,
    ) -> Result<Answer<wire::Product>, Error> {
        let body = Form::new().text(&["id"], &new.product_id).text(&["name"], &new.name);
        self.post(key, "/v1/products", metadata(body, &new.metadata)).await
    }

    pub(crate) async fn prices_by_lookup_key(&self, keys: &[String]) -> Result<Answer<wire::List<wire::Price>>, Error> {
        let query = page(None).boolean(&["active"], true).list("lookup_keys", keys.iter().map(String::as_str));
        self.get("/v1/prices", query).await
    }

    pub(crate) async fn recurring_prices(&self, after: Option<&str>) -> Result<Answer<wire::List<wire::Price>>, Error> {
        self.get("/v1/prices", page(after).boolean(&["active"], true).text(&["type"], "recurring")).await
    }

    pub(crate) async fn create_price(
        &self,
        key: &IdempotencyKey,
        new: &NewPrice,
    ) -> Result<Answer<wire::Price>, Error> {
        let body = Form::new()
            .text(&["product"], &new.product_id)
            .text(&["currency"], new.amount.currency.as_str())
            .integer(&["unit_amount"], new.amount.minor)
            .text(&["recurring", "interval"], new.interval.as_str())
            .text(&["lookup_key"], &new.lookup_key)
            .boolean(&["transfer_lookup_key"], true);
        self.post(key, "/v1/prices", metadata(body, &new.metadata)).await
    }

    pub(crate) async fn update_price(
        &self,
        key: &IdempotencyKey,
        id: &str,
        change: &PriceChange,
    ) -> Result<Answer<wire::Price>, Error> {
        let body = change.active.map_or_else(Form::new, |active| Form::new().boolean(&["active"], active));
        let body = match &change.lookup_key {
            Some(lookup_key) => body.text(&["lookup_key"], lookup_key).boolean(&["transfer_lookup_key"], true),
            None => body,
        };
        self.post(key, &format!("/v1/prices/{}", path_segment(id)), metadata(body, &change.metadata)).await
    }

    pub(crate) async fn create_subscription(
        &self,
        key: &IdempotencyKey,
        new: &NewSubscription,
    ) -> Result<Answer<wire::Subscription>, Error> {
        let body = Form::new()
            .text(&["customer"], new.customer_id.as_str())
            .text(&["items", "0", "price"], new.price_id.as_str())
            .integer(&["items", "0", "quantity"], new.quantity)
            .text(&["billing_mode", "type"], "flexible")
            .text(&["payment_behavior"], payment_word(new.payment))
            .text(&["payment_settings", "save_default_payment_method"], "on_subscription")
            .maybe(&["default_payment_method"], new.default_payment_method.as_ref().map(|method| method.as_str()))
            .text(&["metadata", ORG_MARK], new.org_id.as_str())
            .list("expand", ["latest_invoice.confirmation_secret"]);
        let body = taxed(body, new.automatic_tax);
        let body = match new.trial_days {
            Some(days) => body
                .integer(&["trial_period_days"], i64::from(days))
                .text(&["trial_settings", "end_behavior", "missing_payment_method"], "cancel"),
            None => body,
        };
        self.post(key, "/v1/subscriptions", body).await
    }

    pub(crate) async fn subscription(&self, id: &str) -> Result<Answer<wire::Subscription>, Error> {
        let query = Form::new().list("expand", ["latest_invoice", "schedule"]);
        self.get(&format!("/v1/subscriptions/{}", path_segment(id)), query).await
    }

    pub(crate) async fn subscriptions(
        &self,
        customer: Option<&str>,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<wire::Subscription>>, Error> {
        let query = page(after)
            .text(&["status"], "all")
            .maybe(&["customer"], customer)
            .list("expand", ["data.latest_invoice", "data.schedule"]);
        self.get("/v1/subscriptions", query).await
    }

    pub(crate) async fn update_subscription(
        &self,
        key: &IdempotencyKey,
        id: &str,
        change: &SubscriptionChange,
    ) -> Result<Answer<wire::Subscription>, Error> {
        let body = subscription_change(change).list("expand", ["latest_invoice.confirmation_secret", "schedule"]);
        self.post(key, &format!("/v1/subscriptions/{}", path_segment(id)), body).await
    }

    pub(crate) async fn cancel_subscription(
        &self,
        id: &str,
        settlement: CancelSettlement,
    ) -> Result<Answer<wire::Subscription>, Error> {
        let query = match settlement {
            CancelSettlement::Nothing => Form::new(),
            CancelSettlement::Prorate => Form::new().boolean(&["invoice_now"], true).boolean(&["prorate"], true),
        };
        let query = query.list("expand", ["latest_invoice"]);
        self.delete(&format!("/v1/subscriptions/{}", path_segment(id)), query).await
    }

    pub(crate) async fn create_setup_intent(
        &self,
        key: &IdempotencyKey,
        customer: &str,
    ) -> Result<Answer<wire::SetupIntent>, Error> {
        let body = Form::new()
            .text(&["customer"], customer)
            .text(&["usage"], "off_session")
            .boolean(&["automatic_payment_methods", "enabled"], true);
        self.post(key, "/v1/setup_intents", body).await
    }

    pub(crate) async fn payment_method(&self, id: &str) -> Result<Answer<wire::PaymentMethod>, Error> {
        self.get(&format!("/v1/payment_methods/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn attach_payment_method(
        &self,
        key: &IdempotencyKey,
        id: &str,
        customer: &str,
    ) -> Result<Answer<wire::PaymentMethod>, Error> {
        let body = Form::new().text(&["customer"], customer);
        self.post(key, &format!("/v1/payment_methods/{}/attach", path_segment(id)), body).await
    }

    pub(crate) async fn payment_intent(&self, id: &str) -> Result<Answer<wire::PaymentIntent>, Error> {
        self.get(&format!("/v1/payment_intents/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn invoice(&self, id: &str) -> Result<Answer<wire::Invoice>, Error> {
        self.get(&format!("/v1/invoices/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn invoices(
        &self,
        customer: &str,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<wire::Invoice>>, Error> {
        self.get("/v1/invoices", page(after).text(&["customer"], customer)).await
    }

    /// Fetches the lines that did not come along with the invoice.
    pub(crate) async fn complete_lines(&self, invoice: &mut wire::Invoice) -> Result<(), Error> {
        let Some(lines) = invoice.lines.as_mut() else { return Ok(()) };
        let path = format!("/v1/invoices/{}/lines", path_segment(&invoice.id));
        while lines.has_more {
            let after = lines.data.last().map(|line| line.id.clone());
            let more: wire::List<wire::InvoiceLine> = self.get(&path, page(after.as_deref())).await?.value;
            lines.has_more = more.has_more && !more.data.is_empty();
            lines.data.extend(more.data);
        }
        Ok(())
    }

    pub(crate) async fn event(&self, id: &str) -> Result<Answer<wire::Event>, Error> {
        self.get(&format!("/v1/events/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn events(
        &self,
        since_seconds: i64,
        after: Option<&str>,
    ) -> Result<Answer<wire::List<wire::Event>>, Error> {
        self.get("/v1/events", page(after).integer(&["created", "gte"], since_seconds)).await
    }

    pub(crate) async fn webhook_endpoints(&self) -> Result<Answer<wire::List<wire::WebhookEndpoint>>, Error> {
        self.get("/v1/webhook_endpoints", page(None)).await
    }

    pub(crate) async fn create_webhook_endpoint(
        &self,
        key: &IdempotencyKey,
        new: &NewWebhookEndpoint,
    ) -> Result<Answer<wire::WebhookEndpoint>, Error> {
        let body = Form::new().text(&["url"], &new.url).text(&["api_version"], API_VERSION);
        let body = match new.events.is_empty() {
            true => body.list("enabled_events", EVENTS.iter().copied()),
            false => body.list("enabled_events", new.events.iter().map(String::as_str)),
        };
        self.post(key, "/v1/webhook_endpoints", body).await
    }
}

fn page(after: Option<&str>) -> Form {
    Form::new().integer(&["limit"], PAGE).maybe(&["starting_after"], after)
}

fn metadata(form: Form, pairs: &std::collections::BTreeMap<String, String>) -> Form {
    pairs.iter().fold(form, |form, (name, value)| form.text(&["metadata", name], value))
}

fn subscription_change(change: &SubscriptionChange) -> Form {
    let mut form = Form::new();
    if let Some(item) = &change.item {
        form = form
            .text(&["items", "0", "id"], &item.item_id)
            .text(&["items", "0", "price"], item.price_id.as_str())
            .integer(&["items", "0", "quantity"], item.quantity);
    }
    form = moved(form, &[], change);
    if change.trial == TrialChange::EndNow {
        form = form.text(&["trial_end"], "now");
    }
    if let Some(proration) = change.proration {
        form = form.text(&["proration_behavior"], proration_word(proration));
    }
    if let Some(at) = change.proration_at {
        form = form.integer(&["proration_date"], at.as_seconds());
    }
    if let Some(anchor) = change.anchor {
        form = form.text(&["billing_cycle_anchor", "type"], anchor_word(anchor));
    }
    if let Some(payment) = change.payment {
        form = form.text(&["payment_behavior"], payment_word(payment));
    }
    if let Some(ends) = change.cancel_at_period_end {
        form = form.boolean(&["cancel_at_period_end"], ends);
    }
    if change.clear_cancel_at {
        form = form.text(&["cancel_at"], "");
    }
    form = form.maybe(&["discounts", "0", "coupon"], change.coupon.as_deref());
    form = taxed(form, change.automatic_tax && change.payment != Some(PaymentBehavior::PendingIfIncomplete));
    form.maybe(&["default_payment_method"], change.default_payment_method.as_ref().map(|method| method.as_str()))
}

/// With automatic tax where it is wanted; what is left out stays as it is.
pub(super) fn taxed(form: Form, wanted: bool) -> Form {
    if wanted { form.boolean(&["automatic_tax", "enabled"], true) } else { form }
}

/// The items that are charged by use, behind the one that is charged by count.
pub(super) fn moved(mut form: Form, under: &[&str], change: &SubscriptionChange) -> Form {
    for (index, one) in change.metered.iter().enumerate() {
        let index = (index + usize::from(change.item.is_some())).to_string();
        let path = |member| [under, &["items", &index, member]].concat();
        form = form.text(&path("id"), &one.item_id);
        form = match &one.to {
            Some(price) => form.text(&path("price"), price.as_str()),
            None => form.boolean(&path("deleted"), true),
        };
    }
    form
}

fn payment_word(payment: PaymentBehavior) -> &'static str {
    match payment {
        PaymentBehavior::AllowIncomplete => "allow_incomplete",
        PaymentBehavior::DefaultIncomplete => "default_incomplete",
        PaymentBehavior::ErrorIfIncomplete => "error_if_incomplete",
        PaymentBehavior::PendingIfIncomplete => "pending_if_incomplete",
    }
}

pub(super) fn proration_word(proration: Proration) -> &'static str {
    match proration {
        Proration::Nothing => "none",
        Proration::NextInvoice => "create_prorations",
        Proration::InvoiceNow => "always_invoice",
    }
}

pub(super) fn anchor_word(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Now => "now",
        Anchor::Unchanged => "unchanged",
    }
}
