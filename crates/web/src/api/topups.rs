//! Top-ups: units that an org buys once, beside its plan.

use serde::{Deserialize, Serialize};
use tollgate_engine::topups::{self, Buy, Error, Purchase};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use super::billing;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route, Spec};
use crate::{errors, paging};

pub(crate) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Org(Permission::BillingRead), Access::Org(Permission::BillingWrite));
    vec![
        Route::with::<__path_buy, _, _>(Spec::secret(write), buy)
            .refuses(&[errors::BILLING_UNAVAILABLE, errors::CONFLICT, errors::NO_CUSTOMER])
            .refuses(&[errors::PAYMENT_FAILED, errors::PAYMENT_ACTION_REQUIRED, errors::TAX_LOCATION_NEEDED]),
        Route::new::<__path_list, _, _>(read, list),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TopupBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The top-up's code, as `GET /api/plans` lists it.
    topup: String,
    /// How many of it; 1 when left out.
    #[schema(minimum = 1, maximum = 1_000)]
    quantity: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PurchaseBody {
    /// The purchase, which is an operation.
    topup_id: String,
    /// What was bought.
    topup: String,
    /// Its name.
    name: String,
    /// Of what.
    metric: String,
    /// How many units.
    units: i64,
    /// In minor units, before taxes and credit.
    amount: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// `charging`, `waiting` (for the customer to confirm), `paid` or `declined`.
    status: &'static str,
    /// Stripe's id of its invoice.
    invoice_id: String,
    /// The units as a grant; null until it is paid.
    grant_id: Option<String>,
    /// Until when the units last; null: until they are used up.
    expires_at: Option<String>,
    /// When it was begun.
    created_at: String,
}

impl From<&Purchase> for PurchaseBody {
    fn from(bought: &Purchase) -> Self {
        Self {
            topup_id: bought.topup_id.clone(),
            topup: bought.pack.code.to_string(),
            name: bought.pack.name.clone(),
            metric: bought.pack.metric.to_string(),
            units: bought.pack.units,
            amount: bought.pack.price.minor,
            currency: bought.pack.price.currency.to_string(),
            status: bought.state.as_str(),
            invoice_id: bought.invoice_id.to_string(),
            grant_id: bought.grant_id.clone(),
            expires_at: bought.expires_at.map(|at| at.to_string()),
            created_at: bought.created_at.to_string(),
        }
    }
}

/// Buys units once: they are charged now and count at once
///
/// A declined card gives nothing and leaves nothing to pay. One that must be confirmed gives the units once it is. Each call buys once
/// more, so repeats need an `Idempotency-Key`.
#[utoipa::path(post, path = "/api/topups.buy", tag = "billing", request_body = TopupBody,
    responses((status = 200, description = "Paid, and given", body = PurchaseBody)))]
async fn buy(call: Call) -> Result<Answer, ApiError> {
    let body: TopupBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let wanted = Buy { topup: body.topup, quantity: body.quantity };
    let bought = topups::buy(call.app.engine(), &scope, &wanted).await.map_err(refused)?;
    Ok(Answer::data(&PurchaseBody::from(&bought)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TopupQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

/// What an org bought once, newest first
#[utoipa::path(get, path = "/api/topups.list", tag = "billing", params(TopupQuery),
    responses((status = 200, description = "A page of purchases", body = Vec<PurchaseBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let query: TopupQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = topups::list(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, PurchaseBody>(&page))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::Unknown | Error::NotForPlan | Error::OtherCurrency => ApiError::field("/topup", error.to_string()),
        Error::BadQuantity => ApiError::field("/quantity", error.to_string()),
        Error::Subscription(error) => billing::refused(error),
    }
}
