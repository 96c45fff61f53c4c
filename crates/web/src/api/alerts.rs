//! Alerts about an org's usage, and what it used each day.

use serde::{Deserialize, Serialize};
use tollgate_engine::alerts::{self, Alert, Summary};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::paging;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    let read = Access::Org(Permission::UsageRead);
    vec![
        Route::new::<__path_alert_list, _, _>(read, alert_list),
        Route::new::<__path_summary_list, _, _>(read, summary_list),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AlertsQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AlertBody {
    /// `50`, `80`, `100` (percent used) or `forecast`.
    kind: &'static str,
    /// About what.
    metric: String,
    /// In which period.
    period_key: String,
    /// What was used then.
    used: i64,
    /// What was included and granted then.
    limit: i64,
    /// When.
    raised_at: String,
}

impl From<&Alert> for AlertBody {
    fn from(alert: &Alert) -> Self {
        Self {
            kind: alert.kind.as_str(),
            metric: alert.metric.to_string(),
            period_key: alert.period_key.clone(),
            used: alert.used,
            limit: alert.limit,
            raised_at: alert.raised_at.to_string(),
        }
    }
}

/// Alerts about an org's usage, newest first
///
/// Each is raised once per period: at half, four fifths and all of a limit, and when the pace so far leads beyond it.
#[utoipa::path(get, path = "/api/usage/alerts.list", tag = "usage", params(AlertsQuery),
    responses((status = 200, description = "A page of alerts", body = Vec<AlertBody>)))]
async fn alert_list(call: Call) -> Result<Answer, ApiError> {
    let query: AlertsQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let page = alerts::list(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, AlertBody>(&page))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SummaryBody {
    /// The day's start, UTC.
    day: String,
    /// Of what.
    metric: String,
    /// Units.
    units: i64,
    /// Ledger events.
    events: i64,
}

impl From<&Summary> for SummaryBody {
    fn from(summary: &Summary) -> Self {
        Self {
            day: summary.day.to_string(),
            metric: summary.metric.to_string(),
            units: summary.units,
            events: summary.events,
        }
    }
}

/// What an org used each day, newest first
#[utoipa::path(get, path = "/api/usage/summaries.list", tag = "usage", params(AlertsQuery),
    responses((status = 200, description = "A page of days", body = Vec<SummaryBody>)))]
async fn summary_list(call: Call) -> Result<Answer, ApiError> {
    let query: AlertsQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let page = alerts::summaries(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, SummaryBody>(&page))
}
