//! Sessions of the customer portal: an address where one customer looks after plan, cards and invoices. The page is `pages/portal.rs`.

use serde_json::{Value, json};

use super::{Call, Route, checkout_sessions, portal_configurations};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, int, text};

const CREATE: &str = "customer! return_url configuration locale:(auto,en) \
    flow_data:{type!:(payment_method_update,subscription_cancel) subscription_cancel:{subscription!} \
    after_completion:{type!:(portal_homepage,redirect) redirect:{return_url!}}}";

pub(super) const ROUTES: &[Route] = &[Route::new("POST", "/v1/billing_portal/sessions", CREATE, create)];

/// How long the address works; at Stripe it is short and not told.
const LIFE_SECONDS: i64 = 3_600;

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let customer = call.desk.need_param("customer", text(&params, "customer"), "customer")?;
    if customer["deleted"] == true {
        return Err(ApiError::missing("customer", text(&customer, "id")).param("customer"));
    }
    let configuration = match params["configuration"].as_str() {
        Some(id) => call.desk.need_param("billing_portal.configuration", id, "configuration")?,
        None => portal_configurations::default(call.desk)?,
    };
    if configuration["active"] != true {
        return Err(ApiError::invalid("This portal configuration is inactive.").param("configuration"));
    }
    let back = params["return_url"].as_str().or_else(|| configuration["default_return_url"].as_str());
    if back.is_some_and(|url| !checkout_sessions::is_url(url)) {
        return Err(ApiError::invalid("Not a valid URL").code("url_invalid").param("return_url"));
    }
    let flow = flow(call.desk, &params["flow_data"], &customer)?;
    let (id, created) = (call.desk.id("bps_", 24)?, call.desk.now_of(&customer)?);
    let secret = call.desk.id("", 32)?;
    let session = json!({
        "id": id, "object": "billing_portal.session", "configuration": configuration["id"], "created": created,
        "customer": customer["id"], "customer_account": null, "flow": flow, "livemode": false, "locale": null,
        "on_behalf_of": null, "return_url": back, "url": format!("{}/portal/{id}_{secret}", call.desk.premises.base_url),
        "_secret": secret, "_clock": clock_of(&customer),
    });
    call.desk.create(session, "billing_portal.session.created")
}

fn flow(desk: &mut Desk<'_>, given: &Value, customer: &Value) -> Done {
    if !given.is_object() {
        return Ok(Value::Null);
    }
    let subscription = given["subscription_cancel"]["subscription"].as_str();
    if let Some(subscription) = subscription {
        let found = desk.need_param("subscription", subscription, "flow_data[subscription_cancel][subscription]")?;
        if found["customer"] != customer["id"] {
            return Err(
                ApiError::missing("subscription", subscription).param("flow_data[subscription_cancel][subscription]")
            );
        }
    }
    let redirect = &given["after_completion"]["redirect"];
    let after = given["after_completion"]["type"].as_str().unwrap_or("portal_homepage");
    Ok(json!({
        "after_completion": {
            "hosted_confirmation": null, "redirect": redirect.is_object().then_some(redirect), "type": after,
        },
        "customer_update": null,
        "subscription_cancel": subscription.map(|id| json!({ "retention": null, "subscription": id })),
        "subscription_pause": null, "subscription_update": null, "subscription_update_confirm": null, "type": given["type"],
    }))
}

/// The session behind a page's address, while it lives.
///
/// # Errors
/// 404 for an address that was never given out or is too old.
pub(crate) fn open(desk: &mut Desk<'_>, address: &str) -> Done {
    let over = || ApiError::missing("portal session", "this address");
    // Ids have an underscore of their own behind their prefix, secrets none.
    let (id, secret) = address.rsplit_once('_').ok_or_else(over)?;
    let session = desk.need("billing_portal.session", id).map_err(|_| over())?;
    let age = desk.now_of(&session)? - int(&session, "created");
    if session["_secret"] == secret && age < LIFE_SECONDS { Ok(session) } else { Err(over()) }
}
