//! What a change of plan would cost: as Stigg does where it is connected to Stripe, billing works the invoice out.
//!
//! Stigg's plan `growth`, charged monthly, is the price with the lookup key `plan_growth_m`. Its subscription is found at billing by
//! `billingId`. Amounts are told in major units (49 = $49.00).

use serde_json::{Value, json};

use super::{Call, Outcome, Problem, shown, stored};
use crate::clock::SECOND;
use crate::desk::{Desk, int, text};
use crate::stripe::{self, proration};

/// Stigg's word for a change that waits for the period to end.
const AT_PERIOD_END: &str = "END_OF_BILLING_PERIOD";

/// A refusal of billing's.
fn refused(error: &crate::api_error::ApiError) -> Problem {
    Problem(400, error.message().to_owned())
}

pub(super) fn preview(call: &Call, desk: &mut Desk<'_>) -> Outcome {
    let (customer, plan) = (call.required("customerId")?, call.required("planId")?);
    stored(desk, "stigg.customer", customer, "Customer")?;
    let subscription = at_billing(desk, customer)?;
    let price = price(desk, plan, call.body.get("billingPeriod"))?;
    let quantity = call.body.get("unitQuantity").and_then(Value::as_i64).unwrap_or(1);
    let later = call.body.get("scheduleStrategy").is_some_and(|strategy| strategy == AT_PERIOD_END);
    let (immediate, period) = if later {
        (invoice(&[], 0, text(&price, "currency")), Value::Null)
    } else {
        let params = asked(call, &subscription, &price, quantity)?;
        let told = stripe::ask(desk, "POST", "/v1/invoices/create_preview", params).map_err(|error| refused(&error))?;
        let range = json!({ "start": at(int(&told, "period_start")), "end": at(int(&told, "period_end")) });
        (at_once(&told, call.surcharge), range)
    };
    // Nothing of this is kept, whatever billing had to do to work it out.
    desk.rehearsal = true;
    let unit = int(&price, "unit_amount") + call.surcharge;
    let line = Line { what: plan.to_owned(), amount: unit * quantity, unit, quantity };
    let mut answer = json!({
        "immediateInvoice": immediate, "recurringInvoice": invoice(&[line], 0, text(&price, "currency")), "freeItems": [],
        "hasScheduledUpdates": !subscription["schedule"].is_null(), "isPlanDowngrade": later,
    });
    if !period.is_null() {
        answer["billingPeriodRange"] = period;
    }
    Ok(answer)
}

/// The customer's newest subscription, as billing has it.
fn at_billing(desk: &mut Desk<'_>, customer: &str) -> Outcome {
    let known = desk.all("stigg.subscription", Some(customer), None)?;
    let billing = known.first().map(shown).and_then(|known| known["billingId"].as_str().map(str::to_owned));
    let found = match billing {
        Some(id) => desk.get(&id)?,
        None => None,
    };
    let living = found.filter(|found| !matches!(text(found, "status"), "canceled" | "incomplete_expired"));
    living.ok_or_else(|| Problem(404, "Subscription not found".into()))
}

fn price(desk: &mut Desk<'_>, plan: &str, period: Option<&Value>) -> Outcome {
    let letter = if period.is_some_and(|period| period == "ANNUALLY") { 'y' } else { 'm' };
    let lookup = json!({ "lookup_keys": [format!("plan_{plan}_{letter}")], "active": true });
    let found = stripe::ask(desk, "GET", "/v1/prices", lookup).map_err(|error| refused(&error))?;
    match &found["data"][0] {
        Value::Null => Err(Problem(404, "Plan not found".into())),
        price => Ok(price.clone()),
    }
}

/// What billing is asked for: the item at its new price, and what Stigg was told about time.
fn asked(call: &Call, subscription: &Value, price: &Value, quantity: i64) -> Outcome {
    let items = subscription["items"]["data"].as_array().cloned().unwrap_or_default();
    let metered = |item: &Value| item["price"]["recurring"]["usage_type"] == "metered";
    let fresh = call.body.get("billingCycleAnchor").is_some_and(|anchor| anchor == "NOW");
    let mut wanted: Vec<Value> = Vec::new();
    for item in &items {
        if !metered(item) {
            wanted.push(json!({ "id": item["id"], "price": price["id"], "quantity": quantity }));
        } else if item["price"]["recurring"]["interval"] != price["recurring"]["interval"] {
            wanted.push(json!({ "id": item["id"], "deleted": true }));
        }
    }
    let mut details = json!({ "items": wanted });
    if subscription["status"] == "trialing" {
        details["trial_end"] = "now".into();
    } else {
        let behavior = match call.body.get("billingInformation").and_then(|told| told["prorationBehavior"].as_str()) {
            Some("NONE") => "none",
            Some("CREATE_PRORATIONS") => "create_prorations",
            _ => "always_invoice",
        };
        details["proration_behavior"] = behavior.into();
        if fresh {
            details["billing_cycle_anchor"] = json!({ "type": "now" });
        } else if let Some(seconds) = start(call)? {
            details["proration_date"] = seconds.into();
        }
    }
    let mut params = json!({ "customer": subscription["customer"], "subscription": subscription["id"], "subscription_details": details });
    if let Some(coupon) = call.body.get("appliedCoupon").and_then(|coupon| coupon.get("billingCouponId")) {
        params["discounts"] = json!([{ "coupon": coupon }]);
    }
    Ok(params)
}

fn start(call: &Call) -> Result<Option<i64>, Problem> {
    let Some(text) = call.body.get("startDate").and_then(Value::as_str) else { return Ok(None) };
    let read: Result<jiff::Timestamp, _> = text.parse();
    read.map(|at| Some(at.as_second())).map_err(|_| Problem(400, "startDate must be a date".into()))
}

fn at(seconds: i64) -> String {
    super::printed_time(seconds.saturating_mul(SECOND))
}

/// A line in minor units.
struct Line {
    what: String,
    amount: i64,
    unit: i64,
    quantity: i64,
}

/// What billing would charge at once, with what plans cost more here.
fn at_once(told: &Value, surcharge: i64) -> Value {
    let lines = told["lines"]["data"].as_array().into_iter().flatten();
    let mut lines: Vec<Line> = lines
        .map(|line| Line {
            what: text(line, "description").to_owned(),
            amount: int(line, "amount"),
            unit: int(line, "amount") / int(line, "quantity").max(1),
            quantity: int(line, "quantity").max(1),
        })
        .collect();
    if surcharge != 0 {
        lines.push(Line { what: "Stigg's own price".into(), amount: surcharge, unit: surcharge, quantity: 1 });
    }
    let sum: i64 = lines.iter().map(|line| line.amount).sum();
    let beside = int(told, "total") + surcharge - sum;
    invoice(&lines, beside, text(told, "currency"))
}

/// An invoice in major units; `beside` is what tax adds to the lines, or a discount takes off.
fn invoice(lines: &[Line], beside: i64, currency: &str) -> Value {
    let sum: i64 = lines.iter().map(|line| line.amount).sum();
    let shown: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "currency": currency, "description": line.what, "subTotal": major(line.amount, currency),
                "unitPrice": major(line.unit, currency), "quantity": line.quantity,
            })
        })
        .collect();
    json!({
        "subTotal": major(sum, currency), "total": major(sum + beside, currency), "tax": major(beside.max(0), currency),
        "discount": major((-beside).max(0), currency), "currency": currency, "lines": shown,
    })
}

/// Minor units as the JSON number that Stigg writes.
fn major(minor: i64, currency: &str) -> Value {
    serde_json::from_str(&proration::major(minor, currency)).unwrap_or(Value::Null)
}
