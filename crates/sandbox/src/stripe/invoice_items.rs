//! Invoice items: something to charge or to give back once. They wait for the customer's next invoice, or for the draft named.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route, invoice_drafts, invoice_stages, prices, proration, subscriptions, tax_rates};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, int, merge_metadata, text, text_or_null};
use crate::render::plain;
use crate::store::Keys;

const CREATE: &str = "customer! amount:int currency description discountable:bool invoice metadata:map period:{start!:int end!:int} \
    pricing:{price!} quantity:int subscription tax_rates:[str] unit_amount_decimal:dec";
const UPDATE: &str = "amount:int description metadata:map quantity:int";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/invoiceitems", CREATE, create),
    Route::list("/v1/invoiceitems", "customer invoice pending:bool created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/invoiceitems/{id}", "", retrieve),
    Route::new("POST", "/v1/invoiceitems/{id}", UPDATE, update),
    Route::new("DELETE", "/v1/invoiceitems/{id}", "", delete),
];

/// What an item costs: the amount, and the price it comes from.
struct Cost {
    amount: i64,
    quantity: i64,
    currency: String,
    pricing: Value,
    description: Value,
}

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let customer = call.desk.need_param("customer", text(&params, "customer"), "customer")?;
    if customer["deleted"] == true {
        return Err(ApiError::missing("customer", text(&customer, "id")).param("customer"));
    }
    let cost = cost(call.desk, &params)?;
    if customer["currency"].as_str().is_some_and(|known| known != cost.currency) {
        let message = "The currency of the invoice item differs from the customer's.";
        return Err(ApiError::invalid(message).param("currency"));
    }
    let subscription = owner(call.desk, &params, &customer)?;
    let rates = tax_rates::named(call.desk, &params["tax_rates"], "tax_rates")?;
    let date = call.desk.now_of(&customer)?;
    let id = call.desk.id("ii_", 24)?;
    let period = params.get("period").cloned().unwrap_or_else(|| json!({ "start": date, "end": date }));
    let parent = match &subscription {
        Value::Null => Value::Null,
        id => json!({ "type": "subscription_details", "subscription_details": { "subscription": id } }),
    };
    let mut item = json!({
        "id": id, "object": "invoiceitem", "amount": cost.amount, "currency": cost.currency, "customer": customer["id"],
        "customer_account": null, "date": date, "description": cost.description,
        "discountable": params["discountable"].as_bool().unwrap_or(cost.amount > 0), "discounts": [], "invoice": null,
        "livemode": false, "metadata": merge_metadata(&Value::Null, &params["metadata"]), "net_amount": cost.amount,
        "parent": parent, "period": period, "pricing": cost.pricing, "proration": false, "quantity": cost.quantity,
        "quantity_decimal": cost.quantity.to_string(), "tax_rates": rates.iter().map(plain).collect::<Value>(),
        "test_clock": clock_of(&customer), "_subscription": subscription, "_clock": clock_of(&customer),
    });
    renew_line(call.desk, &mut item)?;
    let item = call.desk.create(item, "invoiceitem.created")?;
    match params["invoice"].as_str() {
        Some(draft) => put_on(call.desk, item, draft),
        None => Ok(item),
    }
}

fn owner(desk: &mut Desk<'_>, params: &Value, customer: &Value) -> Done {
    let Some(id) = params["subscription"].as_str() else { return Ok(Value::Null) };
    let subscription = desk.need_param("subscription", id, "subscription")?;
    if subscription["customer"] != customer["id"] {
        return Err(ApiError::invalid("The subscription is not this customer's.").param("subscription"));
    }
    Ok(subscription["id"].clone())
}

fn cost(desk: &mut Desk<'_>, params: &Value) -> Done<Cost> {
    let quantity = subscriptions::quantity(params, "")?;
    if let Some(price) = params["pricing"]["price"].as_str() {
        let price = desk.need_param("price", price, "pricing[price]")?;
        if price["type"] != "one_time" || price["active"] != true {
            let message = "The price must be active and of `type=one_time`.";
            return Err(ApiError::invalid(message).param("pricing[price]"));
        }
        let details = json!({ "price": price["id"], "product": price["product"] });
        let description = match params["description"].as_str() {
            Some(description) => description.into(),
            None => prices::product_name(desk, &price)?.into(),
        };
        return Ok(Cost {
            amount: proration::full_amount(&price, quantity),
            quantity,
            currency: text(&price, "currency").to_owned(),
            pricing: json!({
                "type": "price_details", "price_details": details, "unit_amount_decimal": price["unit_amount_decimal"],
            }),
            description,
        });
    }
    let currency = text(params, "currency").to_lowercase();
    if currency.len() != 3 {
        return Err(ApiError::invalid("Missing required param: currency.").code("parameter_missing").param("currency"));
    }
    let (amount, quantity) = match (params["amount"].as_i64(), params["unit_amount_decimal"].as_str()) {
        (Some(amount), None) => (amount, 1),
        (None, Some(unit)) => (proration::part(quantity, proration::scaled(unit), proration::scaled("1")), quantity),
        _ => return Err(ApiError::invalid("Give one of amount, unit_amount_decimal or pricing.").param("amount")),
    };
    Ok(Cost { amount, quantity, currency, pricing: Value::Null, description: text_or_null(params, "description") })
}

/// The line the item becomes, kept beside it until an invoice takes it.
fn renew_line(desk: &mut Desk<'_>, item: &mut Value) -> Done<()> {
    let id = desk.id("il_", 24)?;
    item["_line"] = json!({
        "id": id, "object": "line_item", "amount": item["amount"], "currency": item["currency"],
        "description": item["description"], "discount_amounts": [], "discountable": item["discountable"], "discounts": [],
        "invoice": null, "livemode": false, "metadata": item["metadata"],
        "parent": {
            "type": "invoice_item_details", "subscription_item_details": null,
            "invoice_item_details": {
                "invoice_item": item["id"], "proration": false, "proration_details": { "credited_items": null },
                "subscription": item["_subscription"],
            },
        },
        "period": item["period"], "pretax_credit_amounts": [], "pricing": item["pricing"], "quantity": item["quantity"],
        "quantity_decimal": item["quantity_decimal"], "subscription": item["_subscription"], "subtotal": item["amount"],
        "taxes": [], "_tax_rates": item["tax_rates"],
    });
    Ok(())
}

/// The lines of items that wait for the customer's next invoice and belong to no subscription, newest first.
pub(super) fn waiting(desk: &mut Desk<'_>, customer: &str) -> Done<Vec<Value>> {
    let mut items = desk.all("invoiceitem", Some(customer), None)?;
    items.retain(|item| item["invoice"].is_null() && item["_subscription"].is_null());
    Ok(items.iter().map(|item| item["_line"].clone()).collect())
}

/// The item that a line came from.
pub(super) fn source(line: &Value) -> Option<&str> {
    let parent = &line["parent"];
    let details = ["subscription_item_details", "invoice_item_details"].map(|details| &parent[details]["invoice_item"]);
    details.into_iter().find_map(Value::as_str)
}

fn put_on(desk: &mut Desk<'_>, mut item: Value, draft: &str) -> Done {
    let before = desk.need_param("invoice", draft, "invoice")?;
    if before["status"] != "draft" || before["customer"] != item["customer"] {
        let message = "The invoice is not a draft of this customer.";
        return Err(ApiError::invalid(message).code("invoice_not_editable").param("invoice"));
    }
    item["invoice"] = before["id"].clone();
    desk.save(&item)?;
    let mut after = before.clone();
    let mut line = item["_line"].clone();
    line["invoice"] = before["id"].clone();
    if let Some(lines) = after["lines"]["data"].as_array_mut() {
        lines.push(line);
    }
    recompute(desk, &before, after)?;
    Ok(item)
}

/// Works the stages of a draft out again after its lines changed.
pub(super) fn recompute(desk: &mut Desk<'_>, before: &Value, mut after: Value) -> Done {
    let customer = desk.need("customer", id_in(&after["customer"]).unwrap_or_default())?;
    let settings = match after["parent"]["subscription_details"]["subscription"].as_str() {
        Some(subscription) => desk.need("subscription", subscription)?,
        None => after.clone(),
    };
    invoice_stages::apply(desk, &mut after, &settings, &customer)?;
    invoice_drafts::settle_amounts(&mut after, &customer);
    desk.change(before, after, "invoice.updated")
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("invoiceitem", &id)
}

fn pending(call: &mut Call<'_, '_>) -> Done {
    let item = retrieve(call)?;
    if item["invoice"].is_null() {
        return Ok(item);
    }
    Err(ApiError::invalid("This invoice item is on an invoice and can't be changed any more.")
        .code("invoice_not_editable"))
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "invoiceitem", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/invoiceitems", |item| {
        equals(item, "invoice", &params)
            && params["pending"].as_bool().is_none_or(|wanted| wanted == item["invoice"].is_null())
            && created_fits(item, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let mut item = pending(call)?;
    if let Some(amount) = call.params["amount"].as_i64() {
        item["amount"] = amount.into();
        item["net_amount"] = amount.into();
    }
    if call.has("description") {
        item["description"] = text_or_null(&call.params, "description");
    }
    if let Some(metadata) = call.params.get("metadata") {
        item["metadata"] = merge_metadata(&item["metadata"], metadata);
    }
    if call.has("quantity") {
        let unit = item["pricing"]["unit_amount_decimal"].as_str().map(proration::scaled);
        let quantity = subscriptions::quantity(&call.params, "")?;
        let Some(unit) = unit else {
            return Err(ApiError::invalid("Only items with a price have a quantity.").param("quantity"));
        };
        item["amount"] = proration::part(quantity, unit, proration::scaled("1")).into();
        item["quantity"] = quantity.into();
        item["quantity_decimal"] = quantity.to_string().into();
        item["net_amount"] = int(&item, "amount").into();
    }
    renew_line(call.desk, &mut item)?;
    call.desk.save(&item)?;
    Ok(item)
}

fn delete(call: &mut Call<'_, '_>) -> Done {
    let item = pending(call)?;
    let id = text(&item, "id").to_owned();
    call.desk.emit("invoiceitem.deleted", &item, None)?;
    call.desk.tx.delete_object(&id)?;
    Ok(json!({ "id": id, "object": "invoiceitem", "deleted": true }))
}
