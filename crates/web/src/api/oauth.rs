//! The token endpoint and what belongs to it, in the words of OAuth 2.0: form bodies, bare JSON answers and errors (RFC 6749,
//! 7009, 7662, 8414), because libraries of others speak to them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use tollgate_engine::accounts;
use tollgate_engine::activation::{self, Error, Redeem, Refresh};
use tollgate_engine::tokens::{self, dpop};
use tollgate_rules::access::{Permission, Scope};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::{ApiError, bytes_of};
use crate::call::Call;
use crate::caller;
use crate::routes::{Access, Route, Spec};
use form::Form;

mod device;
pub(crate) mod form;

/// The grant of plugins that wait for approval (RFC 8628).
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The grant by which a plugin exchanges an activation code.
const ACTIVATION_CODE: &str = "urn:tollgate:oauth:grant-type:activation-code";
/// How long others may keep the key set.
const KEYS_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_token, _, _>(Access::Public, token),
        device::route(),
        Route::new::<__path_revoke, _, _>(Access::Public, revoke),
        Route::new::<__path_introspect, _, _>(Access::Org(Permission::SitesRead), introspect),
        Route::new::<__path_metadata, _, _>(Access::Public, metadata),
        Route::new::<__path_jwks, _, _>(Access::Public, jwks),
        Route::with::<__path_rotate_keys, _, _>(Spec::change(Access::Operator(Permission::ServerOperate)), rotate_keys),
    ]
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used: bodies are read as forms")]
struct TokenForm {
    /// `urn:tollgate:oauth:grant-type:activation-code`, `urn:ietf:params:oauth:grant-type:device_code`, `refresh_token` or
    /// `client_credentials`.
    grant_type: String,
    /// The activation code, as it was typed.
    code: Option<String>,
    /// The site's own address: needed with a code, compared with the bound one on a refresh.
    site_url: Option<String>,
    /// The device code, which `/oauth/device_authorization` gave.
    device_code: Option<String>,
    /// The refresh token.
    refresh_token: Option<String>,
    /// The id of the org's key; may be left out.
    client_id: Option<String>,
    /// The org's key; it may also come as HTTP Basic password or as Bearer credential.
    client_secret: Option<String>,
    /// The scopes wanted, parted by spaces: no more than the key has.
    scope: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TokenBody {
    /// The access token, a JWT for this server.
    access_token: String,
    /// `Bearer`, or `DPoP` where the tokens are bound to a key.
    token_type: &'static str,
    /// Seconds it is valid for.
    expires_in: u64,
    /// Gets the next tokens, once; for sites only.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What the tokens may be used for.
    scope: String,
    /// The org.
    org_id: String,
    /// The site; for sites only.
    #[serde(skip_serializing_if = "Option::is_none")]
    site_id: Option<String>,
    /// The site's host name; for sites only.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
}

/// Gives access tokens
///
/// For a plugin on a site (activation code or device code, then refresh tokens, each used once), and for a holder of an org's key
/// (`client_credentials`: ten minutes, the same scopes or fewer). Refresh at two thirds of `expires_in`, keep the new refresh
/// token before using it, and never loop on `invalid_grant`. With a `DPoP` header (RFC 9449, ES256 or EdDSA) a site's tokens are bound to
/// its key: they are good only with proofs of it, under the scheme `DPoP`. Whoever sends a proof finds a nonce in the answer
/// (`DPoP-Nonce`) to put into the next; where the operator requires one, a proof without it is answered `use_dpop_nonce`.
#[utoipa::path(post, path = "/oauth/token", tag = "activation",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The tokens", body = TokenBody, extensions(("x-bare" = json!(true)))),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `invalid_scope`, `unauthorized_client`, `unsupported_grant_type`, `invalid_dpop_proof`, `use_dpop_nonce`; while a device waits `authorization_pending`, `slow_down`, `access_denied`, `expired_token`", body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 429, description = "`slow_down`: too many codes or tokens from this address were not good", body = OAuthError)))]
async fn token(call: Call) -> Result<Answer, ApiError> {
    Ok(granted(&call).await.unwrap_or_else(Refusal::into_answer))
}

#[derive(Serialize, ToSchema)]
struct OAuthError {
    /// The code of RFC 6749.
    error: &'static str,
    /// For people.
    error_description: String,
}

async fn granted(call: &Call) -> Result<Answer, Refusal> {
    let form = Form::read(call)?;
    let (engine, from) = (call.app.engine(), call.address());
    if let Err(accounts::Error::Slow(wait)) = accounts::may_try(engine, from) {
        return Err(Refusal::from(Error::TooManyGuesses(wait.as_secs().max(1))));
    }
    let outcome = by_grant(call, &form).await;
    if let Err(refusal) = &outcome
        && matches!(refusal.error, "invalid_client" | "invalid_grant")
    {
        accounts::failed_try(engine, from);
    }
    outcome
}

async fn by_grant(call: &Call, form: &Form) -> Result<Answer, Refusal> {
    match form.needed("grant_type")? {
        ACTIVATION_CODE => of_code(call, form).await,
        DEVICE_CODE => of_device(call, form).await,
        "refresh_token" => of_refresh(call, form).await,
        "client_credentials" => of_key(call, form).await,
        other => {
            let known: String = other.chars().filter(|c| !c.is_control()).take(100).collect();
            Err(Refusal::bad("unsupported_grant_type", format!("This server has no grant {known}.")))
        }
    }
}

async fn of_code(call: &Call, form: &Form) -> Result<Answer, Refusal> {
    let address = call.address().map(|address| address.to_string());
    let redeem = Redeem {
        code: form.needed("code")?.to_owned(),
        site_url: form.needed("site_url")?.to_owned(),
        address,
        proof: proven(call)?,
    };
    let granted = activation::redeem(call.app.engine(), redeem).await?;
    Ok(site_answer(&granted))
}

async fn of_device(call: &Call, form: &Form) -> Result<Answer, Refusal> {
    let device_code = SecretString::from(form.needed("device_code")?.to_owned());
    let granted = activation::device::poll(call.app.engine(), &device_code, proven(call)?).await?;
    Ok(site_answer(&granted))
}

async fn of_refresh(call: &Call, form: &Form) -> Result<Answer, Refusal> {
    let refresh = Refresh {
        token: SecretString::from(form.needed("refresh_token")?.to_owned()),
        site_url: form.get("site_url").map(str::to_owned),
        proof: proven(call)?,
    };
    let granted = activation::refresh(call.app.engine(), refresh).await?;
    Ok(site_answer(&granted))
}

async fn of_key(call: &Call, form: &Form) -> Result<Answer, Refusal> {
    let client = client(call, form)?;
    let (key, scope) = (&client.secret, form.get("scope"));
    let granted = activation::client_credentials(call.app.engine(), key, client.id.as_deref(), scope).await?;
    Ok(bare(
        200,
        &TokenBody {
            access_token: granted.access.token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: granted.access.lifetime.as_secs(),
            refresh_token: None,
            scope: words(&granted.scopes),
            org_id: granted.org_id.to_string(),
            site_id: None,
            site: None,
        },
    ))
}

/// What the `DPoP` header proves, where there is one.
fn proven(call: &Call) -> Result<Option<dpop::Shown>, Refusal> {
    match caller::proof(&call.parts, dpop::Memory::Shared) {
        Ok(None) => Ok(None),
        Ok(Some(proof)) => match dpop::check(call.app.engine(), &proof, None) {
            Ok(shown) => Ok(Some(shown)),
            Err(tokens::Refusal::Nonce) => {
                Err(Refusal::bad("use_dpop_nonce", "The proof of possession needs the nonce of the DPoP-Nonce header."))
            }
            Err(refusal) => {
                tracing::debug!(%refusal, "a proof of possession was not believed");
                Err(Refusal::proof())
            }
        },
        Err(caller::SeveralProofs) => Err(Refusal::proof()),
    }
}

/// Who the client says it is.
struct Client {
    id: Option<String>,
    secret: SecretString,
}

/// HTTP Basic, a Bearer credential, or the body: one of them.
fn client(call: &Call, form: &Form) -> Result<Client, Refusal> {
    let header = call.header(AUTHORIZATION.as_str()).and_then(|text| text.split_once(' '));
    let stated = form.get("client_id").map(str::to_owned);
    match (header, form.get("client_secret")) {
        (Some(_), Some(_)) => Err(Refusal::bad("invalid_request", "Send the key once: in the header or in the body.")),
        (None, Some(secret)) => Ok(Client { id: stated, secret: SecretString::from(secret.to_owned()) }),
        (Some((scheme, credential)), None) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Client { id: stated, secret: SecretString::from(credential.trim().to_owned()) })
        }
        (Some((scheme, credential)), None) if scheme.eq_ignore_ascii_case("basic") => {
            basic(credential.trim()).ok_or_else(Refusal::client)
        }
        (Some(_) | None, None) => Err(Refusal::client()),
    }
}

fn basic(credential: &str) -> Option<Client> {
    let text = String::from_utf8(STANDARD.decode(credential).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let id = (!id.is_empty()).then(|| id.to_owned());
    Some(Client { id, secret: SecretString::from(secret.to_owned()) })
}

fn site_answer(granted: &activation::Granted) -> Answer {
    bare(
        200,
        &TokenBody {
            access_token: granted.access.token.expose_secret().to_owned(),
            token_type: if granted.jkt.is_some() { "DPoP" } else { "Bearer" },
            expires_in: granted.access.lifetime.as_secs(),
            refresh_token: Some(granted.refresh.expose_secret().to_owned()),
            scope: words(&granted.scopes),
            org_id: granted.org_id.to_string(),
            site_id: Some(granted.site_id.clone()),
            site: Some(granted.site.clone()),
        },
    )
}

fn words(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used: bodies are read as forms")]
struct GivenTokenForm {
    /// The token.
    token: String,
    /// `access_token` or `refresh_token`; not needed.
    token_type_hint: Option<String>,
}

/// Ends a token at its holder's wish
///
/// A refresh token ends with its whole family, an access token alone. A token nobody knows is answered the same (RFC 7009).
#[utoipa::path(post, path = "/oauth/revoke", tag = "activation",
    request_body(content = GivenTokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It is over; empty"),
        (status = 400, description = "`invalid_request`", body = OAuthError)))]
async fn revoke(call: Call) -> Result<Answer, ApiError> {
    let ended = async {
        let form = Form::read(&call)?;
        activation::revoke(call.app.engine(), form.needed("token")?).await?;
        Ok(Answer::bytes(HeaderValue::from_static("text/plain"), bytes::Bytes::new()))
    };
    Ok(ended.await.unwrap_or_else(Refusal::into_answer))
}

/// What a token is worth now
///
/// For the operator, and for keys with `org:admin` about tokens of their own org; anything else is `{"active":false}` (RFC 7662).
#[utoipa::path(post, path = "/oauth/introspect", tag = "activation",
    request_body(content = GivenTokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "`active`, and what an active token says", body = Object, extensions(("x-bare" = json!(true)))),
        (status = 400, description = "`invalid_request`", body = OAuthError)))]
async fn introspect(call: Call) -> Result<Answer, ApiError> {
    let told = async {
        let form = Form::read(&call)?;
        let token = form.needed("token")?;
        let found = activation::introspect(call.app.engine(), &call.caller, token).await?;
        Ok(bare(200, &found.map_or_else(|| json!({ "active": false }), |found| active(&call, &found))))
    };
    Ok(told.await.unwrap_or_else(Refusal::into_answer))
}

fn active(call: &Call, found: &activation::Introspected) -> Value {
    let seconds = |at: tollgate_rules::time::Timestamp| at.as_micros().div_euclid(1_000_000);
    let mut told = json!({
        "active": true,
        "token_type": found.kind,
        "client_id": found.subject,
        "sub": found.subject,
        "org": found.org_id.as_str(),
        "scope": words(&found.scopes),
        "iat": seconds(found.issued_at),
        "exp": seconds(found.expires_at),
        "iss": call.app.engine().public_base_url(),
    });
    if let Some(site) = &found.site {
        told["site"] = json!(site);
    }
    if let Some(jkt) = &found.jkt {
        told["cnf"] = json!({ "jkt": jkt });
    }
    if let Some(token_id) = &found.token_id {
        told["jti"] = json!(token_id);
    }
    told
}

/// What this authorization server can do (RFC 8414)
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "activation",
    responses((status = 200, description = "The metadata", body = Object, extensions(("x-bare" = json!(true))))))]
async fn metadata(call: Call) -> Result<Answer, ApiError> {
    let base = call.app.engine().public_base_url();
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let told = json!({
        "issuer": base,
        "token_endpoint": format!("{base}/oauth/token"),
        "device_authorization_endpoint": format!("{base}/oauth/device_authorization"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "introspection_endpoint": format!("{base}/oauth/introspect"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "response_types_supported": [],
        "grant_types_supported": [ACTIVATION_CODE, "refresh_token", "client_credentials", DEVICE_CODE],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
        "scopes_supported": scopes,
        "service_documentation": format!("{base}/docs"),
    });
    Ok(bare(200, &told).with_header(http::header::CACHE_CONTROL, KEYS_CACHE))
}

/// The public keys of the tokens this server issues (RFC 7517)
///
/// The next key is here long before it signs.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "activation",
    responses((status = 200, description = "The key set", body = Object, extensions(("x-bare" = json!(true))))))]
async fn jwks(call: Call) -> Result<Answer, ApiError> {
    Ok(bare(200, &tokens::jwks(call.app.engine())).with_header(http::header::CACHE_CONTROL, KEYS_CACHE))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RotatedBody {
    /// From when on the next key signs.
    signs_from: String,
}

/// Lets the next key sign within the hour
///
/// It is published already, so every cache has it by then; tokens signed before stay valid. Without this, keys follow each other
/// every 90 days by themselves.
#[utoipa::path(post, path = "/api/admin/signing-keys.rotate", tag = "activation",
    responses((status = 200, description = "When", body = RotatedBody)))]
async fn rotate_keys(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    match tokens::rotate(call.app.engine(), &scope).await {
        Ok(signs_from) => Ok(Answer::data(&RotatedBody { signs_from: signs_from.to_string() })),
        Err(tokens::Error::Database(error)) => Err(crate::failures::database(&error)),
        Err(error) => {
            tracing::error!(%error, "the signing keys could not be rotated");
            Err(ApiError::internal())
        }
    }
}

fn bare(status: u16, body: &impl Serialize) -> Answer {
    Answer::json_bytes(status, bytes::Bytes::from(bytes_of(body)))
}

/// A refusal in the words of RFC 6749.
pub(crate) struct Refusal {
    status: u16,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
}

impl Refusal {
    /// In the words of our own API, for pages.
    pub(crate) fn into_api_error(self) -> ApiError {
        ApiError::new(&crate::errors::MALFORMED, self.description)
    }

    fn bad(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: 400, error, description: description.into(), retry_after: None }
    }

    fn proof() -> Self {
        Self::bad("invalid_dpop_proof", "The proof of possession is not valid (any more).")
    }

    fn client() -> Self {
        Self { status: 401, ..Self::bad("invalid_client", "Send an API key of the org as client_secret.") }
    }

    fn unavailable() -> Self {
        let base = Self::bad("temporarily_unavailable", "The server cannot answer right now; nothing was changed.");
        Self { status: 503, retry_after: Some(1), ..base }
    }

    fn into_answer(self) -> Answer {
        let body = OAuthError { error: self.error, error_description: self.description };
        let mut answer = bare(self.status, &body);
        if self.status == 401 {
            answer = answer.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tollgate\""));
        }
        match self.retry_after {
            Some(seconds) => answer.with_header(RETRY_AFTER, HeaderValue::from(seconds)),
            None => answer,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            // In one breath for all that can be wrong with a code or token.
            Error::InvalidGrant | Error::NotFound | Error::Closed | Error::BadDomain | Error::NotProven(_) => {
                Self::bad("invalid_grant", "This code or token is not valid.")
            }
            Error::ProofUsed => Self::proof(),
            Error::OtherSite => Self::bad("invalid_grant", format!("{}.", Error::OtherSite)),
            Error::InvalidClient => Self::client(),
            Error::UnauthorizedClient | Error::Escalation => Self::bad("unauthorized_client", format!("{error}.")),
            Error::Pending => Self::bad("authorization_pending", format!("{error}.")),
            Error::SlowDown(_) => Self::bad("slow_down", format!("{error}.")),
            Error::Denied => Self::bad("access_denied", format!("{error}.")),
            Error::CodeExpired => Self::bad("expired_token", format!("{error}.")),
            Error::InvalidScope(_) => Self::bad("invalid_scope", format!("{error}.")),
            Error::BadCursor(_) => Self::bad("invalid_request", format!("{error}.")),
            Error::TooManyGuesses(seconds) | Error::TooManyDevices(seconds) => {
                let base = Self::bad("slow_down", format!("{error}."));
                Self { status: 429, retry_after: Some(seconds), ..base }
            }
            Error::Tokens(error) => {
                tracing::error!(%error, "a token could not be signed");
                Self::unavailable()
            }
            Error::Database(error) => {
                tracing::warn!(%error, "the database did not answer the token endpoint");
                Self::unavailable()
            }
        }
    }
}
