//! The book of a customer's balance: each change is one entry. Negative is credit, which pays the next invoices.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, int, merge_metadata, text, text_or_null};
use crate::store::Keys;

pub(super) const ROUTES: &[Route] = &[
    Route::new(
        "POST",
        "/v1/customers/{id}/balance_transactions",
        "amount!:int currency! description metadata:map",
        create,
    ),
    Route::list(
        "/v1/customers/{id}/balance_transactions",
        "invoice created:int|{gt:int gte:int lt:int lte:int}",
        index,
    ),
    Route::new("GET", "/v1/customers/{id}/balance_transactions/{id}", "", retrieve),
    Route::new("POST", "/v1/customers/{id}/balance_transactions/{id}", "description metadata:map", update),
];

/// One change of a balance.
pub(super) struct Entry<'a> {
    pub(super) amount: i64,
    pub(super) kind: &'a str,
    pub(super) invoice: Option<&'a str>,
    pub(super) credit_note: Option<&'a str>,
}

/// Writes an entry beside a change of the balance that the caller stores; `ending` is the balance after it.
pub(super) fn note(desk: &mut Desk<'_>, customer: &Value, ending: i64, entry: &Entry<'_>) -> Done {
    let created = desk.now_of(customer)?;
    let id = desk.id("cbtxn_", 24)?;
    let transaction = json!({
        "id": id, "object": "customer_balance_transaction", "amount": entry.amount, "checkout_session": null, "created": created,
        "credit_note": entry.credit_note, "currency": currency_of(customer), "customer": customer["id"],
        "customer_account": null, "description": null, "ending_balance": ending, "invoice": entry.invoice, "livemode": false,
        "metadata": {}, "type": entry.kind, "_clock": clock_of(customer),
    });
    desk.insert(&transaction)?;
    Ok(transaction)
}

/// Changes a customer's balance with its entry.
pub(super) fn adjust(desk: &mut Desk<'_>, customer: &Value, entry: &Entry<'_>) -> Done {
    let mut after = customer.clone();
    let ending = int(customer, "balance").saturating_add(entry.amount);
    after["balance"] = ending.into();
    let transaction = note(desk, customer, ending, entry)?;
    desk.change(customer, after, "customer.updated")?;
    Ok(transaction)
}

fn currency_of(customer: &Value) -> String {
    customer["currency"].as_str().unwrap_or("usd").to_owned()
}

fn customer(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    let customer = call.desk.need("customer", &id)?;
    if customer["deleted"] == true { Err(ApiError::missing("customer", &id)) } else { Ok(customer) }
}

fn create(call: &mut Call<'_, '_>) -> Done {
    let mut customer = customer(call)?;
    let amount = int(&call.params, "amount");
    let currency = text(&call.params, "currency").to_lowercase();
    if amount == 0 {
        return Err(ApiError::invalid("Invalid amount: must not be 0.").param("amount"));
    }
    match customer["currency"].as_str() {
        Some(known) if known != currency => {
            let message =
                format!("You cannot combine currencies on a single customer. This customer has currency {known}.");
            return Err(ApiError::invalid(message).param("currency"));
        }
        Some(_) => {}
        None if currency.len() == 3 => {
            customer["currency"] = currency.into();
            call.desk.save(&customer)?;
        }
        None => return Err(ApiError::invalid(format!("Invalid currency: {currency}")).param("currency")),
    }
    let entry = Entry { amount, kind: "adjustment", invoice: None, credit_note: None };
    let mut transaction = adjust(call.desk, &customer, &entry)?;
    describe(&mut transaction, &call.params);
    call.desk.save(&transaction)?;
    Ok(transaction)
}

fn describe(transaction: &mut Value, params: &Value) {
    if params.get("description").is_some() {
        transaction["description"] = text_or_null(params, "description");
    }
    if let Some(metadata) = params.get("metadata") {
        transaction["metadata"] = merge_metadata(&transaction["metadata"], metadata);
    }
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.ids.get(1).cloned().unwrap_or_default();
    let found = call.desk.need("customer_balance_transaction", &id)?;
    if id_in(&found["customer"]) == Some(call.id()) {
        Ok(found)
    } else {
        Err(ApiError::missing("customer_balance_transaction", &id))
    }
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let mut transaction = retrieve(call)?;
    describe(&mut transaction, &call.params);
    call.desk.save(&transaction)?;
    Ok(transaction)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let customer = text(&customer(call)?, "id").to_owned();
    let params = call.params.clone();
    let keys = Keys { kind: "customer_balance_transaction", customer: Some(&customer), ..Keys::default() };
    list(call, &keys, &format!("/v1/customers/{customer}/balance_transactions"), |entry| {
        equals(entry, "invoice", &params) && created_fits(entry, &params["created"])
    })
}
