//! Webhook endpoints: where events go. The secret is answered once, at creation.

use serde_json::{Value, json};

use super::lists::list;
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{API_VERSION, Desk, Done, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "url! enabled_events!:[str] api_version description metadata:map";
const UPDATE: &str = "url enabled_events:[str] description metadata:map disabled:bool";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/webhook_endpoints", CREATE, create),
    Route::list("/v1/webhook_endpoints", "", index),
    Route::new("GET", "/v1/webhook_endpoints/{id}", "", retrieve),
    Route::new("POST", "/v1/webhook_endpoints/{id}", UPDATE, update),
    Route::new("DELETE", "/v1/webhook_endpoints/{id}", "", delete),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let version = match call.params["api_version"].as_str() {
        None | Some("") => Value::Null,
        Some(version) => version.into(),
    };
    let (url, events) = (text(&call.params, "url").to_owned(), call.params["enabled_events"].clone());
    let mut endpoint = new(call.desk, &url, events)?;
    endpoint["api_version"] = version;
    endpoint["description"] = text_or_null(&call.params, "description");
    endpoint["metadata"] = merge_metadata(&endpoint["metadata"], &call.params["metadata"]);
    call.desk.insert(&endpoint)?;
    endpoint["secret"] = endpoint["_secret"].clone();
    Ok(endpoint)
}

fn new(desk: &mut Desk<'_>, url: &str, events: Value) -> Done {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(ApiError::invalid("Invalid URL: An explicit scheme (such as https) must be provided.")
            .code("url_invalid")
            .param("url"));
    }
    if events.as_array().is_none_or(Vec::is_empty) {
        return Err(ApiError::invalid("You must enable at least one event.").param("enabled_events"));
    }
    let created = desk.now(None)?;
    let id = desk.id("we_", 24)?;
    let secret = desk.id("whsec_", 32)?;
    Ok(json!({
        "id": id, "object": "webhook_endpoint", "api_version": API_VERSION, "application": null, "created": created,
        "description": null, "enabled_events": events, "livemode": false, "metadata": {}, "status": "enabled", "url": url,
        "_secret": secret,
    }))
}

/// The secret of the endpoint that gets every event at `url`, which is created when there is none.
pub(crate) fn ensure(desk: &mut Desk<'_>, url: &str) -> Done<String> {
    let known = desk.all("webhook_endpoint", None, Some(url))?;
    let endpoint = match known.into_iter().find(|endpoint| endpoint["enabled_events"] == json!(["*"])) {
        Some(endpoint) => endpoint,
        None => {
            let endpoint = new(desk, url, json!(["*"]))?;
            desk.insert(&endpoint)?;
            endpoint
        }
    };
    Ok(text(&endpoint, "_secret").to_owned())
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let mut endpoint = retrieve(call)?;
    for member in ["url", "enabled_events"] {
        if let Some(value) = call.params.get(member) {
            endpoint[member] = value.clone();
        }
    }
    if call.has("description") {
        endpoint["description"] = text_or_null(&call.params, "description");
    }
    endpoint["metadata"] = merge_metadata(&endpoint["metadata"], &call.params["metadata"]);
    if let Some(disabled) = call.params["disabled"].as_bool() {
        endpoint["status"] = if disabled { "disabled" } else { "enabled" }.into();
    }
    call.desk.save(&endpoint)?;
    Ok(endpoint)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("webhook endpoint", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    list(call, &Keys { kind: "webhook_endpoint", ..Keys::default() }, "/v1/webhook_endpoints", |_| true)
}

fn delete(call: &mut Call<'_, '_>) -> Done {
    let endpoint = retrieve(call)?;
    let id = text(&endpoint, "id");
    call.desk.tx.delete_object(id)?;
    call.desk.tx.forget_endpoint(id)?;
    Ok(json!({ "id": id, "object": "webhook_endpoint", "deleted": true }))
}
