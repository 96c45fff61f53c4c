//! Spend caps: the most that an org lets overage cost in a quota period.

use serde::{Deserialize, Serialize};
use tollgate_engine::spending::{self, Error, Spending};
use tollgate_rules::access::Permission;
use tollgate_rules::money::Currency;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::failures;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};

pub(crate) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Org(Permission::BillingRead), Access::Org(Permission::BillingWrite));
    vec![
        Route::with::<__path_set, _, _>(Spec::change(write), set),
        Route::with::<__path_clear, _, _>(Spec::change(write), clear),
        Route::new::<__path_get, _, _>(read, get),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CapBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The most that overage may cost in a quota period, in minor units; 0 stops at what is included.
    #[schema(minimum = 0)]
    amount: i64,
    /// Lower case ISO 4217; the plan's when left out.
    currency: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SpendingBody {
    /// The cap in minor units; null: there is none.
    amount: Option<i64>,
    /// Lower case ISO 4217; null without a cap and without a plan.
    currency: Option<String>,
    /// What overage costs in the open period, a begun block in full; null without access.
    spent: Option<i64>,
    /// When that starts at 0 again.
    reset_at: Option<String>,
    /// Who set the cap.
    set_by: Option<String>,
    /// When.
    set_at: Option<String>,
}

impl From<&Spending> for SpendingBody {
    fn from(spending: &Spending) -> Self {
        let currency = spending.cap.or(spending.spent).map(|money| money.currency.to_string());
        Self {
            amount: spending.cap.map(|cap| cap.minor),
            currency,
            spent: spending.spent.map(|spent| spent.minor),
            reset_at: spending.reset_at.map(|at| at.to_string()),
            set_by: spending.set.as_ref().map(|(actor, _)| actor.clone()),
            set_at: spending.set.as_ref().map(|(_, at)| at.to_string()),
        }
    }
}

/// Sets the most that overage may cost in a quota period
///
/// It holds at once. What would cost more is denied like a used-up quota, with `details.rule` = `spend_cap`; included and granted units
/// pass in any case, and so does what is recorded with `force`.
#[utoipa::path(post, path = "/api/spend-cap.set", tag = "billing", request_body = CapBody,
    responses((status = 200, description = "The cap in force", body = SpendingBody)))]
async fn set(call: Call) -> Result<Answer, ApiError> {
    let body: CapBody = call.json()?;
    let mut fields = Fields::default();
    let currency = fields.read_if("/currency", body.currency.as_deref().map(Currency::parse));
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let set = spending::set(call.app.engine(), &scope, body.amount, currency).await.map_err(refused)?;
    Ok(Answer::data(&SpendingBody::from(&set)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CapOfOrgBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
}

/// Takes the cap away
#[utoipa::path(post, path = "/api/spend-cap.clear", tag = "billing", request_body = CapOfOrgBody,
    responses((status = 200, description = "There is none", body = SpendingBody)))]
async fn clear(call: Call) -> Result<Answer, ApiError> {
    let body: CapOfOrgBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let cleared = spending::clear(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&SpendingBody::from(&cleared)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CapQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
}

/// The cap, and what overage costs so far
#[utoipa::path(get, path = "/api/spend-cap.get", tag = "billing", params(CapQuery),
    responses((status = 200, description = "Where the org stands", body = SpendingBody)))]
async fn get(call: Call) -> Result<Answer, ApiError> {
    let query: CapQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let shown = spending::show(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&SpendingBody::from(&shown)))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::BadAmount => ApiError::field("/amount", error.to_string()),
        Error::OtherCurrency(_) => ApiError::field("/currency", error.to_string()),
        Error::Database(error) => failures::database(&error),
    }
}
