//! Completing a Checkout Session: the customer, the card, the subscription with its first invoice, and the events of all that.
//!
//! A declined card leaves nothing behind and the session open. 3-D Secure is passed before anything is stored, so that a customer who
//! turns back there has no half of a subscription.

use serde_json::{Value, json};

use super::payment_methods::{self, Charge};
use super::{ask, authenticated, checkout_sessions};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, int, text};
use crate::render::plain;

/// What the customer filled in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payer {
    /// Only asked for where the session names no customer and no address.
    pub(crate) email: String,
    pub(crate) name: String,
    /// A recipe of `payment_methods.rs`; empty where nothing is due and none is asked for.
    pub(crate) card: String,
    pub(crate) country: String,
    pub(crate) postal_code: String,
    pub(crate) tax_id: (String, String),
    pub(crate) promotion_code: String,
    /// Whether the bank's question was answered.
    pub(crate) authenticated: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Completed {
    /// The session as it is now.
    Done(Value),
    /// The bank asks first; nothing happened.
    AskBank,
}

/// What a session comes to.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    currency: Value,
    subtotal: i64,
    total: i64,
    discount: i64,
    tax: i64,
    lines: Vec<Value>,
}

impl Cost {
    /// Writes the amounts on the session.
    pub(crate) fn stand_on(self, session: &mut Value) {
        session["currency"] = self.currency;
        session["amount_subtotal"] = self.subtotal.into();
        session["amount_total"] = self.total.into();
        session["total_details"] =
            json!({ "amount_discount": self.discount, "amount_shipping": 0, "amount_tax": self.tax });
        session["_lines"] = self.lines.into();
    }

    fn of(invoice: &Value) -> Cost {
        let sum = |line: &Value, member: &str| -> i64 {
            line[member].as_array().into_iter().flatten().map(|one| int(one, "amount")).sum()
        };
        let mut cost = Cost { currency: invoice["currency"].clone(), ..Cost::default() };
        for line in invoice["lines"]["data"].as_array().into_iter().flatten() {
            let (subtotal, discount, tax) = (int(line, "amount"), sum(line, "discount_amounts"), sum(line, "taxes"));
            let total = subtotal - discount + tax;
            cost.lines.push(json!({ "subtotal": subtotal, "discount": discount, "tax": tax, "total": total }));
            cost.subtotal += subtotal;
            cost.discount += discount;
            cost.tax += tax;
        }
        cost.total = int(invoice, "total");
        cost
    }
}

/// What the session would be charged now: it is carried out without a card, looked at, and undone.
pub(crate) fn cost(desk: &mut Desk<'_>, session: &Value) -> Done<Cost> {
    let (happened, payer) = (desk.happened.len(), Payer::default());
    desk.tx.savepoint()?;
    let invoice = rehearse(desk, session, &payer);
    desk.tx.back_to_savepoint()?;
    desk.happened.truncate(happened);
    Ok(Cost::of(&invoice?))
}

fn rehearse(desk: &mut Desk<'_>, session: &Value, payer: &Payer) -> Done {
    let customer = customer(desk, session, payer)?;
    let mut params = wanted(session, &customer);
    params["payment_behavior"] = "default_incomplete".into();
    if customer["address"].is_null() {
        // Where nobody knows yet where the customer is, no tax can be named.
        params["automatic_tax"] = json!({ "enabled": false });
    }
    let subscription = ask(desk, "POST", "/v1/subscriptions", params)?;
    desk.need("invoice", id_in(&subscription["latest_invoice"]).unwrap_or_default())
}

/// Completes an open session.
///
/// # Errors
/// 400 when it is not open, 402 when the card is declined: nothing happened.
pub(crate) fn complete(desk: &mut Desk<'_>, id: &str, payer: &Payer) -> Done<Completed> {
    let session = desk.need("checkout.session", id)?;
    if session["status"] != "open" {
        return Err(ApiError::invalid(format!("This Checkout Session is {}.", text(&session, "status"))));
    }
    let customer = customer(desk, &session, payer)?;
    let mut params = wanted(&session, &customer);
    if !payer.promotion_code.is_empty() {
        params["discounts"] = json!([{ "promotion_code": promotion_code(desk, &payer.promotion_code)? }]);
    }
    let method = method(desk, &session, &customer, payer)?;
    let asks = method.as_ref().is_some_and(|method| payment_methods::charge_outcome(method) == Charge::Authenticate);
    if asks && !payer.authenticated {
        return Ok(Completed::AskBank);
    }
    if let Some(method) = &method {
        params["default_payment_method"] = method["id"].clone();
    }
    params["payment_behavior"] = if asks { "allow_incomplete" } else { "error_if_incomplete" }.into();
    let subscription = ask(desk, "POST", "/v1/subscriptions", params)?;
    let invoice = id_in(&subscription["latest_invoice"]).unwrap_or_default().to_owned();
    let invoice = desk.need("invoice", &invoice)?;
    if invoice["status"] == "open"
        && let Some(intent) = invoice["_payment_intent"].as_str()
    {
        authenticated(desk, intent)?;
    }
    finish(desk, session, &subscription, text(&invoice, "id"))
}

fn finish(desk: &mut Desk<'_>, mut session: Value, subscription: &Value, invoice: &str) -> Done<Completed> {
    let invoice = desk.need("invoice", invoice)?;
    let customer = desk.need("customer", id_in(&invoice["customer"]).unwrap_or_default())?;
    Cost::of(&invoice).stand_on(&mut session);
    let nothing = int(&invoice, "amount_due") == 0;
    let tax_ids = ask(desk, "GET", &format!("/v1/customers/{}/tax_ids", text(&customer, "id")), json!({}))?;
    let tax_ids: Vec<Value> = tax_ids["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| json!({ "type": one["type"], "value": one["value"] }))
        .collect();
    for (member, value) in [
        ("status", json!("complete")),
        ("payment_status", json!(if nothing { "no_payment_required" } else { "paid" })),
        ("customer", customer["id"].clone()),
        ("subscription", subscription["id"].clone()),
        ("invoice", invoice["id"].clone()),
        ("url", Value::Null),
    ] {
        session[member] = value;
    }
    if session["automatic_tax"]["enabled"] == true {
        session["automatic_tax"]["status"] = invoice["automatic_tax"]["status"].clone();
    }
    session["customer_details"] = json!({
        "address": plain(&customer["address"]), "business_name": null, "email": customer["email"],
        "individual_name": null, "name": customer["name"], "phone": customer["phone"],
        "tax_exempt": customer["tax_exempt"], "tax_ids": tax_ids,
    });
    desk.tx.disappoint(checkout_sessions::EXPIRE, text(&session, "id"))?;
    desk.save(&session)?;
    desk.emit("checkout.session.completed", &session, None)?;
    Ok(Completed::Done(session))
}

/// The session's customer, else a new one with what was filled in.
fn customer(desk: &mut Desk<'_>, session: &Value, payer: &Payer) -> Done {
    let address = json!({ "country": payer.country, "postal_code": payer.postal_code });
    let customer = match session["customer"].as_str() {
        Some(customer) if payer.country.is_empty() || session["_keep_address"] != true => {
            desk.need("customer", customer)?
        }
        Some(customer) => ask(desk, "POST", &format!("/v1/customers/{customer}"), json!({ "address": address }))?,
        None => {
            let email = session["customer_email"].as_str().unwrap_or(&payer.email);
            let mut params = json!({ "email": email, "name": payer.name });
            if !payer.country.is_empty() {
                params["address"] = address;
            }
            ask(desk, "POST", "/v1/customers", params)?
        }
    };
    let (kind, value) = &payer.tax_id;
    if !value.is_empty() {
        let path = format!("/v1/customers/{}/tax_ids", text(&customer, "id"));
        ask(desk, "POST", &path, json!({ "type": kind, "value": value }))?;
    }
    Ok(customer)
}

/// The card that was chosen, attached; none where none is needed and none was given.
fn method(desk: &mut Desk<'_>, session: &Value, customer: &Value, payer: &Payer) -> Done<Option<Value>> {
    let needed = session["payment_method_collection"] == "always" || int(session, "amount_total") > 0;
    if payer.card.is_empty() {
        let message = "Please choose a card.";
        return if needed { Err(ApiError::card("incomplete", None, message).rolled_back()) } else { Ok(None) };
    }
    payment_methods::attach_to(desk, &format!("pm_card_{}", payer.card), customer).map(Some)
}

fn promotion_code(desk: &mut Desk<'_>, code: &str) -> Done {
    let found = ask(desk, "GET", "/v1/promotion_codes", json!({ "code": code, "active": true }))?;
    match found["data"].get(0) {
        Some(found) => Ok(found["id"].clone()),
        None => Err(ApiError::invalid("This promotion code is not valid.").param("promotion_code")),
    }
}

/// The parameters of the subscription.
fn wanted(session: &Value, customer: &Value) -> Value {
    let given = &session["_subscription_data"];
    let item = |item: &Value| {
        let mut wanted = json!({ "price": item["price"] });
        for member in ["quantity", "tax_rates"] {
            if !item[member].is_null() {
                wanted[member] = item[member].clone();
            }
        }
        wanted
    };
    let items: Vec<Value> = session["_items"].as_array().into_iter().flatten().map(item).collect();
    let mut params = json!({
        "customer": customer["id"], "items": items,
        "payment_settings": { "save_default_payment_method": "on_subscription" },
    });
    for member in [
        "trial_period_days",
        "trial_end",
        "metadata",
        "description",
        "default_tax_rates",
        "trial_settings",
        "billing_mode",
    ] {
        if let Some(value) = given.get(member) {
            params[member] = value.clone();
        }
    }
    if session["_discounts"].as_array().is_some_and(|discounts| !discounts.is_empty()) {
        params["discounts"] = session["_discounts"].clone();
    }
    if session["automatic_tax"]["enabled"] == true {
        params["automatic_tax"] = json!({ "enabled": true });
    }
    params
}
