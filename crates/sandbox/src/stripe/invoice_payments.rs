//! Invoice payments: which payment intent pays which invoice.

use serde_json::{Value, json};

use super::lists::{equals, list};
use super::{Call, Route};
use crate::desk::{Desk, Done, clock_of, id_in};
use crate::store::Keys;

pub(super) const ROUTES: &[Route] = &[
    Route::list(
        "/v1/invoice_payments",
        "invoice status:(canceled,open,paid) payment:{type!:(payment_intent) payment_intent}",
        index,
    ),
    Route::new("GET", "/v1/invoice_payments/{id}", "", retrieve),
];

/// Notes that an intent is to pay an invoice.
pub(super) fn create(desk: &mut Desk<'_>, invoice: &Value, intent: &Value) -> Done {
    let created = desk.now_of(invoice)?;
    let id = desk.id("inpay_", 24)?;
    let payment = json!({
        "id": id, "object": "invoice_payment", "amount_paid": null, "amount_requested": intent["amount"], "created": created,
        "currency": invoice["currency"], "invoice": invoice["id"], "is_default": true, "livemode": false,
        "payment": { "payment_intent": intent["id"], "type": "payment_intent" }, "status": "open",
        "status_transitions": { "canceled_at": null, "paid_at": null }, "_clock": clock_of(invoice),
    });
    desk.insert(&payment)?;
    Ok(payment)
}

/// Ends the open payment of an invoice as `paid` or `canceled`.
pub(super) fn end(desk: &mut Desk<'_>, invoice: &Value, status: &str) -> Done<()> {
    let now = desk.now_of(invoice)?;
    for mut payment in desk.all("invoice_payment", None, id_in(&invoice["id"]))? {
        if payment["status"] != "open" {
            continue;
        }
        payment["status"] = status.into();
        payment["status_transitions"][format!("{status}_at")] = now.into();
        if status == "paid" {
            payment["amount_paid"] = payment["amount_requested"].clone();
        }
        desk.save(&payment)?;
        if status == "paid" {
            desk.emit("invoice_payment.paid", &payment, None)?;
        }
    }
    Ok(())
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("invoice_payment", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "invoice_payment", lookup: params["invoice"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/invoice_payments", |payment| {
        equals(payment, "status", &params) && equals(&payment["payment"], "payment_intent", &params["payment"])
    })
}
