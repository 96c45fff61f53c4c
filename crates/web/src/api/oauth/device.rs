//! The device authorization endpoint (RFC 8628): the codes of a plugin that nobody can type into.

use secrecy::ExposeSecret;
use serde::Serialize;
use tollgate_engine::activation::Error;
use tollgate_engine::activation::device::{self, Begin};
use utoipa::ToSchema;

use super::form::Form;
use super::{OAuthError, Refusal, bare};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route};

pub(super) fn route() -> Route {
    Route::new::<__path_authorize, _, _>(Access::Public, authorize)
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used: bodies are read as forms")]
struct DeviceForm {
    /// The site's own address, as the plugin knows it.
    site_url: String,
    /// The scopes wanted, parted by spaces: no more than an activation code brings.
    scope: Option<String>,
    /// Not needed, and not looked at.
    client_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct DeviceGrantBody {
    /// The plugin's own code, for the token endpoint.
    device_code: String,
    /// The code a person types.
    user_code: String,
    /// Where they type it.
    verification_uri: String,
    /// The same with the code in it, for links and QR codes.
    verification_uri_complete: String,
    /// Seconds both codes live.
    expires_in: u64,
    /// Seconds between two questions at the token endpoint.
    interval: u64,
}

/// Begins to wait for a person's approval
///
/// Show `user_code` and `verification_uri` to a person, and ask the token endpoint every `interval` seconds; each `slow_down` makes the
/// interval five seconds longer.
#[utoipa::path(post, path = "/oauth/device_authorization", tag = "activation",
    request_body(content = DeviceForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The codes", body = DeviceGrantBody, extensions(("x-bare" = json!(true)))),
        (status = 400, description = "`invalid_request` or `invalid_scope`", body = OAuthError)))]
async fn authorize(call: Call) -> Result<Answer, ApiError> {
    Ok(begun(&call).await.unwrap_or_else(Refusal::into_answer))
}

async fn begun(call: &Call) -> Result<Answer, Refusal> {
    let form = Form::read(call)?;
    let begin = Begin {
        site_url: form.needed("site_url")?.to_owned(),
        scope: form.get("scope").map(str::to_owned),
        address: call.address().map(|address| address.to_string()),
    };
    let engine = call.app.engine();
    let begun = device::begin(engine, begin).await.map_err(|error| match error {
        Error::BadDomain => Refusal::bad("invalid_request", format!("site_url must be {error}.")),
        other => Refusal::from(other),
    })?;
    let (user_code, page) = (begun.user_code.expose_secret(), format!("{}/device", engine.public_base_url()));
    Ok(bare(
        200,
        &DeviceGrantBody {
            device_code: begun.device_code.expose_secret().to_owned(),
            user_code: user_code.to_owned(),
            verification_uri_complete: format!("{page}?user_code={user_code}"),
            verification_uri: page,
            expires_in: begun.lifetime.as_secs(),
            interval: begun.interval.as_secs(),
        },
    ))
}
