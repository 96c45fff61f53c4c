//! The hosted checkout page: what is sold, who pays, with which card; 3-D Secure where the card asks for it.

use axum::http::StatusCode;
use serde_json::Value;

use super::layout::{cards, day, document, escape, money, notice};
use super::{Shown, Visit, refusal};
use crate::calendar::DAY;
use crate::desk::{Desk, Done, int, text};
use crate::stripe::checkout_completion::{Completed, Payer, complete};
use crate::stripe::checkout_sessions::shown_items;

/// What the place of the session's id in the address to return to is called.
const PLACEHOLDER: &str = "{CHECKOUT_SESSION_ID}";

pub(super) fn page(desk: &mut Desk<'_>, visit: &Visit, id: &str) -> Done<Shown> {
    let session = desk.need("checkout.session", id)?;
    if session["status"] != "open" {
        return Ok(over(&session));
    }
    if !visit.sent {
        return Ok(Shown::Page(form(desk, &session, "")?));
    }
    if visit.field("answer") == "fail" {
        let sentence =
            "We are unable to authenticate your payment method. Please choose a different one and try again.";
        return Ok(Shown::Refused(StatusCode::PAYMENT_REQUIRED, form(desk, &session, &notice(sentence))?));
    }
    desk.tx.savepoint()?;
    match complete(desk, id, &payer(visit)) {
        Ok(Completed::Done(session)) => {
            desk.tx.release()?;
            Ok(Shown::Redirect(text(&session, "success_url").replace(PLACEHOLDER, id)))
        }
        Ok(Completed::AskBank) => {
            desk.tx.back_to_savepoint()?;
            Ok(Shown::Page(bank(visit, &session)))
        }
        Err(error) => {
            desk.tx.back_to_savepoint()?;
            let (status, words) = refusal(&error);
            Ok(Shown::Refused(status, form(desk, &session, &words)?))
        }
    }
}

fn payer(visit: &Visit) -> Payer {
    Payer {
        email: visit.field("email").to_owned(),
        name: visit.field("name").to_owned(),
        card: visit.field("card").to_owned(),
        country: visit.field("country").to_uppercase(),
        postal_code: visit.field("postal_code").to_owned(),
        tax_id: (visit.field("tax_id_type").to_owned(), visit.field("tax_id").to_owned()),
        promotion_code: visit.field("promotion_code").to_owned(),
        authenticated: visit.field("answer") == "pass",
    }
}

fn over(session: &Value) -> Shown {
    let back = text(session, "success_url").replace(PLACEHOLDER, text(session, "id"));
    let words = match text(session, "status") {
        "complete" => format!("<p>You have subscribed.<p><a href=\"{}\">Continue</a>", escape(&back)),
        _ => String::from("<p>This checkout has expired. Please go back and begin again."),
    };
    Shown::Refused(StatusCode::GONE, document("Checkout", &words))
}

fn form(desk: &mut Desk<'_>, session: &Value, words: &str) -> Done<String> {
    let mut rows = String::new();
    for item in shown_items(desk, session)?["data"].as_array().into_iter().flatten() {
        let (name, quantity) = (escape(text(item, "description")), int(item, "quantity").max(1));
        rows.push_str(&format!("<tr><td>{quantity} × {name}<td>{}", money(item, "amount_total")));
    }
    let trial = trial(desk, session)?;
    let today = money(session, "amount_total");
    let label = if trial.is_empty() { "Subscribe" } else { "Start trial" };
    let cancel = session["cancel_url"]
        .as_str()
        .map_or_else(String::new, |url| format!("<p><a href=\"{}\">Back</a>", escape(url)));
    let content = format!(
        "{words}<table>{rows}<tr><th>Due today<th>{today}</table>{trial}<form method=post>{}{}<button>{label}</button></form>{cancel}",
        person(desk, session)?,
        cards(),
    );
    Ok(document("Checkout", &content))
}

fn trial(desk: &mut Desk<'_>, session: &Value) -> Done<String> {
    let given = &session["_subscription_data"];
    let days = given["trial_period_days"].as_i64();
    let end = match (days, given["trial_end"].as_i64()) {
        (Some(days), _) => Some(desk.now_of(session)? + days * DAY),
        (None, end) => end,
    };
    Ok(end.map_or_else(String::new, |end| format!("<p>Free until {}; then the plan is charged.", day(end))))
}

/// What is asked about the person: only what the session does not know or has to know.
fn person(desk: &mut Desk<'_>, session: &Value) -> Done<String> {
    let known = match session["customer"].as_str() {
        Some(customer) => Some(desk.need("customer", customer)?["email"].clone()),
        None => session["customer_email"].as_str().map(Value::from),
    };
    let mut fields = match known {
        Some(email) => format!("<p>{}", escape(email.as_str().unwrap_or_default())),
        None => String::from("<label>E-mail <input type=email name=email required></label>"),
    };
    if session["customer"].is_null() {
        fields.push_str("<label>Name on card <input type=text name=name></label>");
    }
    let address = session["automatic_tax"]["enabled"] == true || session["billing_address_collection"] == "required";
    if address {
        fields.push_str(
            "<label>Country (two letters) <input type=text name=country value=US maxlength=2 required></label>\
             <label>Postal code <input type=text name=postal_code></label>",
        );
    }
    if session["tax_id_collection"]["enabled"] == true {
        fields.push_str(
            "<label>Tax id <select name=tax_id_type><option>eu_vat<option>gb_vat<option>au_abn<option>us_ein</select> \
             <input type=text name=tax_id></label>",
        );
    }
    if session["allow_promotion_codes"] == true {
        fields.push_str("<label>Promotion code <input type=text name=promotion_code></label>");
    }
    Ok(fields)
}

/// The bank's question, with everything that was filled in carried along.
fn bank(visit: &Visit, session: &Value) -> String {
    let mut kept = String::new();
    for (name, value) in visit.fields.iter().filter(|(name, _)| *name != "answer") {
        let value = escape(value.as_str().unwrap_or_default());
        kept.push_str(&format!("<input type=hidden name=\"{}\" value=\"{value}\">", escape(name)));
    }
    let content = format!(
        "<p>Your bank asks you to confirm this payment of {}.<form method=post>{kept}\
         <button name=answer value=pass>Complete</button> <button class=plain name=answer value=fail>Fail</button></form>",
        money(session, "amount_total"),
    );
    document("3-D Secure", &content)
}
