//! The hosted invoice page: its lines, and paying it with another card.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::layout::{cards, day, document, escape, money, notice};
use super::{Shown, Visit, refusal};
use crate::desk::{Desk, Done, id_in, int, text};
use crate::store::Fate;
use crate::stripe::{ask, authenticated, payment_methods};

pub(super) fn page(desk: &mut Desk<'_>, visit: &Visit, id: &str) -> Done<Shown> {
    let invoice = desk.need("invoice", id)?;
    if !visit.sent {
        return Ok(Shown::Page(shown(&invoice, "")));
    }
    if invoice["status"] != "open" {
        let words = notice(&format!("This invoice is {}.", text(&invoice, "status")));
        return Ok(Shown::Refused(StatusCode::CONFLICT, shown(&invoice, &words)));
    }
    match pay(desk, visit, &invoice) {
        Ok(()) => Ok(Shown::Redirect(format!("/hosted/invoices/{id}"))),
        Err(error) if error.fate == Fate::Commit => Ok(Shown::Declined(shown(&invoice, &notice(error.message())))),
        Err(error) => {
            let (status, words) = refusal(&error);
            Ok(Shown::Refused(status, shown(&invoice, &words)))
        }
    }
}

/// Saves the card and pays with it. Who pays on this page is there to answer the bank: its question is passed at once.
fn pay(desk: &mut Desk<'_>, visit: &Visit, invoice: &Value) -> Done<()> {
    let customer = desk.need("customer", id_in(&invoice["customer"]).unwrap_or_default())?;
    let method = payment_methods::attach_to(desk, &format!("pm_card_{}", visit.field("card")), &customer)?;
    let intent = text(invoice, "_payment_intent").to_owned();
    let path = format!("/v1/payment_intents/{intent}/confirm");
    let answer = ask(desk, "POST", &path, json!({ "payment_method": method["id"] }))?;
    if answer["status"] == "requires_action" {
        authenticated(desk, &intent)?;
    }
    Ok(())
}

fn shown(invoice: &Value, words: &str) -> String {
    let mut rows = String::new();
    for line in invoice["lines"]["data"].as_array().into_iter().flatten() {
        rows.push_str(&format!("<tr><td>{}<td>{}", escape(text(line, "description")), money(line, "amount")));
    }
    let taxes: i64 = invoice["total_taxes"].as_array().into_iter().flatten().map(|tax| int(tax, "amount")).sum();
    if taxes != 0 {
        let tax = json!({ "amount": taxes, "currency": invoice["currency"] });
        rows.push_str(&format!("<tr><td>Tax<td>{}", money(&tax, "amount")));
    }
    let pay = if invoice["status"] == "open" {
        format!("<h2>Pay</h2><form method=post>{}<button>Pay {}</button></form>", cards(), money(invoice, "amount_due"))
    } else {
        String::new()
    };
    let content = format!(
        "{words}<p>Status: <b>{}</b>, of {}<table>{rows}<tr><td>Total<td>{}<tr><td>Amount due<td>{}<tr><td>Paid<td>{}</table>{pay}",
        escape(text(invoice, "status")),
        day(int(invoice, "created")),
        money(invoice, "total"),
        money(invoice, "amount_due"),
        money(invoice, "amount_paid"),
    );
    document(&format!("Invoice {}", text(invoice, "number")), &content)
}
