//! Keys of the operator, beside the configured one.

use secrecy::SecretString;
use serde_json::json;

use tollgate_rules::time::Timestamp;

use super::create::invalid_name;
use super::{Error, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::Lane;
use crate::engine::Engine;
use crate::{orgs, secrets};

/// A new operator key.
#[derive(Debug, Clone)]
pub struct CreateOperator {
    /// Who or what it is for; becomes the actor `operator:<label>`.
    pub label: String,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
}

/// An operator key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorKey {
    /// `key_…`.
    pub key_id: String,
    /// Who or what it is for.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to about a minute.
    pub last_used_at: Option<Timestamp>,
}

/// A new operator key with its secret, which is shown once.
#[derive(Debug, Clone)]
pub struct CreatedOperator {
    /// The key.
    pub key: OperatorKey,
    /// The secret (`tgo_…`).
    pub secret: SecretString,
}

/// Makes an operator key.
///
/// # Errors
/// [`Error::Invalid`] for a label or an end that breaks its rule.
pub async fn create_operator(
    engine: &Engine,
    scope: &OperatorScope,
    create: CreateOperator,
) -> Result<CreatedOperator, Error> {
    orgs::check_name("label", &create.label).map_err(invalid_name)?;
    if create.expires_at.is_some_and(|at| at <= engine.now()) {
        return Err(Error::Invalid { field: "expiresAt", rule: "in the future".to_owned() });
    }
    let secret = secrets::generate("tgo_", &engine.clock().entropy);
    let key = OperatorKey {
        key_id: engine.new_id("key_"),
        label: create.label,
        created_at: engine.now(),
        expires_at: create.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let (task, of, hash, new) = (engine.clone(), scope.clone(), secrets::stored(&secret), key.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::insert_operator(&mut tx, &new, &hash).await?;
        let after = json!({ "label": new.label, "expiresAt": new.expires_at });
        audit::append(&task, &mut tx, audit::Entry::server(&of, "operator_keys.create", new.key_id).after(after))
            .await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    Ok(CreatedOperator { key, secret })
}

/// The operator's keys, newest first, at most 200.
///
/// # Errors
/// The database's.
pub async fn list_operators(engine: &Engine, _scope: &OperatorScope) -> Result<Vec<OperatorKey>, Error> {
    let mut connection = engine.db().read().await?;
    Ok(sql::list_operators(&mut connection).await?)
}

/// Revokes an operator key. The same again changes nothing.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn revoke_operator(engine: &Engine, scope: &OperatorScope, key_id: &str) -> Result<(), Error> {
    let (task, of, id) = (engine.clone(), scope.clone(), key_id.to_owned());
    let write = async move {
        let now = task.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        if !sql::operator_exists(&mut tx, &id).await? {
            return Err(Error::NotFound);
        }
        if sql::revoke_operator(&mut tx, &id, now).await? {
            let entry = audit::Entry::server(&of, "operator_keys.revoke", id).after(json!({ "revokedAt": now }));
            audit::append(&task, &mut tx, entry).await?;
        }
        Ok(tx.commit().await?)
    };
    engine.db().detached(write).await?;
    engine.credentials().forget_key(key_id);
    Ok(())
}
