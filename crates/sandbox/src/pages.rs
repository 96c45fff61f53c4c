//! The few pages people may open: passing 3-D Secure, and a hosted invoice.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::Inner;
use crate::desk::{Desk, Done, int, text};
use crate::server::html;
use crate::store::Fate;
use crate::stripe;

/// Answers `GET /authenticate/{intent}` and `GET /hosted/invoices/{invoice}`.
pub(crate) async fn answer(inner: &Arc<Inner>, path: &str) -> Response {
    let path = path.to_owned();
    let (premises, now) = (inner.premises.clone(), inner.clock.now_micros());
    let page = inner.store.run(move |tx| {
        let mut desk = Desk::new(tx, &premises, now);
        let page = page(&mut desk, &path);
        // A declined card after 3-D Secure is kept, like any decline.
        let fate = page.as_ref().map_or_else(|error| error.fate, |_| Fate::Commit);
        (fate, page)
    });
    let page = page.await;
    inner.wake.notify_one();
    match page {
        Ok(Ok(Some(text))) => html(StatusCode::OK, &text),
        Ok(Ok(None)) => html(StatusCode::NOT_FOUND, "<!doctype html><title>Not found</title><p>There is nothing here."),
        Ok(Err(error)) => html(StatusCode::PAYMENT_REQUIRED, &document("Payment", &escape(error.message()))),
        Err(_) => html(StatusCode::INTERNAL_SERVER_ERROR, &document("Sandbox", "The sandbox cannot read its file.")),
    }
}

fn page(desk: &mut Desk<'_>, path: &str) -> Done<Option<String>> {
    if let Some(intent) = path.strip_prefix("/authenticate/") {
        let intent = stripe::authenticated(desk, intent)?;
        let words = format!("3-D Secure passed. The status is now <b>{}</b>.", escape(text(&intent, "status")));
        return Ok(Some(document("Authentication", &words)));
    }
    if let Some(invoice) = path.strip_prefix("/hosted/invoices/") {
        return Ok(Some(invoice_page(&desk.need("invoice", invoice)?)));
    }
    Ok(None)
}

fn invoice_page(invoice: &Value) -> String {
    let amount = |object: &Value, member: &str| stripe::printed_amount(int(object, member), text(invoice, "currency"));
    let mut rows = String::new();
    for line in invoice["lines"]["data"].as_array().into_iter().flatten() {
        rows.push_str(&format!("<tr><td>{}<td>{}", escape(text(line, "description")), amount(line, "amount")));
    }
    let words = format!(
        "<p>Status: <b>{}</b><table>{rows}<tr><td>Total<td>{}<tr><td>Amount due<td>{}<tr><td>Paid<td>{}</table>",
        escape(text(invoice, "status")),
        amount(invoice, "total"),
        amount(invoice, "amount_due"),
        amount(invoice, "amount_paid"),
    );
    document(&format!("Invoice {}", escape(text(invoice, "number"))), &words)
}

fn document(title: &str, content: &str) -> String {
    format!("<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{content}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
