//! The calls about coupons, promotion codes, balances, refunds and credit notes.

use super::page;
use crate::billing::{IdempotencyKey, Lasting, NewCoupon, NewCredit, NewCreditNote, NewPromotion, NewRefund, Off};
use crate::stripe::client::{Answer, Client};
use crate::stripe::error::Error;
use crate::stripe::form::{Form, path_segment};
use crate::stripe::wire::{self, OPERATION_MARK};

impl Client {
    pub(crate) async fn coupon(&self, id: &str) -> Result<Answer<wire::Coupon>, Error> {
        self.get(&format!("/v1/coupons/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn create_coupon(
        &self,
        key: &IdempotencyKey,
        new: &NewCoupon,
    ) -> Result<Answer<wire::Coupon>, Error> {
        let body = Form::new().text(&["id"], &new.coupon_id).maybe(&["name"], new.name.as_deref());
        let body = match &new.off {
            Off::Percent(percent) => body.text(&["percent_off"], percent),
            Off::Amount(amount) => {
                body.integer(&["amount_off"], amount.minor).text(&["currency"], amount.currency.as_str())
            }
        };
        let body = match new.lasting {
            Lasting::Once => body.text(&["duration"], "once"),
            Lasting::Forever => body.text(&["duration"], "forever"),
            Lasting::Months(months) => body.text(&["duration"], "repeating").integer(&["duration_in_months"], months),
        };
        let body = maybe_integer(body, "max_redemptions", new.redemptions_max);
        let body = maybe_integer(body, "redeem_by", new.redeem_by.map(|by| by.as_seconds()));
        self.post(key, "/v1/coupons", body).await
    }

    pub(crate) async fn give_coupon(
        &self,
        key: &IdempotencyKey,
        subscription: &str,
        coupon: &str,
    ) -> Result<Answer<wire::Subscription>, Error> {
        let body = Form::new().text(&["discounts", "0", "coupon"], coupon);
        self.post(key, &format!("/v1/subscriptions/{}", path_segment(subscription)), body).await
    }

    pub(crate) async fn create_promotion(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewPromotion,
    ) -> Result<Answer<wire::PromotionCode>, Error> {
        let body = Form::new()
            .text(&["promotion", "type"], "coupon")
            .text(&["promotion", "coupon"], &new.coupon_id)
            .maybe(&["code"], new.code.as_deref())
            .maybe(&["customer"], new.customer_id.as_ref().map(|customer| customer.as_str()))
            .text(&["metadata", OPERATION_MARK], operation);
        let body = maybe_integer(body, "max_redemptions", new.redemptions_max);
        let body = maybe_integer(body, "expires_at", new.expires_at.map(|at| at.as_seconds()));
        let body = match new.first_time_only {
            true => body.boolean(&["restrictions", "first_time_transaction"], true),
            false => body,
        };
        self.post(key, "/v1/promotion_codes", body).await
    }

    pub(crate) async fn promotions(&self, coupon: &str) -> Result<Answer<wire::List<wire::PromotionCode>>, Error> {
        self.get("/v1/promotion_codes", page(None).text(&["coupon"], coupon)).await
    }

    pub(crate) async fn create_credit(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewCredit,
    ) -> Result<Answer<wire::BalanceTransaction>, Error> {
        // Stripe's sign: what the customer owes is positive.
        let body = Form::new()
            .integer(&["amount"], -new.amount.minor)
            .text(&["currency"], new.amount.currency.as_str())
            .text(&["metadata", OPERATION_MARK], operation);
        let path = format!("/v1/customers/{}/balance_transactions", path_segment(new.customer_id.as_str()));
        self.post(key, &path, body).await
    }

    pub(crate) async fn credits(&self, customer: &str) -> Result<Answer<wire::List<wire::BalanceTransaction>>, Error> {
        self.get(&format!("/v1/customers/{}/balance_transactions", path_segment(customer)), page(None)).await
    }

    pub(crate) async fn paid_with(&self, invoice: &str) -> Result<Answer<wire::List<wire::InvoicePayment>>, Error> {
        self.get("/v1/invoice_payments", page(None).text(&["invoice"], invoice).text(&["status"], "paid")).await
    }

    pub(crate) async fn paid_intent(&self, intent: &str) -> Result<Answer<wire::PaidIntent>, Error> {
        let query = Form::new().list("expand", ["latest_charge"]);
        self.get(&format!("/v1/payment_intents/{}", path_segment(intent)), query).await
    }

    pub(crate) async fn create_refund(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewRefund,
    ) -> Result<Answer<wire::Refund>, Error> {
        let body = Form::new()
            .text(&["payment_intent"], &new.payment_intent_id)
            .integer(&["amount"], new.amount)
            .text(&["reason"], "requested_by_customer")
            .text(&["metadata", OPERATION_MARK], operation);
        self.post(key, "/v1/refunds", body).await
    }

    pub(crate) async fn refund(&self, id: &str) -> Result<Answer<wire::Refund>, Error> {
        self.get(&format!("/v1/refunds/{}", path_segment(id)), Form::new()).await
    }

    pub(crate) async fn refunds(&self, intent: &str) -> Result<Answer<wire::List<wire::Refund>>, Error> {
        self.get("/v1/refunds", page(None).text(&["payment_intent"], intent)).await
    }

    pub(crate) async fn preview_credit_note(&self, new: &NewCreditNote) -> Result<Answer<wire::CreditNote>, Error> {
        self.get("/v1/credit_notes/preview", credit_note(new)).await
    }

    pub(crate) async fn create_credit_note(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewCreditNote,
    ) -> Result<Answer<wire::CreditNote>, Error> {
        self.post(key, "/v1/credit_notes", credit_note(new).text(&["metadata", OPERATION_MARK], operation)).await
    }

    pub(crate) async fn credit_notes(&self, invoice: &str) -> Result<Answer<wire::List<wire::CreditNote>>, Error> {
        self.get("/v1/credit_notes", page(None).text(&["invoice"], invoice)).await
    }
}

fn credit_note(new: &NewCreditNote) -> Form {
    let form = Form::new()
        .text(&["invoice"], new.invoice_id.as_str())
        .integer(&["amount"], new.amount)
        .maybe(&["memo"], new.memo.as_deref());
    let parts = [("refund_amount", new.refund), ("credit_amount", new.credit), ("out_of_band_amount", new.elsewhere)];
    parts.into_iter().filter(|(_, part)| *part != 0).fold(form, |form, (name, part)| form.integer(&[name], part))
}

fn maybe_integer(form: Form, name: &str, value: Option<i64>) -> Form {
    match value {
        Some(value) => form.integer(&[name], value),
        None => form,
    }
}
