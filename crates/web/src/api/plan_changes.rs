//! Changing what an org pays for: previews, upgrades, downgrades, and the end of a subscription.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tollgate_engine::quotes::{self, Quote, Wanted};
use tollgate_engine::subscriptions::{self, EndsAt, Standing, Upgrade};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::PlanCode;
use tollgate_rules::period::Interval;
use tollgate_rules::quote::Effect;
use utoipa::ToSchema;

use super::billing::refused;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors::{self, ErrorDoc};
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};

pub(crate) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Org(Permission::BillingRead), Access::Org(Permission::BillingWrite));
    let billing: &[ErrorDoc] = &[errors::BILLING_UNAVAILABLE, errors::CONFLICT, errors::NO_CUSTOMER, errors::PAST_DUE];
    let payment: &[ErrorDoc] = &[errors::PAYMENT_FAILED, errors::PAYMENT_ACTION_REQUIRED];
    let tax: &[ErrorDoc] = &[errors::TAX_LOCATION_NEEDED];
    vec![
        Route::with::<__path_preview, _, _>(Spec::change(read), preview).refuses(billing).refuses(tax),
        Route::with::<__path_upgrade, _, _>(Spec::secret(write), upgrade)
            .refuses(billing)
            .refuses(payment)
            .refuses(&[errors::QUOTE_STALE])
            .refuses(tax),
        Route::with::<__path_downgrade, _, _>(Spec::change(write), downgrade).refuses(billing),
        Route::with::<__path_keep, _, _>(Spec::change(write), keep).refuses(billing),
        Route::with::<__path_cancel, _, _>(Spec::change(write), cancel).refuses(billing),
        Route::with::<__path_pause, _, _>(Spec::change(write), pause).refuses(billing),
        Route::with::<__path_resume, _, _>(Spec::secret(write), resume).refuses(billing).refuses(payment),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PreviewBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The plan to be on; in a trial it may be the plan being tried.
    new_plan_code: String,
    /// `month` or `year`; as the subscription has it when left out.
    interval: Option<String>,
    /// Seats; as the subscription has them when left out.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
    /// A coupon to be redeemed with the change.
    coupon: Option<String>,
}

/// What a change would cost.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteBody {
    /// `upgrade.now` takes it, and charges exactly this.
    quote_id: String,
    /// What is charged now, in minor units.
    amount: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// What the parts of periods come to: negative where more is given back than charged.
    proration: i64,
    /// The lines of the invoice.
    items: Vec<QuoteItem>,
    /// When the change takes effect.
    effective_at: String,
    /// Until when the quote is kept to.
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteItem {
    /// What it is for.
    description: String,
    /// In minor units, signed.
    amount: i64,
    /// Whether it is for a part of a period.
    proration: bool,
    /// From when on.
    period_start: String,
    /// Until when.
    period_end: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuotaEffect<'e> {
    metric: &'e str,
    used: i64,
    included_now: Option<i64>,
    included_then: Option<i64>,
    owed_now: i64,
    owed_then: i64,
}

impl From<&Quote> for QuoteBody {
    fn from(quote: &Quote) -> Self {
        let items = quote.items.iter().map(|item| QuoteItem {
            description: item.description.clone(),
            amount: item.amount,
            proration: item.proration,
            period_start: item.period.start.to_string(),
            period_end: item.period.end.to_string(),
        });
        Self {
            quote_id: quote.quote_id.clone(),
            amount: quote.amount.minor,
            currency: quote.amount.currency.to_string(),
            proration: quote.proration,
            items: items.collect(),
            effective_at: quote.effective_at.to_string(),
            expires_at: quote.expires_at.to_string(),
        }
    }
}

impl<'e> From<&'e Effect> for QuotaEffect<'e> {
    fn from(effect: &'e Effect) -> Self {
        Self {
            metric: effect.metric.as_str(),
            used: effect.used,
            included_now: effect.included_before,
            included_then: effect.included_after,
            owed_now: effect.owed_before,
            owed_then: effect.owed_after,
        }
    }
}

/// Shows what a change would cost now, line by line, and what it does to the quota; changes nothing
///
/// `meta.quota` shows each metric's units, included ones less those that were used and not paid for (`owedNow`, `owedThen`), `meta.warnings` what the customer should hear first, `meta.stigg` what the plan mirror thinks
/// it costs (`amount`, `agrees`) where it said so in time; it decides nothing. The quote holds for 15 minutes.
#[utoipa::path(post, path = "/api/plans/preview", tag = "plans", request_body = PreviewBody,
    responses((status = 200, description = "The quote", body = QuoteBody)))]
async fn preview(call: Call) -> Result<Answer, ApiError> {
    let body: PreviewBody = call.json()?;
    let mut fields = Fields::default();
    let interval = interval(&mut fields, body.interval.as_deref());
    if let Some(coupon) = &body.coupon {
        fields.text("/coupon", coupon);
    }
    let plan_code = fields.read("/newPlanCode", PlanCode::parse(&body.new_plan_code));
    let Some(plan_code) = plan_code else { return Err(fields.refusal()) };
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let wanted = Wanted { plan_code, interval, quantity: body.quantity, coupon: body.coupon };
    let quote = quotes::preview(call.app.engine(), &scope, &wanted).await.map_err(refused)?;
    let quota: Vec<QuotaEffect<'_>> = quote.effects.iter().map(QuotaEffect::from).collect();
    let mut meta = json!({ "change": quote.kind.as_str(), "quota": quota, "warnings": quote.warnings() });
    if let Some(mirror) = quote.mirror {
        meta["stigg"] = json!({ "amount": mirror.amount.minor, "agrees": mirror.agrees });
    }
    Ok(Answer::data_meta(&QuoteBody::from(&quote), &meta))
}

/// 409 with what it would be now.
pub(super) fn stale(quote: &Quote) -> ApiError {
    let message = "The quote no longer holds; nothing was charged. Here is what the change would cost now.";
    ApiError::new(&errors::QUOTE_STALE, message).with_details(&json!({ "quote": QuoteBody::from(quote) }))
}

fn interval(fields: &mut Fields, word: Option<&str>) -> Option<Interval> {
    fields.read_if("/interval", word.map(|word| Interval::parse(word).ok_or("must be month or year")))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpgradeBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The plan to be on; in a trial it may be the plan being tried. A quote brings it along.
    new_plan_code: Option<String>,
    /// A quote to be kept to: its plan, interval, seats and coupon.
    quote_id: Option<String>,
    /// `month` or `year`; as the subscription has it when left out.
    interval: Option<String>,
    /// Seats; as the subscription has them when left out.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UpgradedAnswer {
    /// The plan in force now.
    plan_code: String,
    /// Always `immediate`.
    effective: &'static str,
}

/// Changes to a higher plan, a longer interval or more seats now; in a trial it ends the trial and charges
///
/// The old plan stays until the new one is paid: a declined card changes nothing, and one that must be confirmed first changes it
/// once it is. With `quoteId` exactly what the quote shows is charged, or nothing (409 with the new quote in `details.quote`).
#[utoipa::path(post, path = "/api/plans/upgrade.now", tag = "plans", request_body = UpgradeBody,
    responses((status = 200, description = "Changed", body = UpgradedAnswer)))]
async fn upgrade(call: Call) -> Result<Answer, ApiError> {
    let body: UpgradeBody = call.json()?;
    let mut fields = Fields::default();
    let interval = interval(&mut fields, body.interval.as_deref());
    let new_plan_code = fields.read_if("/newPlanCode", body.new_plan_code.as_deref().map(PlanCode::parse));
    if body.new_plan_code.is_none() && body.quote_id.is_none() {
        fields.wrong("/newPlanCode", "is needed where there is no quoteId");
    }
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let upgrade = Upgrade { new_plan_code, interval, quantity: body.quantity, quote_id: body.quote_id };
    let upgraded = subscriptions::upgrade(call.app.engine(), &scope, &upgrade).await.map_err(refused)?;
    Ok(Answer::data(&UpgradedAnswer { plan_code: upgraded.plan_code.to_string(), effective: "immediate" }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DowngradeBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The plan to be on then; the same one where the interval or the seats go down.
    new_plan_code: String,
    /// `month` or `year`; as the subscription has it when left out.
    interval: Option<String>,
    /// Seats; as the subscription has them when left out.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduledAnswer {
    /// When it happens: the end of the running period.
    effective_at: String,
    /// The plan then.
    pending_plan_code: String,
}

/// Schedules a lower plan, a shorter interval or fewer seats for the end of the period
///
/// Nothing is charged or given back. `me/entitlements.read` shows it as `scheduledChange`; `downgrade.cancel` takes it back.
#[utoipa::path(post, path = "/api/plans/downgrade.schedule", tag = "plans", request_body = DowngradeBody,
    responses((status = 200, description = "Scheduled", body = ScheduledAnswer)))]
async fn downgrade(call: Call) -> Result<Answer, ApiError> {
    let body: DowngradeBody = call.json()?;
    let mut fields = Fields::default();
    let interval = interval(&mut fields, body.interval.as_deref());
    let plan_code = fields.read("/newPlanCode", PlanCode::parse(&body.new_plan_code));
    let Some(plan_code) = plan_code else { return Err(fields.refusal()) };
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let wanted = Wanted { plan_code, interval, quantity: body.quantity, coupon: None };
    let scheduled = subscriptions::schedule_downgrade(call.app.engine(), &scope, &wanted).await.map_err(refused)?;
    Ok(Answer::data(&ScheduledAnswer {
        effective_at: scheduled.effective_at.to_string(),
        pending_plan_code: scheduled.plan_code.to_string(),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfOrgBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeptAnswer {
    /// Always null: nothing is scheduled.
    pending_plan_code: Option<String>,
}

/// Takes back what was scheduled for the end of the period
#[utoipa::path(post, path = "/api/plans/downgrade.cancel", tag = "plans", request_body = OfOrgBody,
    responses((status = 200, description = "Nothing is scheduled", body = KeptAnswer)))]
async fn keep(call: Call) -> Result<Answer, ApiError> {
    let body: OfOrgBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    subscriptions::cancel_downgrade(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&KeptAnswer { pending_plan_code: None }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// `period_end` or `now`.
    at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LifeAnswer {
    /// The subscription's status.
    status: &'static str,
    /// When it is going to end, or ended; null where it goes on.
    cancel_at: Option<String>,
}

impl From<&Standing> for LifeAnswer {
    fn from(standing: &Standing) -> Self {
        Self { status: standing.status.as_str(), cancel_at: standing.cancel_at.map(|at| at.to_string()) }
    }
}

/// Ends the subscription with its period, or at once
///
/// Until the period's end all stays as it is, and `subscriptions.resume` takes it back. At once means at once: nothing is given back.
#[utoipa::path(post, path = "/api/subscriptions.cancel", tag = "billing", request_body = CancelBody,
    responses((status = 200, description = "It ends", body = LifeAnswer)))]
async fn cancel(call: Call) -> Result<Answer, ApiError> {
    let body: CancelBody = call.json()?;
    let at = match body.at.as_str() {
        "period_end" => EndsAt::PeriodEnd,
        "now" => EndsAt::Now,
        _ => return Err(ApiError::field("/at", "must be period_end or now".to_owned())),
    };
    let scope = call.org(body.org_id.as_deref()).await?;
    let standing = subscriptions::cancel(call.app.engine(), &scope, at).await.map_err(refused)?;
    Ok(Answer::data(&LifeAnswer::from(&standing)))
}

/// Pauses the subscription: no access, nothing is charged
#[utoipa::path(post, path = "/api/subscriptions.pause", tag = "billing", request_body = OfOrgBody,
    responses((status = 200, description = "Paused", body = LifeAnswer)))]
async fn pause(call: Call) -> Result<Answer, ApiError> {
    let body: OfOrgBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let standing = subscriptions::pause(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&LifeAnswer::from(&standing)))
}

/// Takes back a pause, or an end that was set
///
/// Within the period that was paid it goes on; after it, a new period is charged first. What has ended cannot be resumed.
#[utoipa::path(post, path = "/api/subscriptions.resume", tag = "billing", request_body = OfOrgBody,
    responses((status = 200, description = "It goes on", body = LifeAnswer)))]
async fn resume(call: Call) -> Result<Answer, ApiError> {
    let body: OfOrgBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let standing = subscriptions::resume(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&LifeAnswer::from(&standing)))
}
