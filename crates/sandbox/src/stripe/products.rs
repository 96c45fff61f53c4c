//! Products.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{Done, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "id name! active:bool description metadata:map unit_label url statement_descriptor images:[str] \
    shippable:bool tax_code type:(good,service)";
const UPDATE: &str = "name active:bool description metadata:map unit_label url statement_descriptor images:[str] \
    shippable:bool tax_code default_price";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/products", CREATE, create),
    Route::list("/v1/products", "active:bool ids:[str] created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/products/{id}", "", retrieve),
    Route::new("POST", "/v1/products/{id}", UPDATE, update),
    Route::new("DELETE", "/v1/products/{id}", "", delete),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let created = call.desk.now(None)?;
    let id = match call.params["id"].as_str() {
        Some(id) => id.to_owned(),
        None => call.desk.id("prod_", 14)?,
    };
    if call.desk.get(&id)?.is_some() {
        return Err(ApiError::invalid(format!("Product already exists: {id}"))
            .code("resource_already_exists")
            .param("id"));
    }
    let mut product = json!({
        "id": id, "object": "product", "active": true, "created": created, "default_price": null, "description": null,
        "images": [], "livemode": false, "marketing_features": [], "metadata": {}, "name": "", "package_dimensions": null,
        "shippable": null, "statement_descriptor": null, "tax_code": null, "tax_details": null, "type": "service",
        "unit_label": null, "updated": created, "url": null,
    });
    apply(&mut product, &call.params)?;
    call.desk.create(product, "product.created")
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    apply(&mut after, &call.params)?;
    if let Some(price) = call.params["default_price"].as_str().map(str::to_owned) {
        after["default_price"] = call.desk.need_param("price", &price, "default_price")?["id"].clone();
    }
    if after != before {
        after["updated"] = call.desk.now(None)?.into();
    }
    call.desk.change(&before, after, "product.updated")
}

fn apply(product: &mut Value, params: &Value) -> Done<()> {
    for member in ["active", "images", "shippable", "type"] {
        if let Some(value) = params.get(member) {
            product[member] = value.clone();
        }
    }
    for member in ["description", "unit_label", "url", "statement_descriptor", "tax_code"] {
        if params.get(member).is_some() {
            product[member] = text_or_null(params, member);
        }
    }
    match params["name"].as_str() {
        Some("") => {
            return Err(ApiError::invalid("Product name cannot be empty")
                .code("parameter_invalid_empty")
                .param("name"));
        }
        Some(name) => product["name"] = name.into(),
        None => {}
    }
    if let Some(metadata) = params.get("metadata") {
        product["metadata"] = merge_metadata(&product["metadata"], metadata);
    }
    Ok(())
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("product", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    list(call, &Keys { kind: "product", ..Keys::default() }, "/v1/products", |product| {
        let listed = params["ids"].as_array().is_none_or(|ids| ids.contains(&product["id"]));
        listed && equals(product, "active", &params) && created_fits(product, &params["created"])
    })
}

fn delete(call: &mut Call<'_, '_>) -> Done {
    let product = retrieve(call)?;
    let id = text(&product, "id").to_owned();
    if call.desk.all("price", None, None)?.iter().any(|price| price["product"] == *id) {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(ApiError::invalid(message));
    }
    call.desk.emit("product.deleted", &product, None)?;
    call.desk.tx.delete_object(&id)?;
    Ok(json!({ "id": id, "object": "product", "deleted": true }))
}
