//! The calls about changes of a running subscription.

use super::calls::{anchor_word, moved, proration_word, taxed};
use super::client::{Answer, Client};
use super::error::Error;
use super::form::{Form, path_segment};
use super::wire;
use crate::billing::{Anchor, IdempotencyKey, PhaseItem, SchedulePhases, SubscriptionChange, TrialChange};

impl Client {
    /// Stores nothing, and so takes a key of no operation.
    pub(crate) async fn preview_change(
        &self,
        customer: &str,
        subscription: &str,
        change: &SubscriptionChange,
    ) -> Result<Answer<wire::Invoice>, Error> {
        let body = Form::new().text(&["customer"], customer).text(&["subscription"], subscription);
        let body = details(body, change).maybe(&["discounts", "0", "coupon"], change.coupon.as_deref());
        self.ask("/v1/invoices/create_preview", taxed(body, change.automatic_tax)).await
    }

    pub(crate) async fn void_invoice(&self, key: &IdempotencyKey, id: &str) -> Result<Answer<wire::Invoice>, Error> {
        self.post(key, &format!("/v1/invoices/{}/void", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn create_schedule(
        &self,
        key: &IdempotencyKey,
        subscription: &str,
    ) -> Result<Answer<wire::Schedule>, Error> {
        let body = Form::new().text(&["from_subscription"], subscription);
        self.post(key, "/v1/subscription_schedules", body).await
    }

    pub(crate) async fn set_phases(
        &self,
        key: &IdempotencyKey,
        id: &str,
        phases: &SchedulePhases,
    ) -> Result<Answer<wire::Schedule>, Error> {
        let body = Form::new().text(&["end_behavior"], "release");
        let body = phase_items(body, "0", &phases.running)
            .integer(&["phases", "0", "start_date"], phases.period.start.as_seconds())
            .integer(&["phases", "0", "end_date"], phases.period.end.as_seconds())
            .text(&["phases", "0", "proration_behavior"], "none");
        let body = phase_items(body, "1", &phases.next)
            .text(&["phases", "1", "duration", "interval"], phases.interval.as_str())
            .text(&["phases", "1", "proration_behavior"], "none");
        let body = match phases.fresh_anchor {
            true => body.text(&["phases", "1", "billing_cycle_anchor"], "phase_start"),
            false => body,
        };
        self.post(key, &format!("/v1/subscription_schedules/{}", path_segment(id)), body).await
    }

    pub(crate) async fn release_schedule(
        &self,
        key: &IdempotencyKey,
        id: &str,
    ) -> Result<Answer<wire::Schedule>, Error> {
        self.post(key, &format!("/v1/subscription_schedules/{}/release", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn pause_subscription(
        &self,
        key: &IdempotencyKey,
        id: &str,
    ) -> Result<Answer<wire::Subscription>, Error> {
        let body = Form::new().text(&["type"], "subscription").list("expand", ["latest_invoice", "schedule"]);
        self.post(key, &format!("/v1/subscriptions/{}/pause", path_segment(id)), body).await
    }

    pub(crate) async fn resume_subscription(
        &self,
        key: &IdempotencyKey,
        id: &str,
        anchor: Anchor,
    ) -> Result<Answer<wire::Subscription>, Error> {
        let body = Form::new()
            .text(&["billing_cycle_anchor", "type"], anchor_word(anchor))
            .text(&["payment_behavior"], "resume_on_payment_success")
            .text(&["proration_behavior"], "none")
            .list("expand", ["latest_invoice.confirmation_secret", "schedule"]);
        self.post(key, &format!("/v1/subscriptions/{}/resume", path_segment(id)), body).await
    }
}

fn phase_items(mut form: Form, phase: &str, items: &[PhaseItem]) -> Form {
    for (index, item) in items.iter().enumerate() {
        let index = index.to_string();
        form = form.text(&["phases", phase, "items", &index, "price"], item.price_id.as_str());
        if let Some(quantity) = item.quantity {
            form = form.integer(&["phases", phase, "items", &index, "quantity"], quantity);
        }
    }
    form
}

fn details(mut form: Form, change: &SubscriptionChange) -> Form {
    const DETAILS: &str = "subscription_details";
    if let Some(item) = &change.item {
        form = form
            .text(&[DETAILS, "items", "0", "id"], &item.item_id)
            .text(&[DETAILS, "items", "0", "price"], item.price_id.as_str())
            .integer(&[DETAILS, "items", "0", "quantity"], item.quantity);
    }
    form = moved(form, &[DETAILS], change);
    if change.trial == TrialChange::EndNow {
        form = form.text(&[DETAILS, "trial_end"], "now");
    }
    if let Some(proration) = change.proration {
        form = form.text(&[DETAILS, "proration_behavior"], proration_word(proration));
    }
    if let Some(at) = change.proration_at {
        form = form.integer(&[DETAILS, "proration_date"], at.as_seconds());
    }
    if let Some(anchor) = change.anchor {
        form = form.text(&[DETAILS, "billing_cycle_anchor", "type"], anchor_word(anchor));
    }
    form
}
