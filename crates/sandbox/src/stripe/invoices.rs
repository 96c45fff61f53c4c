//! Invoices: reading, paying, finalizing, voiding, and previewing a change.

use serde_json::{Value, json};

use super::collection::{self, Collected, Then};
use super::lists::{created_fits, equals, list};
use super::{Call, Route, payment_methods, subscription_changes, subscriptions};
use crate::api_error::ApiError;
use crate::desk::{Done, id_in, merge_metadata, text, text_or_null};
use crate::render::plain;
use crate::store::Keys;

const PREVIEW: &str = "subscription! customer preview_mode:(next,recurring) \
    discounts:[{coupon discount promotion_code}] automatic_tax:{enabled!:bool} \
    subscription_details:{items:[{id price quantity:int deleted:bool metadata:map}] \
    proration_behavior:(always_invoice,create_prorations,none) proration_date:int trial_end:now|int \
    billing_cycle_anchor:{type!:(now,unchanged)} cancel_at_period_end:bool cancel_at:clear|int}";

pub(super) const ROUTES: &[Route] = &[
    Route::list(
        "/v1/invoices",
        "customer subscription status:(draft,open,paid,uncollectible,void) collection_method:(charge_automatically,send_invoice) \
         created:int|{gt:int gte:int lt:int lte:int}",
        index,
    ),
    Route::new("POST", "/v1/invoices/create_preview", PREVIEW, preview),
    Route::new("GET", "/v1/invoices/{id}", "", retrieve),
    Route::new("POST", "/v1/invoices/{id}", "metadata:map description footer auto_advance:bool", update),
    Route::new("POST", "/v1/invoices/{id}/pay", "payment_method paid_out_of_band:bool off_session:bool", pay),
    Route::new("POST", "/v1/invoices/{id}/finalize", "auto_advance:bool", finalize),
    Route::new("POST", "/v1/invoices/{id}/void", "", void),
    Route::new("POST", "/v1/invoices/{id}/mark_uncollectible", "", mark_uncollectible),
    Route::list("/v1/invoices/{id}/lines", "", lines),
];

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("invoice", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys {
        kind: "invoice",
        customer: params["customer"].as_str(),
        lookup: params["subscription"].as_str(),
        ..Keys::default()
    };
    list(call, &keys, "/v1/invoices", |invoice| {
        equals(invoice, "status", &params)
            && equals(invoice, "collection_method", &params)
            && created_fits(invoice, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    for member in ["description", "footer"] {
        if call.has(member) {
            after[member] = text_or_null(&call.params, member);
        }
    }
    if let Some(advance) = call.params.get("auto_advance") {
        after["auto_advance"] = advance.clone();
    }
    if let Some(metadata) = call.params.get("metadata") {
        after["metadata"] = merge_metadata(&after["metadata"], metadata);
    }
    call.desk.change(&before, after, "invoice.updated")
}

fn in_status(call: &mut Call<'_, '_>, allowed: &[&str], verb: &str) -> Done {
    let invoice = retrieve(call)?;
    let status = text(&invoice, "status");
    if allowed.contains(&status) {
        return Ok(invoice);
    }
    if status == "paid" && verb == "paid" {
        return Err(ApiError::invalid("Invoice is already paid"));
    }
    Err(ApiError::invalid(format!("This invoice can't be {verb} because its status is {status}."))
        .code("invoice_not_editable"))
}

fn finalize(call: &mut Call<'_, '_>) -> Done {
    let invoice = in_status(call, &["draft"], "finalized")?;
    collection::finalize(call.desk, &invoice)
}

fn void(call: &mut Call<'_, '_>) -> Done {
    let invoice = in_status(call, &["open", "uncollectible"], "voided")?;
    let voided = collection::give_up(call.desk, &invoice, "void")?;
    subscription_changes::invoice_voided(call.desk, &voided)?;
    Ok(voided)
}

fn mark_uncollectible(call: &mut Call<'_, '_>) -> Done {
    let invoice = in_status(call, &["open"], "marked uncollectible")?;
    collection::give_up(call.desk, &invoice, "uncollectible")
}

fn pay(call: &mut Call<'_, '_>) -> Done {
    let mut invoice = in_status(call, &["draft", "open", "uncollectible"], "paid")?;
    if invoice["status"] == "draft" {
        invoice = collection::finalize(call.desk, &invoice)?;
        if invoice["status"] == "paid" {
            return Ok(invoice);
        }
    }
    if call.params["paid_out_of_band"] == true {
        return collection::mark_paid(call.desk, &invoice);
    }
    let method = match call.params["payment_method"].as_str().map(str::to_owned) {
        Some(method) => {
            let customer = id_in(&invoice["customer"]).unwrap_or_default().to_owned();
            Some(payment_methods::attached_to(call.desk, &method, &customer, "payment_method")?)
        }
        None => None,
    };
    if method.is_none() && collection::effective_method(call.desk, &invoice)?.is_none() {
        return Err(subscriptions::no_payment_method());
    }
    match collection::collect(call.desk, &invoice, method.as_deref(), Then::Stop)? {
        Collected::Paid => retrieve(call),
        Collected::Declined(refusal) => Err(collection::declined(refusal)),
        Collected::NeedsAction => {
            let message = "This payment requires additional user action before it can be completed successfully.";
            Err(ApiError::card("invoice_payment_intent_requires_action", None, message))
        }
        Collected::NoMethod => Err(subscriptions::no_payment_method()),
    }
}

fn lines(call: &mut Call<'_, '_>) -> Done {
    let invoice = retrieve(call)?;
    let all = invoice["lines"]["data"].as_array().cloned().unwrap_or_default();
    let limit = call.params["limit"].as_u64().map_or(Ok(10), usize::try_from).unwrap_or(usize::MAX);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::invalid("Invalid limit: must be between 1 and 100").param("limit"));
    }
    let start = match call.params["starting_after"].as_str() {
        None => 0,
        Some(id) => all.iter().position(|line| line["id"] == id).map_or(all.len(), |index| index + 1),
    };
    let data: Vec<Value> = all.iter().skip(start).take(limit).map(plain).collect();
    let has_more = start + data.len() < all.len();
    Ok(
        json!({ "object": "list", "data": data, "has_more": has_more, "url": format!("/v1/invoices/{}/lines", call.id()) }),
    )
}

/// The invoice a change would make, or the next renewal's. Nothing of it is stored.
fn preview(call: &mut Call<'_, '_>) -> Done {
    let id = text(&call.params, "subscription").to_owned();
    let subscription = call.desk.need_param("subscription", &id, "subscription")?;
    if call.params["customer"].as_str().is_some_and(|customer| id_in(&subscription["customer"]) != Some(customer)) {
        return Err(ApiError::invalid("The subscription does not belong to this customer.").param("customer"));
    }
    if matches!(text(&subscription, "status"), "canceled" | "incomplete_expired") {
        return Err(ApiError::invalid("No upcoming invoices for this subscription.").code("invoice_upcoming_none"));
    }
    call.desk.rehearsal = true;
    let recurring = call.params["preview_mode"] == "recurring";
    let mut details = call.params.get("subscription_details").cloned().unwrap_or_else(|| json!({}));
    for member in ["discounts", "automatic_tax"] {
        if let Some(given) = call.params.get(member) {
            details[member] = given.clone();
        }
    }
    subscription_changes::preview(call.desk, &subscription, &details, recurring)
}
