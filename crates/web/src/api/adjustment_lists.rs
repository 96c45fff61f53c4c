//! What was given, newest first: one list per kind.

use serde::Deserialize;
use tollgate_engine::adjustments::{self, Filter, Kind};
use tollgate_rules::ids::OrgId;
use utoipa::IntoParams;

use super::adjustment_answers::{CouponAnswer, CreditAnswer, CreditNoteAnswer, PromotionAnswer, RefundAnswer, Told};
use super::adjustments::OPERATE;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::paging;
use crate::routes::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_coupons, _, _>(OPERATE, coupons),
        Route::new::<__path_promotions, _, _>(OPERATE, promotions),
        Route::new::<__path_credits, _, _>(OPERATE, credits),
        Route::new::<__path_refunds, _, _>(OPERATE, refunds),
        Route::new::<__path_credit_notes, _, _>(OPERATE, credit_notes),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenQuery {
    /// Of this org; of all when left out.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

async fn listed(call: &Call, kind: Kind) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: GivenQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let mut fields = Fields::default();
    let org_id = fields.read_if("/orgId", query.org_id.as_deref().map(OrgId::parse));
    fields.done()?;
    let filter = Filter { kind, org_id };
    let page = adjustments::list(call.app.engine(), &scope, &filter, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, Told>(&page))
}

/// Coupons, newest first
#[utoipa::path(get, path = "/api/admin/coupons.list", tag = "admin", params(GivenQuery),
    responses((status = 200, description = "A page of coupons", body = Vec<CouponAnswer>)))]
async fn coupons(call: Call) -> Result<Answer, ApiError> {
    listed(&call, Kind::Coupon).await
}

/// Promotion codes, newest first
#[utoipa::path(get, path = "/api/admin/promotions.list", tag = "admin", params(GivenQuery),
    responses((status = 200, description = "A page of promotion codes", body = Vec<PromotionAnswer>)))]
async fn promotions(call: Call) -> Result<Answer, ApiError> {
    listed(&call, Kind::Promotion).await
}

/// Credit that was given, newest first
#[utoipa::path(get, path = "/api/admin/credits.list", tag = "admin", params(GivenQuery),
    responses((status = 200, description = "A page of credit", body = Vec<CreditAnswer>)))]
async fn credits(call: Call) -> Result<Answer, ApiError> {
    listed(&call, Kind::Credit).await
}

/// Refunds, newest first
#[utoipa::path(get, path = "/api/admin/refunds.list", tag = "admin", params(GivenQuery),
    responses((status = 200, description = "A page of refunds", body = Vec<RefundAnswer>)))]
async fn refunds(call: Call) -> Result<Answer, ApiError> {
    listed(&call, Kind::Refund).await
}

/// Credit notes, newest first
#[utoipa::path(get, path = "/api/admin/credit-notes.list", tag = "admin", params(GivenQuery),
    responses((status = 200, description = "A page of credit notes", body = Vec<CreditNoteAnswer>)))]
async fn credit_notes(call: Call) -> Result<Answer, ApiError> {
    listed(&call, Kind::CreditNote).await
}
