//! What Stigg thinks a change of plan costs: `POST /api/v1/subscriptions/preview` of `contracts/stigg/rest-operations.json`.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tollgate_rules::money::{Currency, Money};

use super::client::{Call, Client, period_word};
use super::{money, wire};
use crate::plan_mirror::{Error, MirroredChange, TakesEffect};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Preview<'a> {
    customer_id: &'a str,
    plan_id: &'a str,
    billing_period: &'static str,
    unit_quantity: i64,
    schedule_strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    billing_cycle_anchor: &'static str,
    billing_information: BillingInformation,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_coupon: Option<AppliedCoupon<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BillingInformation {
    proration_behavior: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedCoupon<'a> {
    billing_coupon_id: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Previewed {
    immediate_invoice: Invoice,
}

/// An amount stays text until it is converted.
#[derive(Debug, Deserialize)]
struct Invoice {
    total: Option<Box<RawValue>>,
    currency: Option<String>,
}

impl Client {
    /// Asks once, without a repeat: nothing waits for the answer.
    pub(crate) async fn preview(&self, change: &MirroredChange) -> Result<Money, Error> {
        let call = Call::new(Method::POST, "/api/v1/subscriptions/preview", None).with(&body(change))?;
        let told: wire::Wrapped<Previewed> = self.send_once(&call).await?;
        let invoice = told.data.immediate_invoice;
        let currency = invoice.currency.as_deref().and_then(|code| Currency::parse(&code.to_lowercase()).ok());
        let amount = invoice.total.as_deref().zip(currency);
        let read = amount.and_then(|(total, currency)| money::from_major(total.get(), currency));
        read.ok_or_else(|| Error::Refused("Stigg named no amount that can be compared".to_owned()))
    }
}

fn body(change: &MirroredChange) -> Preview<'_> {
    let (schedule_strategy, start_date, billing_cycle_anchor, proration_behavior) = match change.takes_effect {
        TakesEffect::Within(at) => ("IMMEDIATE", Some(at.to_string()), "UNCHANGED", "INVOICE_IMMEDIATELY"),
        TakesEffect::Anew { gives_back: true } => ("IMMEDIATE", None, "NOW", "INVOICE_IMMEDIATELY"),
        TakesEffect::Anew { gives_back: false } => ("IMMEDIATE", None, "NOW", "NONE"),
        TakesEffect::AtPeriodEnd => ("END_OF_BILLING_PERIOD", None, "UNCHANGED", "NONE"),
    };
    Preview {
        customer_id: change.org_id.as_str(),
        plan_id: change.plan_code.as_str(),
        billing_period: period_word(change.interval),
        unit_quantity: change.quantity,
        schedule_strategy,
        start_date,
        billing_cycle_anchor,
        billing_information: BillingInformation { proration_behavior },
        applied_coupon: change.coupon.as_deref().map(|billing_coupon_id| AppliedCoupon { billing_coupon_id }),
    }
}
