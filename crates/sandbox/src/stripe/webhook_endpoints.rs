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

/// The secret of the endpoint that gets every event at `url`: the one that has this address, else one of an earlier run
/// whose port is not in use any more, else a new one.
pub(crate) fn ensure(desk: &mut Desk<'_>, url: &str) -> Done<String> {
    let mut ensured = desk.all("webhook_endpoint", None, None)?;
    ensured.retain(|endpoint| endpoint["_run"].is_string());
    let run = desk.premises.run.clone();
    let same = ensured.iter().position(|endpoint| endpoint["url"] == url);
    let moved =
        || ensured.iter().position(|one| one["_run"] != *run && without_port(text(one, "url")) == without_port(url));
    let mut endpoint = match same.or_else(moved) {
        Some(index) => ensured.swap_remove(index),
        None => {
            let endpoint = new(desk, url, json!(["*"]))?;
            desk.insert(&endpoint)?;
            endpoint
        }
    };
    if endpoint["_run"] != *run {
        desk.tx.hurry_deliveries(text(&endpoint, "id"), desk.main_micros)?;
    }
    endpoint["url"] = url.into();
    endpoint["_run"] = run.into();
    desk.save(&endpoint)?;
    Ok(text(&endpoint, "_secret").to_owned())
}

/// `http://127.0.0.1:8787/hook` → `http://127.0.0.1` and `hook`.
fn without_port(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    (&url[..scheme.len() + "://".len() + host.len()], path)
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
