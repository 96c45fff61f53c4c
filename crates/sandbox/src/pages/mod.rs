//! The pages people open: checkout, the customer portal, a hosted invoice, and passing 3-D Secure.
//!
//! Everything is rendered here and works without scripts. A look changes nothing, nor does a refused change, save what Stripe itself
//! keeps of a declined card.

mod checkout;
mod invoice;
mod layout;
mod portal;

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::Inner;
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, text};
use crate::form;
use crate::server::html;
use crate::store::Fate;
use crate::stripe;
use layout::{document, escape};

/// One request for a page.
#[derive(Debug)]
pub(crate) struct Visit {
    path: String,
    /// Whether a form was sent.
    sent: bool,
    fields: Map<String, Value>,
}

/// What a page answers.
#[derive(Debug)]
enum Shown {
    /// A page; whatever was done for it is kept.
    Page(String),
    /// A page that says why something was not done.
    Refused(StatusCode, String),
    /// The same for a card that was declined, of which Stripe keeps the attempt.
    Declined(String),
    /// Another address.
    Redirect(String),
    /// There is no such page.
    Nothing,
}

impl Visit {
    /// Reads a request; a form that cannot be read has no fields.
    pub(crate) fn new(method: &Method, path: &str, query: &str, body: &[u8]) -> Self {
        let mut fields = form::decode(query.as_bytes()).unwrap_or_default();
        fields.extend(form::decode(body).unwrap_or_default());
        Self { path: path.to_owned(), sent: *method == Method::POST, fields }
    }

    /// A field's text; empty where it was not sent.
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default().trim()
    }
}

/// Answers a page.
pub(crate) async fn answer(inner: &Arc<Inner>, visit: Visit) -> Response {
    let (premises, now) = (inner.premises.clone(), inner.clock.now_micros());
    let shown = inner.store.run(move |tx| {
        let shown = page(&mut Desk::new(tx, &premises, now), &visit);
        let fate = match &shown {
            Ok(Shown::Page(_) | Shown::Declined(_) | Shown::Redirect(_)) => Fate::Commit,
            Ok(Shown::Refused(..) | Shown::Nothing) => Fate::RollBack,
            Err(error) => error.fate,
        };
        (fate, shown)
    });
    let shown = shown.await;
    inner.wake.notify_one();
    match shown {
        Ok(Ok(Shown::Page(page))) => html(StatusCode::OK, &page),
        Ok(Ok(Shown::Refused(status, page))) => html(status, &page),
        Ok(Ok(Shown::Declined(page))) => html(StatusCode::PAYMENT_REQUIRED, &page),
        Ok(Ok(Shown::Redirect(url))) => redirect(&url),
        Ok(Ok(Shown::Nothing)) => html(StatusCode::NOT_FOUND, &document("Not found", "<p>There is nothing here.")),
        Ok(Err(error)) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            html(status, &document("That did not work", &format!("<p>{}", escape(error.message()))))
        }
        Err(_) => html(StatusCode::INTERNAL_SERVER_ERROR, &document("Sandbox", "The sandbox cannot read its file.")),
    }
}

fn page(desk: &mut Desk<'_>, visit: &Visit) -> Done<Shown> {
    let segments: Vec<&str> = visit.path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["authenticate", intent] => {
            let intent = stripe::authenticated(desk, intent)?;
            let words = format!("<p>3-D Secure passed. The status is now <b>{}</b>.", escape(text(&intent, "status")));
            Ok(Shown::Page(document("Authentication", &words)))
        }
        ["checkout", session] => checkout::page(desk, visit, session),
        ["portal", address] => portal::page(desk, visit, address),
        ["hosted", "invoices", invoice] => invoice::page(desk, visit, invoice),
        _ => Ok(Shown::Nothing),
    }
}

/// Why a form was not acted on: shown above it, with the status the API would have given.
fn refusal(error: &ApiError) -> (StatusCode, String) {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, layout::notice(error.message()))
}

fn redirect(url: &str) -> Response {
    let mut response = html(StatusCode::SEE_OTHER, "");
    if let Ok(value) = url.parse() {
        response.headers_mut().insert("location", value);
    }
    response
}
