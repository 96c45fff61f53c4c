//! Customers.

use serde_json::{Value, json};

use super::balance_transactions::{self, Entry};
use super::lists::{created_fits, equals, list};
use super::{Call, Route, life, payment_methods, taxes};
use crate::api_error::ApiError;
use crate::desk::{Done, clock_of, int, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "balance:int email name description phone metadata:map \
    address:{city country line1 line2 postal_code state} invoice_settings:{default_payment_method footer} \
    preferred_locales:[str] tax_exempt:(none,exempt,reverse) tax:{validate_location:(deferred,immediately)} payment_method test_clock";
const UPDATE: &str = "balance:int email name description phone metadata:map \
    address:{city country line1 line2 postal_code state} invoice_settings:{default_payment_method footer} \
    preferred_locales:[str] tax_exempt:(none,exempt,reverse) tax:{validate_location:(deferred,immediately)}";

/// The largest balance, owed or credited.
const BALANCE_MAX: u64 = 999_999_999_999;

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/customers", CREATE, create),
    Route::list("/v1/customers", "email created:int|{gt:int gte:int lt:int lte:int} test_clock", index),
    Route::new("GET", "/v1/customers/{id}", "", retrieve),
    Route::new("POST", "/v1/customers/{id}", UPDATE, update),
    Route::new("DELETE", "/v1/customers/{id}", "", delete),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let clock = match call.params["test_clock"].as_str().map(str::to_owned) {
        Some(clock) => Some(call.desk.need_param("test clock", &clock, "test_clock")?["id"].clone()),
        None => None,
    };
    let created = call.desk.now(clock.as_ref().and_then(Value::as_str))?;
    let id = call.desk.id("cus_", 14)?;
    let prefix = call.desk.id("", 8)?.to_uppercase();
    let mut customer = json!({
        "id": id, "object": "customer", "address": null, "balance": 0, "created": created, "currency": null,
        "customer_account": null, "default_source": null, "delinquent": false, "description": null, "discount": null, "email": null,
        "invoice_prefix": prefix,
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
        },
        "livemode": false, "metadata": {}, "name": null, "next_invoice_sequence": 1, "phone": null, "preferred_locales": [],
        "shipping": null, "tax_exempt": "none", "test_clock": clock, "_clock": clock,
    });
    apply(&mut customer, &call.params)?;
    call.desk.insert(&customer)?;
    if let Some(method) = call.params["payment_method"].as_str().map(str::to_owned) {
        payment_methods::attach_to(call.desk, &method, &customer)?;
    }
    set_default_method(call, &mut customer)?;
    note_balance(call, &customer, 0)?;
    call.desk.save(&customer)?;
    call.desk.emit("customer.created", &customer, None)?;
    Ok(customer)
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = live(call)?;
    let mut after = before.clone();
    apply(&mut after, &call.params)?;
    set_default_method(call, &mut after)?;
    note_balance(call, &after, int(&before, "balance"))?;
    call.desk.change(&before, after, "customer.updated")
}

/// A balance that is set is an adjustment of it.
fn note_balance(call: &mut Call<'_, '_>, customer: &Value, before: i64) -> Done<()> {
    let ending = int(customer, "balance");
    if ending == before {
        return Ok(());
    }
    let entry = Entry { amount: ending - before, kind: "adjustment", invoice: None, credit_note: None };
    balance_transactions::note(call.desk, customer, ending, &entry).map(drop)
}

fn apply(customer: &mut Value, params: &Value) -> Done<()> {
    match params["balance"].as_i64() {
        Some(balance) if balance.unsigned_abs() > BALANCE_MAX => {
            return Err(ApiError::invalid("Invalid integer: the balance is too large")
                .code("parameter_invalid_integer")
                .param("balance"));
        }
        Some(balance) => customer["balance"] = balance.into(),
        None => {}
    }
    for member in ["email", "name", "description", "phone"] {
        if params.get(member).is_some() {
            customer[member] = text_or_null(params, member);
        }
    }
    for member in ["preferred_locales", "tax_exempt"] {
        if let Some(value) = params.get(member) {
            customer[member] = value.clone();
        }
    }
    if let Some(given) = params.get("address") {
        customer["address"] = address(given);
    }
    if params["tax"]["validate_location"] == "immediately" {
        taxes::need_place(customer)?;
    }
    if let Some(footer) = params["invoice_settings"].get("footer") {
        customer["invoice_settings"]["footer"] = footer.clone();
    }
    if let Some(metadata) = params.get("metadata") {
        customer["metadata"] = merge_metadata(&customer["metadata"], metadata);
    }
    Ok(())
}

/// A given address with every member present; the empty string clears it.
fn address(given: &Value) -> Value {
    if given.is_string() {
        return Value::Null;
    }
    ["city", "country", "line1", "line2", "postal_code", "state"]
        .into_iter()
        .map(|member| (member.to_owned(), text_or_null(given, member)))
        .collect()
}

fn set_default_method(call: &mut Call<'_, '_>, customer: &mut Value) -> Done<()> {
    const PARAM: &str = "invoice_settings[default_payment_method]";
    let Some(method) = call.params["invoice_settings"]["default_payment_method"].as_str().map(str::to_owned) else {
        return Ok(());
    };
    customer["invoice_settings"]["default_payment_method"] = if method.is_empty() {
        Value::Null
    } else {
        payment_methods::attached_to(call.desk, &method, text(customer, "id"), PARAM)?.into()
    };
    Ok(())
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("customer", &id)
}

/// The customer of the path, which has not been deleted.
fn live(call: &mut Call<'_, '_>) -> Done {
    let customer = retrieve(call)?;
    if customer["deleted"] == true { Err(ApiError::missing("customer", call.id()).param("id")) } else { Ok(customer) }
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "customer", lookup: params["email"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/customers", |customer| {
        customer["deleted"] != true
            && created_fits(customer, &params["created"])
            // Without the filter, customers of test clocks are not listed.
            && if params.get("test_clock").is_some() { equals(customer, "test_clock", &params) } else { customer["test_clock"].is_null() }
    })
}

fn delete(call: &mut Call<'_, '_>) -> Done {
    let customer = live(call)?;
    let id = text(&customer, "id").to_owned();
    for subscription in call.desk.all("subscription", Some(&id), None)? {
        if !matches!(text(&subscription, "status"), "canceled" | "incomplete_expired") {
            life::cancel_now(call.desk, &subscription, Value::Null)?;
        }
    }
    call.desk.emit("customer.deleted", &customer, None)?;
    let gone = json!({ "id": id, "object": "customer", "deleted": true, "_clock": clock_of(&customer) });
    call.desk.save(&gone)?;
    Ok(gone)
}
