//! Overrides: an operator's exceptions for one org.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_engine::overrides::{self, Clear, Error, Override, Set, Subject};
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::{FeatureValue, OveragePolicy};
use tollgate_rules::ids::{FeatureCode, Metric, OrgId};
use tollgate_rules::quantity::Units;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{failures, paging};

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::OverridesOperate);
    vec![
        Route::with::<__path_set, _, _>(Spec::change(operate), set),
        Route::with::<__path_clear, _, _>(Spec::change(operate), clear),
        Route::new::<__path_list, _, _>(operate, list),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BlockBody {
    /// The price of a block, in minor units of the plan's currency.
    pub(super) amount: i64,
    /// The size of a block in units.
    pub(super) per: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetBody {
    /// The org.
    org_id: String,
    /// The metric it is about; or `feature`.
    metric: Option<String>,
    /// Included units instead of the plan's.
    included: Option<i64>,
    /// True: no limit at all.
    unlimited: Option<bool>,
    /// `HARD_STOP` or `METERED` (then with `overage`) instead of the plan's.
    policy: Option<String>,
    /// What a metered block costs.
    overage: Option<BlockBody>,
    /// The feature it is about; or `metric`.
    feature: Option<String>,
    /// The feature's value: true or false, a whole number, or a text.
    value: Option<Value>,
    /// From when on; now when left out.
    starts_at: Option<String>,
    /// Until when; or `permanent`.
    expires_at: Option<String>,
    /// True: it does not end by itself.
    permanent: Option<bool>,
    /// Why; kept in the audit journal.
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OverageBody {
    /// The price of a block in minor units.
    amount: i64,
    /// The size of a block in units.
    per: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OverrideBody {
    /// Its id.
    override_id: String,
    /// Whose.
    org_id: String,
    /// The metric it is about.
    metric: Option<String>,
    /// Included units instead of the plan's.
    included: Option<i64>,
    /// Whether there is no limit at all.
    unlimited: bool,
    /// The policy instead of the plan's.
    policy: Option<&'static str>,
    /// What a metered block costs.
    overage: Option<OverageBody>,
    /// The feature it is about.
    feature: Option<String>,
    /// The feature's value.
    value: Option<Value>,
    /// From when on.
    starts_at: String,
    /// Until when; null: permanent.
    expires_at: Option<String>,
    /// Whether it does not end by itself.
    permanent: bool,
    /// Why.
    reason: String,
    /// Who made it.
    actor: String,
    /// When.
    created_at: String,
    /// When it was taken back or replaced.
    cleared_at: Option<String>,
}

impl From<&Override> for OverrideBody {
    fn from(one: &Override) -> Self {
        let mut body = Self {
            override_id: one.override_id.clone(),
            org_id: one.org_id.to_string(),
            metric: None,
            included: None,
            unlimited: false,
            policy: None,
            overage: None,
            feature: None,
            value: None,
            starts_at: one.starts_at.to_string(),
            expires_at: one.ends_at.map(|at| at.to_string()),
            permanent: one.ends_at.is_none(),
            reason: one.reason.clone(),
            actor: one.actor.clone(),
            created_at: one.created_at.to_string(),
            cleared_at: one.cleared_at.map(|at| at.to_string()),
        };
        match &one.subject {
            Subject::Metric { metric, included, policy } => {
                body.metric = Some(metric.to_string());
                body.included = included.flatten();
                body.unlimited = *included == Some(None);
                body.policy = policy.map(OveragePolicy::as_str);
                if let Some(OveragePolicy::Metered { amount_minor, per_units }) = policy {
                    body.overage = Some(OverageBody { amount: *amount_minor, per: *per_units });
                }
            }
            Subject::Feature { feature, value } => {
                body.feature = Some(feature.to_string());
                body.value = Some(match value {
                    FeatureValue::Bool(on) => Value::from(*on),
                    FeatureValue::Number(number) => Value::from(*number),
                    FeatureValue::Text(text) => Value::from(text.as_str()),
                });
            }
        }
        body
    }
}

/// Gives an org another limit, policy or feature than its plan
///
/// It ends at `expiresAt` or is `permanent`. Of several about the same thing the one made last counts.
#[utoipa::path(post, path = "/api/admin/overrides.set", tag = "admin", request_body = SetBody,
    responses((status = 200, description = "The override", body = OverrideBody)))]
async fn set(call: Call) -> Result<Answer, ApiError> {
    let body: SetBody = call.free_json()?;
    let mut fields = Fields::default();
    let subject = subject(&body, &mut fields);
    let starts_at = fields.time_if("/startsAt", body.starts_at.as_deref());
    let ends_at = fields.time_if("/expiresAt", body.expires_at.as_deref());
    if body.expires_at.is_some() == body.permanent.unwrap_or(false) {
        fields.wrong("/expiresAt", "say when it ends, or that it is `permanent`: one of the two");
    }
    fields.text("/reason", &body.reason);
    let Some(subject) = subject else { return Err(fields.refusal()) };
    fields.done()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let wanted = Set { subject, starts_at, ends_at, reason: body.reason };
    let made = overrides::set(call.app.engine(), &scope, wanted).await.map_err(refused)?;
    Ok(Answer::data(&OverrideBody::from(&made)))
}

fn subject(body: &SetBody, fields: &mut Fields) -> Option<Subject> {
    match (&body.metric, &body.feature) {
        (Some(metric), None) => {
            if body.value.is_some() {
                fields.wrong("/value", "belongs to a feature");
            }
            let policy = policy(body, fields);
            let included = match (body.included, body.unlimited.unwrap_or(false)) {
                (Some(_), true) => {
                    fields.wrong("/unlimited", "say `included` or `unlimited`, not both");
                    None
                }
                (Some(units), false) if !(0..=Units::MAX.get()).contains(&units) => {
                    fields.wrong("/included", "must be a whole number from 0 to 9007199254740991");
                    None
                }
                (units, false) => units.map(Some),
                (None, true) => Some(None),
            };
            let metric = fields.read("/metric", Metric::parse(metric))?;
            Some(Subject::Metric { metric, included, policy })
        }
        (None, Some(feature)) => {
            if body.included.is_some() || body.unlimited.is_some() || body.policy.is_some() || body.overage.is_some() {
                fields.wrong("/feature", "a limit belongs to a metric");
            }
            let feature = fields.read("/feature", FeatureCode::parse(feature))?;
            let value = match &body.value {
                Some(Value::Bool(on)) => FeatureValue::Bool(*on),
                Some(Value::Number(number)) if number.as_i64().is_some_and(|number| number >= 0) => {
                    FeatureValue::Number(number.as_i64().unwrap_or_default())
                }
                Some(Value::String(text)) if text.len() <= crate::fields::NAME_BYTES_MAX => {
                    FeatureValue::Text(text.clone())
                }
                _ => {
                    fields.wrong("/value", "must be true, false, a whole number from 0 or a text of at most 200 bytes");
                    return None;
                }
            };
            Some(Subject::Feature { feature, value })
        }
        (Some(_), Some(_)) | (None, None) => {
            fields.wrong("/metric", "name a metric or a feature: one of the two");
            None
        }
    }
}

fn policy(body: &SetBody, fields: &mut Fields) -> Option<OveragePolicy> {
    match (body.policy.as_deref(), &body.overage) {
        (None, None) => None,
        (Some("HARD_STOP"), None) => Some(OveragePolicy::HardStop),
        (Some("METERED"), Some(block)) if block.amount >= 0 && block.amount <= 99_999_999 && block.per >= 1 => {
            Some(OveragePolicy::Metered { amount_minor: block.amount, per_units: block.per })
        }
        _ => {
            fields
                .wrong("/policy", "use HARD_STOP, or METERED with `overage`: {amount from 0 to 99999999, per from 1}");
            None
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClearBody {
    /// The org.
    org_id: String,
    /// One override; or `metric` or `feature`.
    override_id: Option<String>,
    /// All about this metric.
    metric: Option<String>,
    /// All about this feature.
    feature: Option<String>,
    /// Why; kept in the audit journal.
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClearedBody {
    /// What was taken back.
    cleared: Vec<OverrideBody>,
}

/// Takes overrides back: the plan's own terms hold again
#[utoipa::path(post, path = "/api/admin/overrides.clear", tag = "admin", request_body = ClearBody,
    responses((status = 200, description = "What was taken back", body = ClearedBody)))]
async fn clear(call: Call) -> Result<Answer, ApiError> {
    let body: ClearBody = call.json()?;
    let mut fields = Fields::default();
    fields.text("/reason", &body.reason);
    let which = match (body.override_id, &body.metric, &body.feature) {
        (Some(id), None, None) => Some(Clear::Id(id)),
        (None, Some(metric), None) => fields.read("/metric", Metric::parse(metric)).map(Clear::Metric),
        (None, None, Some(feature)) => fields.read("/feature", FeatureCode::parse(feature)).map(Clear::Feature),
        _ => {
            fields.wrong("/overrideId", "name one of overrideId, metric and feature");
            None
        }
    };
    let Some(which) = which else { return Err(fields.refusal()) };
    fields.done()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let cleared = overrides::clear(call.app.engine(), &scope, which, body.reason).await.map_err(refused)?;
    Ok(Answer::data(&ClearedBody { cleared: cleared.iter().map(OverrideBody::from).collect() }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OfOrgQuery {
    /// Of this org; of all when left out.
    pub(super) org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    pub(super) limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// Overrides, newest first; cleared and ended ones too
#[utoipa::path(get, path = "/api/admin/overrides.list", tag = "admin", params(OfOrgQuery),
    responses((status = 200, description = "A page of overrides", body = Vec<OverrideBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: OfOrgQuery = call.query()?;
    let mut fields = Fields::default();
    let org = fields.read_if("/orgId", query.org_id.as_deref().map(OrgId::parse));
    fields.done()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let page = overrides::list(call.app.engine(), &scope, org.as_ref(), &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, OverrideBody>(&page))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::UnknownMetric => ApiError::field("/metric", "the catalog has no such metric"),
        Error::Invalid { field, rule } => ApiError::field(&format!("/{field}"), rule),
        Error::NotFound => ApiError::not_found(),
        Error::Database(error) => failures::database(&error),
    }
}
