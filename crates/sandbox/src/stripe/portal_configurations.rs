//! Configurations of the customer portal: what customers may do there. One is the default, made when it is first needed.
//!
//! Source: docs.stripe.com/api/customer_portal/configurations (2026-10-28.endive). Plan changes and pauses are not offered by the
//! sandbox's page; asking for them is refused, so that nobody believes they would work.

use serde_json::{Value, json};

use super::lists::{equals, list};
use super::{Call, Route};
use crate::desk::{Desk, Done, merge_metadata, text_or_null};
use crate::store::Keys;

const CREATE: &str = "features!:{customer_update:{enabled!:bool allowed_updates:[(address,email,name,phone,shipping,tax_id)]} \
    invoice_history:{enabled!:bool} payment_method_update:{enabled!:bool} \
    subscription_cancel:{enabled!:bool mode:(at_period_end,immediately) proration_behavior:(none) \
    cancellation_reason:{enabled!:bool options:[(customer_service,low_quality,missing_features,other,switched_service,too_complex,too_expensive,unused)]}}} \
    business_profile:{headline privacy_policy_url terms_of_service_url} default_return_url metadata:map name";
const UPDATE: &str = "active:bool features:{customer_update:{enabled!:bool allowed_updates:[(address,email,name,phone,shipping,tax_id)]} \
    invoice_history:{enabled!:bool} payment_method_update:{enabled!:bool} \
    subscription_cancel:{enabled!:bool mode:(at_period_end,immediately) proration_behavior:(none) \
    cancellation_reason:{enabled!:bool options:[(customer_service,low_quality,missing_features,other,switched_service,too_complex,too_expensive,unused)]}}} \
    business_profile:{headline privacy_policy_url terms_of_service_url} default_return_url metadata:map name";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/billing_portal/configurations", CREATE, create),
    Route::list("/v1/billing_portal/configurations", "active:bool is_default:bool", index),
    Route::new("GET", "/v1/billing_portal/configurations/{id}", "", retrieve),
    Route::new("POST", "/v1/billing_portal/configurations/{id}", UPDATE, update),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let first = standard(call.desk)?.is_none();
    let params = call.params.clone();
    make(call.desk, &params, first)
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    apply(&mut after, &call.params);
    if let Some(active) = call.params.get("active") {
        after["active"] = active.clone();
    }
    after["updated"] = call.desk.now(None)?.into();
    call.desk.change(&before, after, "billing_portal.configuration.updated")
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("billing_portal.configuration", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "billing_portal.configuration", ..Keys::default() };
    list(call, &keys, "/v1/billing_portal/configurations", |one| {
        equals(one, "active", &params) && equals(one, "is_default", &params)
    })
}

fn standard(desk: &mut Desk<'_>) -> Done<Option<Value>> {
    let all = desk.all("billing_portal.configuration", None, None)?;
    Ok(all.into_iter().find(|one| one["is_default"] == true))
}

/// The default configuration; where there is none yet, one that lets customers do what the page can.
pub(super) fn default(desk: &mut Desk<'_>) -> Done {
    match standard(desk)? {
        Some(found) => Ok(found),
        None => {
            let on = json!({ "enabled": true });
            let features = json!({
                "invoice_history": on, "payment_method_update": on,
                "subscription_cancel": { "enabled": true, "mode": "at_period_end" },
            });
            make(desk, &json!({ "features": features }), true)
        }
    }
}

fn make(desk: &mut Desk<'_>, params: &Value, is_default: bool) -> Done {
    let (id, now) = (desk.id("bpc_", 24)?, desk.now(None)?);
    let mut configuration = json!({
        "id": id, "object": "billing_portal.configuration", "active": true, "application": null,
        "business_profile": { "headline": null, "privacy_policy_url": null, "terms_of_service_url": null },
        "created": now, "default_return_url": null,
        "features": {
            "customer_update": { "allowed_updates": [], "enabled": false },
            "invoice_history": { "enabled": false },
            "payment_method_update": { "enabled": false, "payment_method_configuration": null },
            "subscription_cancel": {
                "cancellation_reason": { "enabled": false, "feedback_options": null, "options": [] },
                "enabled": false, "mode": "at_period_end", "proration_behavior": "none",
            },
            "subscription_pause": { "duration": { "interval_options": [], "type": "indefinite" }, "enabled": false },
            "subscription_update": {
                "billing_cycle_anchor": null, "default_allowed_updates": [], "enabled": false, "proration_behavior": "none",
                "schedule_at_period_end": { "conditions": [] }, "trial_update_behavior": "end_trial",
            },
        },
        "is_default": is_default, "livemode": false, "login_page": { "enabled": false, "url": null }, "metadata": {},
        "name": null, "updated": now,
    });
    apply(&mut configuration, params);
    desk.create(configuration, "billing_portal.configuration.created")
}

fn apply(configuration: &mut Value, params: &Value) {
    for (feature, given) in params["features"].as_object().into_iter().flatten() {
        for (member, value) in given.as_object().into_iter().flatten() {
            match value {
                Value::Object(inner) => {
                    for (name, value) in inner {
                        configuration["features"][feature][member][name] = value.clone();
                    }
                }
                value => configuration["features"][feature][member] = value.clone(),
            }
        }
    }
    for member in ["headline", "privacy_policy_url", "terms_of_service_url"] {
        if params["business_profile"].get(member).is_some() {
            configuration["business_profile"][member] = text_or_null(&params["business_profile"], member);
        }
    }
    for member in ["default_return_url", "name"] {
        if params.get(member).is_some() {
            configuration[member] = text_or_null(params, member);
        }
    }
    if let Some(metadata) = params.get("metadata") {
        configuration["metadata"] = merge_metadata(&configuration["metadata"], metadata);
    }
}
