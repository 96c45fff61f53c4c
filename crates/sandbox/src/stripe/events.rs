//! Events: what happened, newest first, kept for good here (30 days at Stripe).

use super::lists::{created_fits, list};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{Done, text};
use crate::store::Keys;

/// Stripe's limit on `types`.
const TYPES_MAX: usize = 20;

pub(super) const ROUTES: &[Route] = &[
    Route::list(
        "/v1/events",
        "type types:[str] created:int|{gt:int gte:int lt:int lte:int} delivery_success:bool",
        index,
    ),
    Route::new("GET", "/v1/events/{id}", "", retrieve),
];

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("event", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    if params["types"].as_array().is_some_and(|types| types.len() > TYPES_MAX) {
        return Err(ApiError::invalid("You may only specify up to 20 event types.").param("types"));
    }
    // `delivery_success=false` wants events that some endpoint has not confirmed; `true`, those that all did.
    let mut undelivered = std::collections::HashSet::new();
    if params["delivery_success"].is_boolean() {
        undelivered = call.desk.tx.undelivered_events()?.into_iter().collect();
    }
    let wildcard = params["type"].as_str().and_then(|kind| kind.strip_suffix('*'));
    let lookup = if wildcard.is_some() { None } else { params["type"].as_str() };
    let keys = Keys { kind: "event", lookup, ..Keys::default() };
    list(call, &keys, "/v1/events", |event| {
        let kind = text(event, "type");
        let typed = params["types"].as_array().is_none_or(|types| types.contains(&event["type"]));
        let delivered = params["delivery_success"].as_bool();
        wildcard.is_none_or(|prefix| kind.starts_with(prefix))
            && typed
            && created_fits(event, &params["created"])
            && delivered.is_none_or(|wanted| wanted != undelivered.contains(text(event, "id")))
    })
}
