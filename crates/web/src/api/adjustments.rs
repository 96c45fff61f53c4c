//! What the operator gives or gives back: coupons, promotion codes, credit, refunds, credit notes. Each with its reason.

use serde::Deserialize;
use serde_json::{Number, json};
use tollgate_engine::adjustments::{self, Coupon, CreditNote, Error, Lasting, Off, Promotion, Refund};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::InvoiceId;
use tollgate_rules::money::{Currency, Money};
use utoipa::ToSchema;

use super::adjustment_answers::{CouponAnswer, CreditAnswer, CreditNoteAnswer, PromotionAnswer, RefundAnswer, Told};
use super::adjustment_lists;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures};

pub(super) const OPERATE: Access = Access::Operator(Permission::BillingOperate);

pub(crate) fn routes() -> Vec<Route> {
    let refusals = &[errors::BILLING_UNAVAILABLE, errors::CONFLICT, errors::NO_CUSTOMER];
    let mut routes = vec![
        Route::with::<__path_create_coupon, _, _>(Spec::change(OPERATE), create_coupon).refuses(refusals),
        Route::with::<__path_create_promotion, _, _>(Spec::change(OPERATE), create_promotion).refuses(refusals),
        Route::with::<__path_grant_credit, _, _>(Spec::change(OPERATE), grant_credit).refuses(refusals),
        Route::with::<__path_create_refund, _, _>(Spec::change(OPERATE), create_refund).refuses(refusals),
        Route::with::<__path_create_credit_note, _, _>(Spec::change(OPERATE), create_credit_note).refuses(refusals),
    ];
    routes.extend(adjustment_lists::routes());
    routes
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CouponBody {
    /// The org it is for.
    org_id: String,
    /// A percentage above 0 up to 100, at most two decimals; else `amountOff`.
    #[schema(value_type = Option<f64>)]
    percent_off: Option<Number>,
    /// An amount in minor units, with `currency`.
    #[schema(minimum = 1)]
    amount_off: Option<i64>,
    /// Lower case ISO 4217.
    currency: Option<String>,
    /// `once` (when left out), `repeating` (with `durationInMonths`) or `forever`.
    duration: Option<String>,
    /// For how many months.
    #[schema(minimum = 1, maximum = 120)]
    duration_in_months: Option<i64>,
    /// What customers read on invoices; up to 40 characters.
    name: Option<String>,
    /// How often it can be redeemed.
    #[schema(minimum = 1)]
    max_redemptions: Option<i64>,
    /// Until when it can be redeemed.
    redeem_by: Option<String>,
    /// Whether the org's subscription gets it at once; false when left out.
    apply: Option<bool>,
    /// Why.
    reason: String,
}

/// Makes a coupon
#[utoipa::path(post, path = "/api/admin/coupons.create", tag = "admin", request_body = CouponBody,
    responses((status = 200, description = "The coupon", body = CouponAnswer)))]
async fn create_coupon(call: Call) -> Result<Answer, ApiError> {
    let body: CouponBody = call.json()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let coupon = coupon(&body)?;
    let made = adjustments::create_coupon(call.app.engine(), &scope, coupon, &body.reason).await.map_err(refused)?;
    Ok(Answer::data(&Told::from(&made)))
}

fn coupon(body: &CouponBody) -> Result<Coupon, ApiError> {
    let mut fields = Fields::default();
    let off = match (&body.percent_off, body.amount_off) {
        (Some(percent), None) => Some(Off::Percent(percent.to_string())),
        (None, Some(minor)) => {
            let currency = body.currency.as_deref().ok_or("goes with amountOff").map(Currency::parse);
            fields
                .read("/currency", currency)
                .and_then(|currency| fields.read("/currency", currency))
                .map(|currency| Off::Amount(Money::new(minor, currency)))
        }
        _ => {
            fields.wrong("/percentOff", "give either percentOff or amountOff");
            None
        }
    };
    let lasting = match (body.duration.as_deref(), body.duration_in_months) {
        (None | Some("once"), None) => Some(Lasting::Once),
        (Some("forever"), None) => Some(Lasting::Forever),
        (Some("repeating"), Some(months)) => Some(Lasting::Months(months)),
        (Some("repeating"), None) => {
            fields.wrong("/durationInMonths", "goes with duration repeating");
            None
        }
        (_, Some(_)) => {
            fields.wrong("/durationInMonths", "goes with duration repeating only");
            None
        }
        _ => {
            fields.wrong("/duration", "must be once, repeating or forever");
            None
        }
    };
    let redeem_by = fields.time_if("/redeemBy", body.redeem_by.as_deref());
    let (Some(off), Some(lasting)) = (off, lasting) else { return Err(fields.refusal()) };
    fields.done()?;
    Ok(Coupon {
        name: body.name.clone(),
        off,
        lasting,
        redemptions_max: body.max_redemptions,
        redeem_by,
        apply: body.apply.unwrap_or(false),
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromotionBody {
    /// The org it is for.
    org_id: String,
    /// What it gives.
    coupon_id: String,
    /// The word; one is made up when left out.
    code: Option<String>,
    /// How often it can be redeemed.
    #[schema(minimum = 1)]
    max_redemptions: Option<i64>,
    /// Until when it can be redeemed.
    expires_at: Option<String>,
    /// Only for customers who never paid; false when left out.
    first_time_only: Option<bool>,
    /// Whether anybody may redeem it, not this org alone; false when left out.
    for_everyone: Option<bool>,
    /// Why.
    reason: String,
}

/// Makes a promotion code for a coupon
#[utoipa::path(post, path = "/api/admin/promotions.create", tag = "admin", request_body = PromotionBody,
    responses((status = 200, description = "The promotion code", body = PromotionAnswer)))]
async fn create_promotion(call: Call) -> Result<Answer, ApiError> {
    let body: PromotionBody = call.json()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let mut fields = Fields::default();
    let expires_at = fields.time_if("/expiresAt", body.expires_at.as_deref());
    fields.done()?;
    let asked = Promotion {
        coupon_id: body.coupon_id,
        code: body.code,
        redemptions_max: body.max_redemptions,
        expires_at,
        first_time_only: body.first_time_only.unwrap_or(false),
        for_everyone: body.for_everyone.unwrap_or(false),
    };
    let made = adjustments::create_promotion(call.app.engine(), &scope, asked, &body.reason).await.map_err(refused)?;
    Ok(Answer::data(&Told::from(&made)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreditBody {
    /// Whose credit.
    org_id: String,
    /// In minor units.
    #[schema(minimum = 1, maximum = 99_999_999)]
    amount: i64,
    /// Lower case ISO 4217; that which the org pays in.
    currency: String,
    /// Why.
    reason: String,
}

/// Gives credit that pays the next invoices
#[utoipa::path(post, path = "/api/admin/credits.grant", tag = "admin", request_body = CreditBody,
    responses((status = 200, description = "The credit", body = CreditAnswer)))]
async fn grant_credit(call: Call) -> Result<Answer, ApiError> {
    let body: CreditBody = call.json()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let mut fields = Fields::default();
    let Some(currency) = fields.read("/currency", Currency::parse(&body.currency)) else {
        return Err(fields.refusal());
    };
    let amount = Money::new(body.amount, currency);
    let made = adjustments::grant_credit(call.app.engine(), &scope, amount, &body.reason).await.map_err(refused)?;
    Ok(Answer::data(&Told::from(&made)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RefundBody {
    /// Whose invoice.
    org_id: String,
    /// Of which invoice.
    invoice_id: String,
    /// In minor units of the invoice's currency; all that is left of the payment when left out.
    #[schema(minimum = 1)]
    amount: Option<i64>,
    /// Why.
    reason: String,
}

/// Gives money back to the card an invoice was paid with
#[utoipa::path(post, path = "/api/admin/refunds.create", tag = "admin", request_body = RefundBody,
    responses((status = 200, description = "The refund", body = RefundAnswer)))]
async fn create_refund(call: Call) -> Result<Answer, ApiError> {
    let body: RefundBody = call.json()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let asked = Refund { invoice_id: invoice_id(&body.invoice_id)?, amount: body.amount };
    let made = adjustments::refund(call.app.engine(), &scope, asked, &body.reason).await.map_err(refused)?;
    Ok(Answer::data(&Told::from(&made)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreditNoteBody {
    /// Whose invoice.
    org_id: String,
    /// Of which invoice.
    invoice_id: String,
    /// What is taken back, tax included, in minor units.
    #[schema(minimum = 1)]
    amount: i64,
    /// Of a paid invoice: back to the card. The three parts add up to `amount`.
    #[schema(minimum = 0)]
    refund_amount: Option<i64>,
    /// Of a paid invoice: to the org's credit.
    #[schema(minimum = 0)]
    credit_amount: Option<i64>,
    /// Of a paid invoice: settled elsewhere.
    #[schema(minimum = 0)]
    out_of_band_amount: Option<i64>,
    /// What the customer reads on it.
    memo: Option<String>,
    /// Why.
    reason: String,
}

/// Takes a part of an invoice back
///
/// Of an open invoice it lowers what is due. Of a paid one the amount goes back to the card, to the org's credit, or is noted
/// as settled elsewhere.
#[utoipa::path(post, path = "/api/admin/credit-notes.create", tag = "admin", request_body = CreditNoteBody,
    responses((status = 200, description = "The credit note", body = CreditNoteAnswer)))]
async fn create_credit_note(call: Call) -> Result<Answer, ApiError> {
    let body: CreditNoteBody = call.json()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let asked = CreditNote {
        invoice_id: invoice_id(&body.invoice_id)?,
        amount: body.amount,
        refund: body.refund_amount.unwrap_or(0),
        credit: body.credit_amount.unwrap_or(0),
        elsewhere: body.out_of_band_amount.unwrap_or(0),
        memo: body.memo,
    };
    let made =
        adjustments::create_credit_note(call.app.engine(), &scope, asked, &body.reason).await.map_err(refused)?;
    Ok(Answer::data(&Told::from(&made)))
}

/// What cannot be an invoice's id names no invoice.
fn invoice_id(text: &str) -> Result<InvoiceId, ApiError> {
    InvoiceId::parse(text).map_err(|_| ApiError::not_found())
}

fn refused(error: Error) -> ApiError {
    let said = error.to_string();
    match error {
        Error::NoCustomer => ApiError::new(&errors::NO_CUSTOMER, "The org has no customer at Stripe yet."),
        Error::NoSubscription => ApiError::new(&errors::CONFLICT, "The org has no subscription."),
        Error::Wrong { field, message } => ApiError::field(&format!("/{field}"), message),
        Error::NotFound => ApiError::not_found(),
        Error::Refused(_) => ApiError::new(&errors::CONFLICT, format!("{said}.")),
        Error::BillingUnavailable { operation_id } => {
            let error =
                ApiError::new(&errors::BILLING_UNAVAILABLE, "Billing does not answer right now.").retry_after(5);
            match operation_id {
                Some(id) => error.with_details(&json!({ "operationId": id.as_str() })),
                None => error,
            }
        }
        Error::Database(error) => failures::database(&error),
    }
}
