//! Approving plugins that wait, for pages of one's own; `/device` is ours.

use serde::{Deserialize, Serialize};
use tollgate_engine::activation::device::{self, Decision, Device};
use tollgate_rules::access::Permission;
use utoipa::ToSchema;

use super::activation::refused;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::routes::{Access, Route, Spec};

pub(crate) fn routes() -> Vec<Route> {
    let write = Access::Org(Permission::SitesWrite);
    vec![
        Route::new::<__path_find, _, _>(write, find).refuses(&[errors::RATE_LIMITED]),
        Route::with::<__path_decide, _, _>(Spec::change(write), decide)
            .refuses(&[errors::RATE_LIMITED, errors::CONFLICT]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeviceCodeBody {
    /// The org; may be left out with a credential of one org.
    org_id: Option<String>,
    /// The code, as it was typed.
    user_code: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingBody {
    /// The domain of the site it says it runs on.
    domain: String,
    /// The network address it asked from, where that is known.
    requested_from: Option<String>,
    /// What it may do when it is approved.
    scopes: Vec<&'static str>,
    /// When it asked.
    requested_at: String,
    /// Until when it waits.
    expires_at: String,
}

impl From<&Device> for WaitingBody {
    fn from(device: &Device) -> Self {
        Self {
            domain: device.domain.clone(),
            requested_from: device.asked_from.clone(),
            scopes: device.scopes.iter().map(|scope| scope.as_str()).collect(),
            requested_at: device.created_at.to_string(),
            expires_at: device.expires_at.to_string(),
        }
    }
}

/// Shows which plugin waits behind a code
///
/// Unknown codes are counted, and after some of them from one address this answers 429 for a while.
#[utoipa::path(post, path = "/api/activation/devices.find", tag = "activation", request_body = DeviceCodeBody,
    responses((status = 200, description = "The plugin", body = WaitingBody)))]
async fn find(call: Call) -> Result<Answer, ApiError> {
    let body: DeviceCodeBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let address = call.address().map(|address| address.to_string());
    let found = device::find(call.app.engine(), &scope, &body.user_code, address.as_deref()).await;
    Ok(Answer::data(&WaitingBody::from(&found.map_err(refused)?)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeviceDecideBody {
    /// The org it is to act for; may be left out with a credential of one org.
    org_id: Option<String>,
    /// The code, as it was typed.
    user_code: String,
    /// `true` lets it in, `false` turns it away.
    approve: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeviceDecidedBody {
    /// `approved` or `denied`.
    status: &'static str,
    /// The domain of the site.
    domain: String,
}

/// Lets a waiting plugin in, or turns it away
///
/// Show the person what [`/api/activation/devices.find`](#post-api-activation-devices.find) says first: whoever approves somebody else's
/// plugin hands them the org's quota.
#[utoipa::path(post, path = "/api/activation/devices.decide", tag = "activation", request_body = DeviceDecideBody,
    responses((status = 200, description = "It is decided", body = DeviceDecidedBody)))]
async fn decide(call: Call) -> Result<Answer, ApiError> {
    let body: DeviceDecideBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let address = call.address().map(|address| address.to_string());
    let (decision, status) = if body.approve { (Decision::Approve, "approved") } else { (Decision::Deny, "denied") };
    let (who, said) = ((&call.caller, &scope), (body.user_code.as_str(), decision));
    let decided = device::decide(call.app.engine(), who, said, address.as_deref()).await.map_err(refused)?;
    Ok(Answer::data(&DeviceDecidedBody { status, domain: decided.domain }))
}
