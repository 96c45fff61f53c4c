//! Keys, for the operator's commands.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tollgate_engine::paging::Paging;
use tollgate_engine::{Engine, keys};
use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::ids::KeyId;

use super::execute::{caller, operator, org, time};
use crate::failure::{Exit, Failure};

/// A key to be made.
pub(super) struct Wanted {
    /// What it is called.
    pub(super) name: String,
    /// What it may do; the default when left out.
    pub(super) scopes: Option<Vec<String>>,
    /// When it stops working.
    pub(super) expires_at: Option<String>,
    /// Units it may use of each metric in a period.
    pub(super) quota: BTreeMap<String, i64>,
}

/// Makes an org's key; its secret is in the answer and nowhere else.
pub(super) async fn create(engine: &Engine, org_id: &str, wanted: Wanted) -> Result<Value, Failure> {
    let scope = org(engine, Permission::KeysWrite, org_id).await?;
    let scopes = wanted.scopes.map(|words| words.iter().map(|word| scope_named(word)).collect()).transpose()?;
    let expires_at = wanted.expires_at.map(|text| time("--expires-at", &text)).transpose()?;
    let create = keys::Create { name: wanted.name, scopes, expires_at, quota: wanted.quota };
    let created = keys::create(engine, &caller(), &scope, create).await.map_err(|error| failed(&error))?;
    Ok(with_secret(&created))
}

fn scope_named(word: &str) -> Result<Scope, Failure> {
    Scope::parse(word.trim()).ok_or_else(|| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        Failure::usage(format!("--scopes: there is no scope `{word}`"))
            .remedy(format!("There are: {}.", known.join(", ")))
    })
}

/// Makes an operator key.
pub(super) async fn create_operator(
    engine: &Engine,
    label: String,
    expires_at: Option<String>,
) -> Result<Value, Failure> {
    let scope = operator(Permission::KeysWrite)?;
    let expires_at = expires_at.map(|text| time("--expires-at", &text)).transpose()?;
    let create = keys::CreateOperator { label, expires_at };
    let made = keys::create_operator(engine, &scope, create).await.map_err(|error| failed(&error))?;
    Ok(
        json!({"keyId": made.key.key_id, "name": made.key.label, "secret": made.secret.expose_secret(), "createdAt": made.key.created_at}),
    )
}

/// An org's keys, newest first, without their secrets.
pub(super) async fn list(engine: &Engine, org_id: &str) -> Result<Value, Failure> {
    let scope = org(engine, Permission::KeysRead, org_id).await?;
    let mut all: Vec<Value> = Vec::new();
    let mut cursor = None;
    loop {
        let paging = Paging::new(Some(200), cursor.as_deref()).map_err(Failure::during("listing keys"))?;
        let page = keys::list(engine, &scope, &paging).await.map_err(Failure::during("listing keys"))?;
        all.extend(page.items.iter().map(shown));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(json!({"keys": all})),
        }
    }
}

/// The operator keys, without their secrets.
pub(super) async fn list_operators(engine: &Engine) -> Result<Value, Failure> {
    let scope = operator(Permission::KeysWrite)?;
    let all = keys::list_operators(engine, &scope).await.map_err(|error| failed(&error))?;
    let all: Vec<Value> = all
        .iter()
        .map(|key| {
            json!({"keyId": key.key_id, "name": key.label, "createdAt": key.created_at, "expiresAt": key.expires_at,
                "revokedAt": key.revoked_at, "lastUsedAt": key.last_used_at})
        })
        .collect();
    Ok(json!({"keys": all}))
}

/// Gives a key a new secret; the old one works a while longer.
pub(super) async fn rotate(engine: &Engine, org_id: &str, key: &str) -> Result<Value, Failure> {
    let scope = org(engine, Permission::KeysWrite, org_id).await?;
    let created = keys::rotate(engine, &caller(), &scope, &key_id(key)?).await.map_err(|error| failed(&error))?;
    Ok(with_secret(&created))
}

/// Ends an org's key at once.
pub(super) async fn revoke(engine: &Engine, org_id: &str, key: &str) -> Result<Value, Failure> {
    let scope = org(engine, Permission::KeysWrite, org_id).await?;
    let revoked = keys::revoke(engine, &scope, &key_id(key)?).await.map_err(|error| failed(&error))?;
    Ok(shown(&revoked))
}

/// Ends an operator key at once.
pub(super) async fn revoke_operator(engine: &Engine, key: &str) -> Result<Value, Failure> {
    let scope = operator(Permission::KeysWrite)?;
    keys::revoke_operator(engine, &scope, key).await.map_err(|error| failed(&error))?;
    Ok(json!({"keyId": key}))
}

fn key_id(text: &str) -> Result<KeyId, Failure> {
    KeyId::parse(text).map_err(|error| Failure::usage(format!("{text}: {error}")))
}

fn shown(key: &keys::Key) -> Value {
    let quota: BTreeMap<&str, Value> = key
        .quota
        .iter()
        .map(|(metric, share)| (metric.as_str(), json!({"units": share.units, "used": share.used, "held": share.held})))
        .collect();
    json!({
        "keyId": key.key_id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
        "lastUsedAt": key.last_used_at,
        "quota": quota,
    })
}

fn with_secret(created: &keys::Created) -> Value {
    let key = &created.key;
    json!({"keyId": key.key_id, "name": key.name, "secret": created.secret.expose_secret(), "scopes": key.scopes, "createdAt": key.created_at})
}

fn failed(error: &keys::Error) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        keys::Error::NotFound => failure.exit(Exit::NotFound),
        keys::Error::Invalid { .. } => failure.exit(Exit::Usage),
        keys::Error::Escalation => failure.exit(Exit::Denied),
        keys::Error::TooMany(_) | keys::Error::TooManyQuotas(_) | keys::Error::Ended(_) | keys::Error::Closed => {
            failure.exit(Exit::Conflict)
        }
        keys::Error::Database(_) => failure.exit(Exit::Unreachable),
    }
}
