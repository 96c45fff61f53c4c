//! The customer portal: the plan and what it will cost next, invoices, cards, cancelling with the period and taking that back.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::layout::{button, card_name, cards, day, document, escape, money};
use super::{Shown, Visit, refusal};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, int, text};
use crate::stripe::{ask, portal_sessions};

pub(super) fn page(desk: &mut Desk<'_>, visit: &Visit, address: &str) -> Done<Shown> {
    let session = portal_sessions::open(desk, address)?;
    if !visit.sent {
        return Ok(Shown::Page(home(desk, &session, "")?));
    }
    desk.tx.savepoint()?;
    match act(desk, visit, &session) {
        Ok(()) => {
            desk.tx.release()?;
            let after = &session["flow"]["after_completion"]["redirect"]["return_url"];
            let back = after.as_str().map_or_else(|| format!("/portal/{address}"), str::to_owned);
            Ok(Shown::Redirect(back))
        }
        Err(error) => {
            desk.tx.back_to_savepoint()?;
            let (status, words) = refusal(&error);
            let status = if status == StatusCode::NOT_FOUND { StatusCode::BAD_REQUEST } else { status };
            Ok(Shown::Refused(status, home(desk, &session, &words)?))
        }
    }
}

/// Whether the configuration lets customers use a feature.
fn allows(desk: &mut Desk<'_>, session: &Value, feature: &str) -> Done<bool> {
    let configuration = desk.need("billing_portal.configuration", text(session, "configuration"))?;
    Ok(configuration["features"][feature]["enabled"] == true)
}

fn act(desk: &mut Desk<'_>, visit: &Visit, session: &Value) -> Done<()> {
    let (action, object) = (visit.field("action"), visit.field("object"));
    let feature = match action {
        "cancel" | "resume" => "subscription_cancel",
        "add_card" | "default_card" | "remove_card" => "payment_method_update",
        _ => return Err(ApiError::invalid("There is nothing of this kind to do.")),
    };
    if !allows(desk, session, feature)? {
        return Err(ApiError::invalid("This is switched off here."));
    }
    let customer = text(session, "customer").to_owned();
    match action {
        "cancel" | "resume" => {
            let found = own(desk, "subscription", object, &customer)?;
            let path = format!("/v1/subscriptions/{}", text(&found, "id"));
            ask(desk, "POST", &path, json!({ "cancel_at_period_end": action == "cancel" }))?;
        }
        "add_card" => {
            let path = format!("/v1/payment_methods/pm_card_{}/attach", visit.field("card"));
            let method = ask(desk, "POST", &path, json!({ "customer": customer }))?;
            make_default(desk, &customer, &method["id"])?;
        }
        "default_card" => {
            let method = own(desk, "PaymentMethod", object, &customer)?;
            make_default(desk, &customer, &method["id"])?;
        }
        _ => {
            let method = own(desk, "PaymentMethod", object, &customer)?;
            ask(desk, "POST", &format!("/v1/payment_methods/{}/detach", text(&method, "id")), json!({}))?;
        }
    }
    Ok(())
}

/// An object of this customer.
fn own(desk: &mut Desk<'_>, noun: &str, id: &str, customer: &str) -> Done {
    let found = desk.need(noun, id)?;
    if id_in(&found["customer"]) == Some(customer) { Ok(found) } else { Err(ApiError::missing(noun, id)) }
}

/// The card is charged from now on, also by subscriptions that had another one.
fn make_default(desk: &mut Desk<'_>, customer: &str, method: &Value) -> Done<()> {
    let settings = json!({ "invoice_settings": { "default_payment_method": method } });
    ask(desk, "POST", &format!("/v1/customers/{customer}"), settings)?;
    for subscription in living(desk, customer)? {
        let path = format!("/v1/subscriptions/{}", text(&subscription, "id"));
        ask(desk, "POST", &path, json!({ "default_payment_method": method }))?;
    }
    Ok(())
}

fn living(desk: &mut Desk<'_>, customer: &str) -> Done<Vec<Value>> {
    let mut found = desk.all("subscription", Some(customer), None)?;
    found.retain(|one| !matches!(text(one, "status"), "canceled" | "incomplete_expired"));
    Ok(found)
}

fn home(desk: &mut Desk<'_>, session: &Value, words: &str) -> Done<String> {
    let customer = desk.need("customer", text(session, "customer"))?;
    let mut content = format!("{words}<p>{}", escape(text(&customer, "email")));
    content.push_str(&plans(desk, session, &customer)?);
    if allows(desk, session, "payment_method_update")? {
        content.push_str(&methods(desk, &customer)?);
    }
    if allows(desk, session, "invoice_history")? {
        content.push_str(&invoices(desk, &customer)?);
    }
    if let Some(back) = session["return_url"].as_str() {
        content.push_str(&format!("<p><a href=\"{}\">Back</a>", escape(back)));
    }
    Ok(document("Billing", &content))
}

fn plans(desk: &mut Desk<'_>, session: &Value, customer: &Value) -> Done<String> {
    let may_cancel = allows(desk, session, "subscription_cancel")?;
    let mut content = String::from("<h2>Plan</h2>");
    let living = living(desk, text(customer, "id"))?;
    if living.is_empty() {
        content.push_str("<p>You have no subscription.");
    }
    for subscription in &living {
        let id = text(subscription, "id");
        let item = &subscription["items"]["data"][0];
        let name = crate::stripe::prices::product_name(desk, &item["price"])?;
        content.push_str(&format!("<p><b>{}</b> ({})", escape(&name), escape(text(subscription, "status"))));
        let ends = subscription["cancel_at"].as_i64();
        if let Some(at) = ends {
            content.push_str(&format!("<p>Ends on {}.", day(at)));
        } else {
            content.push_str(&next_invoice(desk, subscription)?);
        }
        if may_cancel {
            content.push_str(&match ends {
                Some(_) => button("Keep the plan", "resume", id),
                None => button("Cancel at the end of the period", "cancel", id),
            });
        }
    }
    Ok(content)
}

/// What comes next: looked up as the API's preview, and undone.
fn next_invoice(desk: &mut Desk<'_>, subscription: &Value) -> Done<String> {
    desk.tx.savepoint()?;
    let preview = ask(desk, "POST", "/v1/invoices/create_preview", json!({ "subscription": subscription["id"] }));
    desk.tx.back_to_savepoint()?;
    desk.rehearsal = false;
    let end = int(&subscription["items"]["data"][0], "current_period_end");
    Ok(match preview {
        Ok(invoice) => format!("<p>Next invoice: {} on {}.", money(&invoice, "amount_due"), day(end)),
        Err(_) => String::new(),
    })
}

fn methods(desk: &mut Desk<'_>, customer: &Value) -> Done<String> {
    let mut rows = String::new();
    let default = id_in(&customer["invoice_settings"]["default_payment_method"]).map(str::to_owned);
    let living = living(desk, text(customer, "id"))?;
    for method in desk.all("payment_method", customer["id"].as_str(), None)? {
        let id = text(&method, "id");
        let used = default.as_deref() == Some(id) || living.iter().any(|one| one["default_payment_method"] == id);
        let doing = if used {
            String::from("Default")
        } else {
            format!("{} {}", button("Make default", "default_card", id), button("Remove", "remove_card", id))
        };
        rows.push_str(&format!("<tr><td>{}<td>{doing}", card_name(&method)));
    }
    Ok(format!(
        "<h2>Cards</h2><table>{rows}</table><form method=post><input type=hidden name=action value=add_card>{}<button>Add card</button></form>",
        cards()
    ))
}

fn invoices(desk: &mut Desk<'_>, customer: &Value) -> Done<String> {
    let mut rows = String::new();
    for invoice in desk.all("invoice", customer["id"].as_str(), None)?.iter().take(24) {
        let number = invoice["number"].as_str().unwrap_or("Draft");
        let number = match invoice["hosted_invoice_url"].as_str() {
            Some(url) => format!("<a href=\"{}\">{}</a>", escape(url), escape(number)),
            None => escape(number),
        };
        let (date, status) = (day(int(invoice, "created")), escape(text(invoice, "status")));
        rows.push_str(&format!("<tr><td>{date}<td>{number}<td>{status}<td>{}", money(invoice, "total")));
    }
    Ok(format!("<h2>Invoices</h2><table>{rows}</table>"))
}
