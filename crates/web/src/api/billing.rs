//! Customer, subscription and how it is paid; telling the plan mirror.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tollgate_engine::provision::{self, Provision};
use tollgate_engine::subscriptions::{self, Error, NewSubscription};
use tollgate_rules::access::Permission;
use tollgate_rules::billing::SubscriptionStatus;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures};

pub(crate) fn routes() -> Vec<Route> {
    let write = Access::Org(Permission::BillingWrite);
    let billing = &[errors::BILLING_UNAVAILABLE, errors::CONFLICT];
    let payment = &[errors::PAYMENT_FAILED, errors::PAYMENT_ACTION_REQUIRED, errors::NO_CUSTOMER];
    let tax = &[errors::TAX_LOCATION_NEEDED];
    vec![
        Route::with::<__path_ensure_customer, _, _>(Spec::change(write), ensure_customer).refuses(billing),
        Route::with::<__path_subscribe, _, _>(Spec::change(write), subscribe)
            .refuses(billing)
            .refuses(payment)
            .refuses(tax),
        Route::with::<__path_setup_intent, _, _>(Spec::secret(write), setup_intent).refuses(billing).refuses(payment),
        Route::with::<__path_default_method, _, _>(Spec::change(write), default_method)
            .refuses(billing)
            .refuses(payment),
        Route::with::<__path_provision_mirror, _, _>(
            Spec::change(Access::Org(Permission::MirrorProvision)),
            provision_mirror,
        )
        .refuses(billing)
        .refuses(&[errors::MIRROR_OFF]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CustomerBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Where Stripe sends invoices.
    email: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerAnswer {
    /// Stripe's id of the customer.
    stripe_customer_id: String,
}

/// Makes sure that the org has a customer at Stripe; safe to repeat
#[utoipa::path(post, path = "/api/stripe/customer.ensure", tag = "billing", request_body = CustomerBody,
    responses((status = 200, description = "The customer; `meta.created` says whether it is new", body = CustomerAnswer)))]
async fn ensure_customer(call: Call) -> Result<Answer, ApiError> {
    let body: CustomerBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let ensured = subscriptions::ensure_customer(call.app.engine(), &scope, &body.email).await.map_err(refused)?;
    let answer = CustomerAnswer { stripe_customer_id: ensured.customer_id.to_string() };
    Ok(Answer::data_meta(&answer, &json!({ "created": ensured.created })))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubscribeBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The price's lookup key (`plan_starter_m`).
    price_lookup: String,
    /// Seats; 1 when left out.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SubscribedAnswer {
    /// Stripe's id of the subscription.
    subscription_id: String,
    /// `trialing`; `active` or `incomplete` for an org that had its trial.
    status: &'static str,
    /// When the trial ends; null where there is none.
    trial_ends_at: Option<String>,
}

/// Starts a subscription, with the org's one trial where it has not had it
///
/// The same price again answers with the subscription there is; another price is a conflict.
#[utoipa::path(post, path = "/api/stripe/subscription.create", tag = "billing", request_body = SubscribeBody,
    responses((status = 200, description = "The subscription", body = SubscribedAnswer)))]
async fn subscribe(call: Call) -> Result<Answer, ApiError> {
    let body: SubscribeBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let new = NewSubscription { price_lookup: body.price_lookup, quantity: body.quantity };
    let created = subscriptions::create(call.app.engine(), &scope, &new).await.map_err(refused)?;
    Ok(Answer::data(&SubscribedAnswer {
        subscription_id: created.subscription_id.to_string(),
        status: created.status.as_str(),
        trial_ends_at: created.trial_ends_at.map(|at| at.to_string()),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ForOrgBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SetupIntentAnswer {
    /// For Stripe.js in the browser.
    client_secret: String,
}

/// Begins to save a payment method
#[utoipa::path(post, path = "/api/payments/setup-intent.create", tag = "billing", request_body = ForOrgBody,
    responses((status = 200, description = "The secret for the browser", body = SetupIntentAnswer)))]
async fn setup_intent(call: Call) -> Result<Answer, ApiError> {
    let body: ForOrgBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let intent = subscriptions::create_setup_intent(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&SetupIntentAnswer { client_secret: intent.client_secret.expose_secret().to_owned() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MethodBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Stripe's id of the payment method.
    payment_method_id: String,
}

#[derive(Serialize, ToSchema)]
struct DoneAnswer {
    /// Always true.
    ok: bool,
}

/// Sets what is charged; attaches it to the customer if need be
#[utoipa::path(post, path = "/api/payments/default-method.set", tag = "billing", request_body = MethodBody,
    responses((status = 200, description = "Set", body = DoneAnswer)))]
async fn default_method(call: Call) -> Result<Answer, ApiError> {
    let body: MethodBody = call.json()?;
    let mut fields = Fields::default();
    let method = tollgate_rules::ids::PaymentMethodId::parse(&body.payment_method_id);
    let Some(method) = fields.read("/paymentMethodId", method) else { return Err(fields.refusal()) };
    let scope = call.org(body.org_id.as_deref()).await?;
    subscriptions::set_default_method(call.app.engine(), &scope, &method).await.map_err(refused)?;
    Ok(Answer::data(&DoneAnswer { ok: true }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProvisionBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The org's customer at Stripe.
    stripe_customer_id: String,
    /// The org's subscription at Stripe.
    stripe_subscription_id: String,
    /// The subscription's plan.
    plan_code: String,
}

#[derive(Serialize, ToSchema)]
struct ProvisionedAnswer {
    /// Always true.
    provisioned: bool,
}

/// Tells the plan mirror (Stigg) which plan the org is on
#[utoipa::path(post, path = "/api/stigg/provision", tag = "billing", request_body = ProvisionBody,
    responses((status = 200, description = "Told", body = ProvisionedAnswer)))]
async fn provision_mirror(call: Call) -> Result<Answer, ApiError> {
    let body: ProvisionBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let asked = Provision {
        stripe_customer_id: body.stripe_customer_id,
        stripe_subscription_id: body.stripe_subscription_id,
        plan_code: body.plan_code,
    };
    provision::stigg(call.app.engine(), &scope, asked).await.map_err(not_told)?;
    Ok(Answer::data(&ProvisionedAnswer { provisioned: true }))
}

fn not_told(error: provision::Error) -> ApiError {
    match error {
        provision::Error::MirrorOff => ApiError::new(&errors::MIRROR_OFF, "This server has no plan mirror."),
        provision::Error::NotThisOrgs(names) => {
            let mut fields = Fields::default();
            for name in names {
                fields.wrong(&format!("/{name}"), "is not this org's");
            }
            fields.refusal()
        }
        provision::Error::Refused(reason) => {
            ApiError::new(&errors::CONFLICT, format!("The plan mirror refused: {reason}."))
        }
        provision::Error::Pending { operation_id } => {
            pending("The plan mirror does not answer; it is told by itself later.", Some(operation_id.as_str()))
        }
        provision::Error::Database(error) => failures::database(&error),
    }
}

fn pending(message: &str, operation_id: Option<&str>) -> ApiError {
    let error = ApiError::new(&errors::BILLING_UNAVAILABLE, message).retry_after(5);
    match operation_id {
        Some(id) => error.with_details(&json!({ "operationId": id })),
        None => error,
    }
}

pub(super) fn refused(error: Error) -> ApiError {
    let said = error.to_string();
    let conflict = |said: String| ApiError::new(&errors::CONFLICT, format!("{said}."));
    match error {
        Error::UnknownPrice => ApiError::field("/priceLookup", said),
        Error::UnknownPlan | Error::NotSelfService => ApiError::field("/newPlanCode", said),
        Error::BadQuantity => ApiError::field("/quantity", said),
        Error::BadEmail => ApiError::field("/email", said),
        Error::BadUrl(name) | Error::BadTaxDetails(name) => ApiError::field(&format!("/{name}"), said),
        Error::BadOrgName => ApiError::field("/orgName", said),
        Error::UnknownPaymentMethod => ApiError::field("/paymentMethodId", said),
        Error::NoCustomer => ApiError::new(&errors::NO_CUSTOMER, "The org has no customer at Stripe yet."),
        Error::NoPlace => ApiError::new(&errors::TAX_LOCATION_NEEDED, "Stripe does not know where the org is yet."),
        Error::NotSoldSo => ApiError::field("/interval", said),
        Error::OtherCurrency => ApiError::field("/newPlanCode", said),
        Error::BadCoupon => ApiError::field("/coupon", said),
        Error::QuoteDiffers(names) => {
            let mut fields = Fields::default();
            for name in names {
                fields.wrong(&format!("/{name}"), said.clone());
            }
            fields.refusal()
        }
        Error::NotChangeable(SubscriptionStatus::PastDue) => {
            ApiError::new(&errors::PAST_DUE, "A payment is open; it comes before a change of plan.")
        }
        Error::NoSubscription
        | Error::AlreadySubscribed
        | Error::OnlyMethod
        | Error::AlreadyOnPlan
        | Error::NotChangeable(_)
        | Error::IsDowngrade(_)
        | Error::IsUpgrade
        | Error::Ending(_)
        | Error::Ended => conflict(said),
        Error::QuoteStale(quote) => super::plan_changes::stale(&quote),
        Error::UnknownQuote => ApiError::new(&errors::QUOTE_STALE, "There is no such quote, or it is too old."),
        Error::Busy(operation_id) => conflict("Another change of this org is under way".to_owned())
            .with_details(&json!({ "operationId": operation_id.as_str() }))
            .retry_after(1),
        Error::PaymentFailed { message, reason } => {
            ApiError::new(&errors::PAYMENT_FAILED, message).with_details(&json!({ "declineCode": reason }))
        }
        Error::PaymentActionRequired { client_secret } => {
            ApiError::new(&errors::PAYMENT_ACTION_REQUIRED, "The bank asks the customer to confirm this payment.")
                .with_details(&json!({ "clientSecret": client_secret.expose_secret() }))
        }
        Error::BillingUnavailable { operation_id } => {
            let message = "Billing does not answer right now. A stored change completes by itself.";
            pending(message, operation_id.as_ref().map(|id| id.as_str()))
        }
        Error::Billing(reason) => {
            tracing::error!(reason, "billing refused what we asked");
            pending("Billing refused what was asked of it; the log says why.", None)
        }
        Error::Database(error) => failures::database(&error),
    }
}
