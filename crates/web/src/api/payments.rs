//! Where customers pay and look after how: checkout, the portal, saved payment methods.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::checkouts::{self, NewCheckout};
use tollgate_engine::subscriptions::{self, Method};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use super::billing::refused;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{caller, errors, paging};

pub(crate) fn routes() -> Vec<Route> {
    let write = Access::Org(Permission::BillingWrite);
    let read = Access::Org(Permission::BillingRead);
    let billing = &[errors::BILLING_UNAVAILABLE, errors::CONFLICT];
    vec![
        Route::with::<__path_create_checkout, _, _>(Spec::change(write), create_checkout).refuses(billing),
        Route::with::<__path_create_portal, _, _>(Spec::secret(write), create_portal)
            .refuses(&[errors::BILLING_UNAVAILABLE, errors::NO_CUSTOMER]),
        Route::new::<__path_list_methods, _, _>(read, list_methods).refuses(&[errors::BILLING_UNAVAILABLE]),
        Route::with::<__path_detach_method, _, _>(Spec::change(write), detach_method)
            .refuses(billing)
            .refuses(&[errors::NO_CUSTOMER]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckoutBody {
    /// The org that subscribes; may be left out with a key of one org.
    org_id: Option<String>,
    /// Instead of `orgId`: the name of an org that is made once somebody subscribed (operator only).
    org_name: Option<String>,
    /// The address of whoever pays; the owner of an org that is made is invited there.
    email: String,
    /// The price's lookup key (`plan_starter_m`).
    price_lookup: String,
    /// Where the customer goes afterwards; `{CHECKOUT_SESSION_ID}` is filled in.
    success_url: String,
    /// Where the customer goes who turns back.
    cancel_url: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CheckoutAnswer {
    /// The page; it can be completed within a day.
    url: String,
    /// Stripe's id of the session.
    session_id: String,
}

/// Makes a page where somebody subscribes, with the plan's trial where the org has not had one
///
/// With `orgName` the org, its owner's invitation, its customer and its entitlement are made once somebody subscribed.
#[utoipa::path(post, path = "/api/payments/checkout.create", tag = "billing", request_body = CheckoutBody,
    responses((status = 200, description = "The page", body = CheckoutAnswer)))]
async fn create_checkout(call: Call) -> Result<Answer, ApiError> {
    let body: CheckoutBody = call.json()?;
    let new = NewCheckout {
        email: body.email,
        price_lookup: body.price_lookup,
        success_url: body.success_url,
        cancel_url: body.cancel_url,
    };
    let engine = call.app.engine();
    let made = match (body.org_id, body.org_name) {
        (Some(_), Some(_)) => return Err(ApiError::field("/orgName", "give orgId or orgName, not both")),
        (None, Some(name)) => {
            let operator = caller::require_operator(&call.caller, Permission::OrgsCreate)?;
            checkouts::create_for_new_org(engine, &operator, &name, &new).await
        }
        (org_id, None) => {
            let scope = call.org(org_id.as_deref()).await?;
            checkouts::create(engine, &scope, &new).await
        }
    };
    let made = made.map_err(refused)?;
    Ok(Answer::data(&CheckoutAnswer { url: made.url, session_id: made.session_id }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PortalBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Where the customer goes afterwards.
    return_url: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct PortalAnswer {
    /// The page; whoever has the address may act there for a short while.
    url: String,
}

/// Opens Stripe's customer portal for the org
#[utoipa::path(post, path = "/api/payments/portal.create", tag = "billing", request_body = PortalBody,
    responses((status = 200, description = "The page", body = PortalAnswer)))]
async fn create_portal(call: Call) -> Result<Answer, ApiError> {
    let body: PortalBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let opened = subscriptions::open_portal(call.app.engine(), &scope, body.return_url.as_deref()).await;
    let url = opened.map_err(refused)?;
    Ok(Answer::data(&PortalAnswer { url: url.expose_secret().to_owned() }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MethodsQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// Where the last page ended.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MethodAnswer {
    /// Stripe's id of it.
    id: String,
    /// What it is (`card`).
    r#type: String,
    /// The card's brand (`visa`).
    brand: Option<String>,
    /// The card's last four digits.
    last4: Option<String>,
    /// The month the card is good until.
    exp_month: Option<i64>,
    /// And the year.
    exp_year: Option<i64>,
    /// Whether it is charged next.
    default: bool,
}

impl From<&Method> for MethodAnswer {
    fn from(method: &Method) -> MethodAnswer {
        let saved = &method.saved;
        MethodAnswer {
            id: saved.payment_method_id.to_string(),
            r#type: saved.kind.clone(),
            brand: saved.brand.clone(),
            last4: saved.last4.clone(),
            exp_month: saved.exp_month,
            exp_year: saved.exp_year,
            default: method.default,
        }
    }
}

/// Lists the org's saved payment methods, newest first
#[utoipa::path(get, path = "/api/payments/methods.list", tag = "billing", params(MethodsQuery),
    responses((status = 200, description = "A page of payment methods", body = [MethodAnswer])))]
async fn list_methods(call: Call) -> Result<Answer, ApiError> {
    let query: MethodsQuery = call.query()?;
    let asked = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = subscriptions::list_methods(call.app.engine(), &scope, &asked).await.map_err(refused)?;
    Ok(paging::told::<_, MethodAnswer>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DetachBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Stripe's id of the payment method.
    payment_method_id: String,
}

#[derive(Serialize, ToSchema)]
struct DetachedAnswer {
    /// Always true.
    ok: bool,
}

/// Takes a payment method away from the org for good
///
/// The only one that a running subscription is charged to stays: set another default first.
#[utoipa::path(post, path = "/api/payments/methods.detach", tag = "billing", request_body = DetachBody,
    responses((status = 200, description = "Taken away", body = DetachedAnswer)))]
async fn detach_method(call: Call) -> Result<Answer, ApiError> {
    let body: DetachBody = call.json()?;
    let mut fields = Fields::default();
    let method = tollgate_rules::ids::PaymentMethodId::parse(&body.payment_method_id);
    let Some(method) = fields.read("/paymentMethodId", method) else { return Err(fields.refusal()) };
    let scope = call.org(body.org_id.as_deref()).await?;
    subscriptions::detach_method(call.app.engine(), &scope, &method).await.map_err(refused)?;
    Ok(Answer::data(&DetachedAnswer { ok: true }))
}
