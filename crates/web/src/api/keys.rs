//! API keys of an org.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::access::OrgScope;
use tollgate_engine::keys::{self, Create, Created, Error, Key, Share};
use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::ids::KeyId;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{caller, errors, failures, paging};

pub(crate) fn routes() -> Vec<Route> {
    let write = Access::Org(Permission::KeysWrite);
    vec![
        Route::with::<__path_create, _, _>(Spec::secret(write), create).refuses(&[errors::CONFLICT]),
        Route::new::<__path_list, _, _>(Access::Org(Permission::KeysRead), list),
        Route::with::<__path_rotate, _, _>(Spec::secret(write), rotate).refuses(&[errors::CONFLICT]),
        Route::with::<__path_revoke, _, _>(Spec::change(write), revoke),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyCreateBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// What people call it, 1 to 200 bytes.
    name: String,
    /// What it may be used for; `usage:write`, `quota:check` and `entitlements:read` when left out.
    scopes: Option<Vec<String>>,
    /// From when on it is not valid; never when left out.
    expires_at: Option<String>,
    /// Its slice of the org's allowance: metric to units it may use in a period, a hard stop of its own. Keys that follow it by
    /// rotation share it.
    quota: Option<BTreeMap<String, i64>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedBody {
    /// The key.
    key_id: String,
    /// The secret, shown this once.
    secret: String,
    /// What it may be used for.
    scopes: Vec<&'static str>,
    /// When it was made.
    created_at: String,
    /// Its slice of the org's allowance, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<BTreeMap<String, i64>>,
}

impl From<&Created> for CreatedBody {
    fn from(created: &Created) -> Self {
        let shares = created.key.quota.iter();
        let quota: BTreeMap<String, i64> = shares.map(|(metric, share)| (metric.to_string(), share.units)).collect();
        Self {
            key_id: created.key.key_id.to_string(),
            secret: created.secret.expose_secret().to_owned(),
            scopes: words(&created.key.scopes),
            created_at: created.key.created_at.to_string(),
            quota: (!quota.is_empty()).then_some(quota),
        }
    }
}

/// Makes a key
///
/// The secret is shown once. A key cannot make one that may do more than itself, and one with a `quota` makes none. With a
/// `quota` the key may use at most its slice of the org's allowance in each period; a denial names the slice.
#[utoipa::path(post, path = "/api/keys.create", tag = "keys", request_body = KeyCreateBody,
    responses((status = 200, description = "The key with its secret", body = CreatedBody)))]
async fn create(call: Call) -> Result<Answer, ApiError> {
    let body: KeyCreateBody = call.free_json()?;
    let mut fields = Fields::default();
    fields.text("/name", &body.name);
    let expires_at = fields.time_if("/expiresAt", body.expires_at.as_deref());
    let scopes = body.scopes.map(|words| scopes(&words, &mut fields));
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let create = Create { name: body.name, scopes, expires_at, quota: body.quota.unwrap_or_default() };
    let created = keys::create(call.app.engine(), &call.caller, &scope, create).await.map_err(refused)?;
    Ok(Answer::data(&CreatedBody::from(&created)))
}

fn scopes(words: &[String], fields: &mut Fields) -> Vec<Scope> {
    let mut read = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let scope = Scope::parse(word).ok_or("there is no such scope");
        read.extend(fields.read(&format!("/scopes/{place}"), scope));
    }
    read
}

fn words(scopes: &[Scope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyBody {
    /// The key.
    key_id: String,
    /// What people call it.
    name: String,
    /// The last four characters of the secret, to compare.
    hint: String,
    /// What it may be used for.
    scopes: Vec<&'static str>,
    /// When it was made.
    created_at: String,
    /// From when on it is not valid.
    expires_at: Option<String>,
    /// When it was revoked.
    revoked_at: Option<String>,
    /// The key that follows it.
    rotated_to: Option<String>,
    /// When it was used last, to about a minute.
    last_used_at: Option<String>,
    /// Its slice of the org's allowance by metric, as it stands in this period; null where it has none.
    quota: Option<BTreeMap<String, ShareBody>>,
}

/// A key's slice of one metric.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ShareBody {
    /// Units it may use in a period.
    units: i64,
    /// Units it used in this period, with the other keys of its line.
    used: i64,
    /// Units its open holds hold.
    held: i64,
    /// What is left of it.
    remaining: i64,
}

impl From<&Share> for ShareBody {
    fn from(share: &Share) -> Self {
        Self { units: share.units, used: share.used, held: share.held, remaining: share.remaining() }
    }
}

impl From<&Key> for KeyBody {
    fn from(key: &Key) -> Self {
        let shares = key.quota.iter();
        let quota: BTreeMap<String, ShareBody> =
            shares.map(|(metric, share)| (metric.to_string(), ShareBody::from(share))).collect();
        Self {
            key_id: key.key_id.to_string(),
            name: key.name.clone(),
            hint: key.hint.clone(),
            scopes: words(&key.scopes),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
            rotated_to: key.rotated_to.as_ref().map(ToString::to_string),
            last_used_at: key.last_used_at.map(|at| at.to_string()),
            quota: (!quota.is_empty()).then_some(quota),
        }
    }
}

/// An org's keys, newest first, without their secrets
#[utoipa::path(get, path = "/api/keys.list", tag = "keys", params(ListQuery),
    responses((status = 200, description = "A page of keys", body = Vec<KeyBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let query: ListQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = keys::list(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, KeyBody>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyIdBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The key.
    key_id: String,
}

/// Follows a key by a new one; the old one lives on for 24 hours
///
/// An earlier key of the same line that is still alive ends at once: two secrets live, never three.
#[utoipa::path(post, path = "/api/keys.rotate", tag = "keys", request_body = KeyIdBody,
    responses((status = 200, description = "The new key with its secret", body = CreatedBody)))]
async fn rotate(call: Call) -> Result<Answer, ApiError> {
    let body: KeyIdBody = call.json()?;
    let key_id = KeyId::parse(&body.key_id).map_err(|_| ApiError::not_found())?;
    let scope = scope_of(&call, body.org_id.as_deref(), &key_id).await?;
    let created = keys::rotate(call.app.engine(), &call.caller, &scope, &key_id).await.map_err(refused)?;
    Ok(Answer::data(&CreatedBody::from(&created)))
}

/// Ends a key at once
#[utoipa::path(post, path = "/api/keys.revoke", tag = "keys", request_body = KeyIdBody,
    responses((status = 200, description = "The key after it", body = KeyBody)))]
async fn revoke(call: Call) -> Result<Answer, ApiError> {
    let body: KeyIdBody = call.json()?;
    let key_id = KeyId::parse(&body.key_id).map_err(|_| ApiError::not_found())?;
    let scope = scope_of(&call, body.org_id.as_deref(), &key_id).await?;
    let key = keys::revoke(call.app.engine(), &scope, &key_id).await.map_err(refused)?;
    Ok(Answer::data(&KeyBody::from(&key)))
}

/// A key's id says nothing of its org: where no org is named, the operator means the key's own.
async fn scope_of(call: &Call, named: Option<&str>, key_id: &KeyId) -> Result<OrgScope, ApiError> {
    if named.is_some() || !call.caller.is_operator() {
        return call.org(named).await;
    }
    let operator = caller::require_operator(&call.caller, Permission::KeysWrite)?;
    let org_id = keys::org_of(call.app.engine(), &operator, key_id).await.map_err(refused)?;
    call.org(Some(org_id.as_str())).await
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::NotFound => ApiError::not_found(),
        Error::Invalid { field, rule } => ApiError::field(&format!("/{field}"), rule),
        Error::Escalation => ApiError::new(&errors::FORBIDDEN, "A key cannot make one that may do more than itself."),
        Error::TooMany(_) | Error::TooManyQuotas(_) | Error::Ended(_) | Error::Closed => {
            ApiError::new(&errors::CONFLICT, format!("{error}."))
        }
        Error::Database(error) => failures::database(&error),
    }
}
