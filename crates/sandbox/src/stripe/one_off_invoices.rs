//! Invoices that no subscription makes: a customer's waiting invoice items, charged once.

use serde_json::{Value, json};

use super::{Call, Route, collection, invoice_drafts, invoice_items, invoice_stages, tax_rates, taxes};
use crate::api_error::ApiError;
use crate::desk::{Done, clock_of, merge_metadata, text, text_or_null};
use crate::render::{list_of, plain};

const CREATE: &str = "customer! auto_advance:bool collection_method:(charge_automatically) currency description footer metadata:map \
    pending_invoice_items_behavior:(exclude,include) automatic_tax:{enabled!:bool} default_tax_rates:[str] \
    default_payment_method";

pub(super) const ROUTES: &[Route] =
    &[Route::new("POST", "/v1/invoices", CREATE, create), Route::new("DELETE", "/v1/invoices/{id}", "", delete)];

/// How long a draft that advances by itself stays one.
const DRAFT_SECONDS: i64 = 3_600;

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let customer = call.desk.need_param("customer", text(&params, "customer"), "customer")?;
    if customer["deleted"] == true {
        return Err(ApiError::missing("customer", text(&customer, "id")).param("customer"));
    }
    let created = call.desk.now_of(&customer)?;
    let id = call.desk.id("in_", 24)?;
    let mut invoice = invoice_drafts::blank(&customer, &id, created);
    let advances = params["auto_advance"] == true;
    invoice["auto_advance"] = advances.into();
    invoice["automatically_finalizes_at"] = advances.then_some(created + DRAFT_SECONDS).into();
    invoice["billing_reason"] = "manual".into();
    invoice["parent"] = Value::Null;
    invoice["period_start"] = created.into();
    invoice["period_end"] = created.into();
    invoice["description"] = text_or_null(&params, "description");
    invoice["metadata"] = merge_metadata(&Value::Null, &params["metadata"]);
    invoice["default_payment_method"] = text_or_null(&params, "default_payment_method");
    invoice["default_tax_rates"] =
        tax_rates::named(call.desk, &params["default_tax_rates"], "default_tax_rates")?.iter().map(plain).collect();
    if params["automatic_tax"]["enabled"] == true {
        taxes::need_place(&customer)?;
        invoice["automatic_tax"]["enabled"] = true.into();
    }
    let include = params["pending_invoice_items_behavior"] == "include";
    let lines = if include { invoice_items::waiting(call.desk, text(&customer, "id"))? } else { Vec::new() };
    let currency = params["currency"].as_str().or_else(|| lines.first().and_then(|line| line["currency"].as_str()));
    let currency = currency.or_else(|| customer["currency"].as_str()).unwrap_or("usd").to_lowercase();
    if lines.iter().any(|line| line["currency"] != currency) {
        return Err(ApiError::invalid("The invoice's currency differs from that of its items.").param("currency"));
    }
    invoice["currency"] = currency.into();
    invoice["test_clock"] = json!(clock_of(&customer));
    invoice["_clock"] = json!(clock_of(&customer));
    invoice["lines"] = list_of(lines, &format!("/v1/invoices/{id}/lines"));
    let settings = invoice.clone();
    invoice_stages::apply(call.desk, &mut invoice, &settings, &customer)?;
    invoice_drafts::settle_amounts(&mut invoice, &customer);
    let invoice = invoice_drafts::store(call.desk, invoice)?;
    if advances {
        call.desk.appoint(&invoice, collection::FINALIZE, created + DRAFT_SECONDS)?;
    }
    Ok(invoice)
}

/// Only a draft that no subscription made can be deleted; its items wait again.
fn delete(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    let invoice = call.desk.need("invoice", &id)?;
    if invoice["status"] != "draft" || !invoice["parent"].is_null() {
        return Err(ApiError::invalid("You can only delete draft invoices that no subscription made.")
            .code("invoice_not_editable"));
    }
    for mut item in call.desk.all("invoiceitem", invoice["customer"].as_str(), None)? {
        if item["invoice"] == invoice["id"] {
            item["invoice"] = Value::Null;
            call.desk.save(&item)?;
        }
    }
    call.desk.tx.clear_agenda(&id)?;
    call.desk.emit("invoice.deleted", &invoice, None)?;
    call.desk.tx.delete_object(&id)?;
    Ok(json!({ "id": id, "object": "invoice", "deleted": true }))
}
