//! Makes a key for an org.

use secrecy::SecretString;
use serde_json::json;

use tollgate_rules::access::{Scope, role_may_issue};
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::KeyId;
use tollgate_rules::time::Timestamp;

use super::{Created, Error, Key, sql};
use crate::access::{Caller, OrgScope};
use crate::audit;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;
use crate::{orgs, secrets};

/// A new key.
#[derive(Debug, Clone)]
pub struct Create {
    /// What people call it.
    pub name: String,
    /// What it may be used for; left out, [`Scope::DEFAULT`].
    pub scopes: Option<Vec<Scope>>,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
}

/// Makes a key. `caller` is who asks: a key cannot make one that may do more than itself.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Escalation`], [`Error::TooMany`].
pub async fn create(engine: &Engine, caller: &Caller, scope: &OrgScope, create: Create) -> Result<Created, Error> {
    let mut scopes = create.scopes.unwrap_or_else(|| Scope::DEFAULT.to_vec());
    scopes.sort_unstable();
    scopes.dedup();
    orgs::check_name("name", &create.name).map_err(invalid_name)?;
    if scopes.is_empty() {
        return Err(Error::Invalid { field: "scopes", rule: "at least one".to_owned() });
    }
    if create.expires_at.is_some_and(|at| at <= engine.now()) {
        return Err(Error::Invalid { field: "expiresAt", rule: "in the future".to_owned() });
    }
    if let Some(own) = caller.scopes()
        && scopes.iter().any(|asked| !own.contains(asked))
    {
        return Err(Error::Escalation);
    }
    if caller.user_id().is_some() && scopes.iter().any(|asked| !role_may_issue(scope.role(), *asked)) {
        return Err(Error::Escalation);
    }
    let new = NewKey::make(engine, create.name, scopes, create.expires_at)?;
    let (task, of) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        check_room(&task, &mut tx, &of).await?;
        new.store(&task, &mut tx, &of, "keys.create").await?;
        tx.commit().await?;
        Ok::<_, Error>(new.into_created())
    };
    engine.db().detached(write).await
}

pub(super) fn invalid_name(error: orgs::Error) -> Error {
    match error {
        orgs::Error::Invalid { field, rule } => Error::Invalid { field, rule },
        other => Error::Database(db::Error::Bug(other.to_string())),
    }
}

/// Locks the org: one that is closed, or has as many keys as it may, gets none.
pub(super) async fn check_room(engine: &Engine, tx: &mut Tx, scope: &OrgScope) -> Result<(), Error> {
    let org = orgs::sql::lock(tx, scope).await?.ok_or(Error::NotFound)?;
    if org.status == OrgStatus::Closed {
        return Err(Error::Closed);
    }
    let live = sql::live_count(tx, scope, engine.now()).await?;
    if live >= engine.limits().keys_per_org_max {
        return Err(Error::TooMany(live));
    }
    Ok(())
}

/// A key that is not stored yet.
pub(super) struct NewKey {
    pub(super) key: Key,
    secret: SecretString,
}

impl NewKey {
    pub(super) fn make(
        engine: &Engine,
        name: String,
        scopes: Vec<Scope>,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, Error> {
        let secret = secrets::generate(engine.key_environment().prefix(), &engine.clock().entropy);
        let key_id = KeyId::parse(&engine.new_id("key_")).map_err(|error| db::Error::Bug(error.to_string()))?;
        let key = Key {
            key_id,
            name,
            hint: secrets::hint(&secret),
            scopes,
            created_at: engine.now(),
            expires_at,
            revoked_at: None,
            rotated_to: None,
            last_used_at: None,
        };
        Ok(NewKey { key, secret })
    }

    pub(super) async fn store(
        &self,
        engine: &Engine,
        tx: &mut Tx,
        scope: &OrgScope,
        action: &'static str,
    ) -> Result<(), Error> {
        sql::insert(tx, scope, &self.key, &secrets::stored(&self.secret)).await?;
        let scopes: Vec<&str> = self.key.scopes.iter().map(|scope| scope.as_str()).collect();
        let after = json!({ "name": self.key.name, "scopes": scopes, "expiresAt": self.key.expires_at });
        audit::append(engine, tx, audit::Entry::of(scope, action, self.key.key_id.as_str()).after(after)).await?;
        Ok(())
    }

    pub(super) fn into_created(self) -> Created {
        Created { key: self.key, secret: self.secret }
    }
}
