//! Credit notes: what is taken back from a finalized invoice. Of an open one they lower what is due; of a paid one the money
//! goes back to the card, to the customer's balance, or is noted as settled elsewhere.

use serde_json::{Value, json};

use super::balance_transactions::{self, Entry};
use super::lists::{created_fits, equals, list};
use super::{Call, Route, collection, credit_note_lines, payment_intents, refunds, taxes};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, int, merge_metadata, text, text_or_null};
use crate::render::list_of;
use crate::store::Keys;

const CREATE: &str = "invoice! amount:int refund_amount:int credit_amount:int out_of_band_amount:int memo metadata:map \
    reason:(duplicate,fraudulent,order_change,product_unsatisfactory) \
    lines:[{type!:(custom_line_item,invoice_line_item) invoice_line_item amount:int quantity:int unit_amount:int description \
    tax_rates:[str]}]";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/credit_notes", CREATE, create),
    Route::list("/v1/credit_notes", "invoice customer created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/credit_notes/preview", CREATE, preview),
    Route::new("GET", "/v1/credit_notes/{id}", "", retrieve),
    Route::new("POST", "/v1/credit_notes/{id}", "memo metadata:map", update),
    Route::new("POST", "/v1/credit_notes/{id}/void", "", void),
    Route::list("/v1/credit_notes/{id}/lines", "", lines),
];

/// What would be noted; nothing of it is stored.
fn preview(call: &mut Call<'_, '_>) -> Done {
    call.desk.rehearsal = true;
    create(call)
}

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let invoice = call.desk.need_param("invoice", text(&params, "invoice"), "invoice")?;
    let open = match text(&invoice, "status") {
        "open" => true,
        "paid" => false,
        status => {
            let message =
                format!("You can only create credit notes for open or paid invoices, not for one that is {status}.");
            return Err(ApiError::invalid(message).param("invoice"));
        }
    };
    let lines = credit_note_lines::of(call.desk, &invoice, &params)?;
    let note = blank(call.desk, &invoice, &params, lines)?;
    let total = int(&note, "total");
    if total < 1 {
        return Err(ApiError::invalid("The credit note's total must be positive.").param("amount"));
    }
    if open { lower(call, &invoice, note) } else { pay_back(call, &invoice, note) }
}

fn blank(desk: &mut Desk<'_>, invoice: &Value, params: &Value, lines: Vec<Value>) -> Done {
    let created = desk.now_of(invoice)?;
    let id = desk.id("cn_", 24)?;
    let count = desk.all("credit_note", None, invoice["id"].as_str())?.len() + 1;
    let subtotal: i64 = lines.iter().map(|line| int(line, "amount")).sum();
    let totals = json!(taxes::summed(&lines));
    let (added, contained) = (taxes::sum(&totals, "exclusive"), taxes::sum(&totals, "inclusive"));
    let total = subtotal + added;
    let url = format!("{}/hosted/credit_notes/{id}?format=pdf", desk.premises.base_url);
    Ok(json!({
        "id": id, "object": "credit_note", "amount": total, "amount_shipping": 0, "created": created,
        "currency": invoice["currency"], "customer": invoice["customer"], "customer_account": null,
        "customer_balance_transaction": null, "discount_amount": 0, "discount_amounts": [], "effective_at": created,
        "invoice": invoice["id"], "lines": list_of(lines, &format!("/v1/credit_notes/{id}/lines")), "livemode": false,
        "memo": text_or_null(params, "memo"), "metadata": merge_metadata(&Value::Null, &params["metadata"]),
        "number": format!("{}-CN-{count:02}", text(invoice, "number")), "out_of_band_amount": null, "pdf": url,
        "post_payment_amount": 0, "pre_payment_amount": 0, "pretax_credit_amounts": [], "reason": params.get("reason"),
        "refunds": [], "shipping_cost": null, "status": "issued", "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - contained, "total": total, "total_excluding_tax": subtotal - contained,
        "total_taxes": totals, "type": "pre_payment", "voided_at": null, "_clock": clock_of(invoice),
    }))
}

/// An open invoice: less is due; nothing due is paid.
fn lower(call: &mut Call<'_, '_>, invoice: &Value, mut note: Value) -> Done {
    let given = ["refund_amount", "credit_amount", "out_of_band_amount"];
    if let Some(param) = given.into_iter().find(|param| int(&call.params, param) != 0) {
        let message = "An unpaid invoice has nothing to give back: its credit note only lowers what is due.";
        return Err(ApiError::invalid(message).param(param));
    }
    let total = int(&note, "total");
    let left = int(invoice, "amount_remaining") - total;
    if left < 0 {
        return Err(too_much("the amount remaining on the invoice"));
    }
    note["pre_payment_amount"] = total.into();
    let note = call.desk.create(note, "credit_note.created")?;
    let after = due(call.desk, invoice, -total)?;
    if left == 0 {
        collection::mark_paid(call.desk, &after)?;
    }
    Ok(note)
}

/// Moves what is due on an open invoice, and what its payment intent asks for.
fn due(desk: &mut Desk<'_>, invoice: &Value, by: i64) -> Done {
    let mut after = invoice.clone();
    for member in ["amount_due", "amount_remaining"] {
        after[member] = (int(invoice, member) + by).into();
    }
    after["pre_payment_credit_notes_amount"] = (int(invoice, "pre_payment_credit_notes_amount") - by).into();
    if let Some(intent) = invoice["_payment_intent"].as_str() {
        match int(&after, "amount_remaining") {
            0 => payment_intents::cancel(desk, intent, "void_invoice")?,
            left => {
                let mut intent = desk.need("payment_intent", intent)?;
                intent["amount"] = left.into();
                desk.save(&intent)?;
            }
        }
    }
    desk.change(invoice, after, "invoice.updated")
}

/// A paid invoice: the whole note is split into refund, credit and what is settled elsewhere.
fn pay_back(call: &mut Call<'_, '_>, invoice: &Value, mut note: Value) -> Done {
    let total = int(&note, "total");
    let part = |member: &str| int(&call.params, member);
    let (refund, credit, elsewhere) = (part("refund_amount"), part("credit_amount"), part("out_of_band_amount"));
    if [refund, credit, elsewhere].iter().any(|part| *part < 0) || refund + credit + elsewhere != total {
        let message =
            "The sum of credit amount, refund amount and out of band amount must equal the credit note total.";
        return Err(ApiError::invalid(message).param("refund_amount"));
    }
    let noted = int(invoice, "post_payment_credit_notes_amount");
    if noted + total > int(invoice, "total") - int(invoice, "pre_payment_credit_notes_amount") {
        return Err(too_much("what is left of the invoice"));
    }
    if refund > 0 {
        let Some(intent) = invoice["_payment_intent"].as_str() else { return Err(too_much("what was paid by card")) };
        let charge = refunds::charge_of(call.desk, intent, "invoice")?;
        let made = refunds::pay_back(call.desk, &charge, refund)?;
        refunds::tell(call.desk, &made)?;
        note["refunds"] = json!([{ "amount_refunded": refund, "payment_record_refund": null, "refund": made["id"], "type": "refund" }]);
    }
    if credit > 0 {
        let customer = call.desk.need("customer", id_in(&invoice["customer"]).unwrap_or_default())?;
        let entry = Entry {
            amount: -credit,
            kind: "credit_note",
            invoice: invoice["id"].as_str(),
            credit_note: note["id"].as_str(),
        };
        note["customer_balance_transaction"] =
            balance_transactions::adjust(call.desk, &customer, &entry)?["id"].clone();
    }
    if elsewhere > 0 {
        note["out_of_band_amount"] = elsewhere.into();
    }
    note["type"] = "post_payment".into();
    note["post_payment_amount"] = total.into();
    let note = call.desk.create(note, "credit_note.created")?;
    let mut after = invoice.clone();
    after["post_payment_credit_notes_amount"] = (noted + total).into();
    call.desk.change(invoice, after, "invoice.updated")?;
    Ok(note)
}

fn too_much(than: &str) -> ApiError {
    ApiError::invalid(format!("The credit note's amount is greater than {than}.")).param("amount")
}

/// Only what lowered an invoice that is still open can be taken back.
fn void(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let invoice = call.desk.need("invoice", id_in(&before["invoice"]).unwrap_or_default())?;
    if before["status"] != "issued" || before["type"] != "pre_payment" || invoice["status"] != "open" {
        return Err(ApiError::invalid("You can only void an issued credit note of an open invoice."));
    }
    due(call.desk, &invoice, int(&before, "total"))?;
    let mut after = before.clone();
    after["status"] = "void".into();
    after["voided_at"] = call.desk.now_of(&before)?.into();
    call.desk.change(&before, after, "credit_note.voided")
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("credit_note", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys {
        kind: "credit_note",
        customer: params["customer"].as_str(),
        lookup: params["invoice"].as_str(),
        ..Keys::default()
    };
    list(call, &keys, "/v1/credit_notes", |note| {
        equals(note, "invoice", &params) && created_fits(note, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if call.has("memo") {
        after["memo"] = text_or_null(&call.params, "memo");
    }
    if let Some(metadata) = call.params.get("metadata") {
        after["metadata"] = merge_metadata(&after["metadata"], metadata);
    }
    call.desk.change(&before, after, "credit_note.updated")
}

/// A credit note here has few lines: they are one page.
fn lines(call: &mut Call<'_, '_>) -> Done {
    Ok(retrieve(call)?["lines"].clone())
}
