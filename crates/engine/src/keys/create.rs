//! Makes a key for an org.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::json;

use tollgate_rules::access::{Scope, role_may_issue};
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{KeyId, Metric};
use tollgate_rules::time::Timestamp;

use super::{Created, Error, Key, Share, quota, sql};
use crate::access::{Caller, OrgScope};
use crate::audit;
use crate::db::{self, Tx};
use crate::engine::Engine;
use crate::{orgs, secrets};

/// A new key.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// What people call it.
    pub name: String,
    /// What it may be used for; left out, [`Scope::DEFAULT`].
    pub scopes: Option<Vec<Scope>>,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
    /// Units it may use of each metric in a period; a metric that is not named is bounded by the org's allowance only.
    pub quota: BTreeMap<String, i64>,
}

/// Makes a key. `caller` is who asks: a key cannot make one that may do more than itself.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Escalation`], [`Error::TooMany`], [`Error::TooManyQuotas`].
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
    may_hold(caller, scope, &scopes)?;
    if !quota::may_grant(caller) {
        return Err(Error::Escalation);
    }
    let quota = quota::checked(engine, &create.quota)?;
    let new =
        NewKey::make(engine, Wanted { name: create.name, scopes, expires_at: create.expires_at, line: None, quota })?;
    let (task, of) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        check_room(&task, &mut tx, &of).await?;
        new.store_quota(&task, &mut tx, &of).await?;
        new.store(&task, &mut tx, &of, "keys.create").await?;
        tx.commit().await?;
        Ok::<_, Error>(new.into_created())
    };
    let created = engine.db().detached(write).await?;
    if !created.key.quota.is_empty() {
        // What is known of the org's slices lacks this one.
        engine.ledger().forget(scope.org_key());
    }
    Ok(created)
}

/// Nobody grants more than they hold.
///
/// # Errors
/// [`Error::Escalation`].
pub(super) fn may_hold(caller: &Caller, scope: &OrgScope, scopes: &[Scope]) -> Result<(), Error> {
    let lacks = |own: &[Scope]| scopes.iter().any(|asked| !own.contains(asked));
    let above = || scopes.iter().any(|asked| !role_may_issue(scope.role(), *asked));
    if caller.scopes().is_some_and(lacks) || caller.user_id().is_some() && above() {
        return Err(Error::Escalation);
    }
    Ok(())
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

/// What a key is to be.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) expires_at: Option<Timestamp>,
    /// The line it continues; its own when left out.
    pub(super) line: Option<KeyId>,
    pub(super) quota: BTreeMap<Metric, Share>,
}

/// A key that is not stored yet.
pub(super) struct NewKey {
    pub(super) key: Key,
    secret: SecretString,
}

impl NewKey {
    pub(super) fn make(engine: &Engine, wanted: Wanted) -> Result<NewKey, Error> {
        let secret = secrets::generate(engine.key_environment().prefix(), &engine.clock().entropy);
        let key_id = KeyId::parse(&engine.new_id("key_")).map_err(|error| db::Error::Bug(error.to_string()))?;
        let key = Key {
            line: wanted.line.unwrap_or_else(|| key_id.clone()),
            key_id,
            name: wanted.name,
            hint: secrets::hint(&secret),
            scopes: wanted.scopes,
            created_at: engine.now(),
            expires_at: wanted.expires_at,
            revoked_at: None,
            rotated_to: None,
            last_used_at: None,
            quota: wanted.quota,
        };
        Ok(NewKey { key, secret })
    }

    /// Writes down what the line may use; keys that follow it by rotation find it there.
    async fn store_quota(&self, engine: &Engine, tx: &mut Tx, scope: &OrgScope) -> Result<(), Error> {
        if self.key.quota.is_empty() {
            return Ok(());
        }
        quota::check_room(engine, tx, scope).await?;
        for (metric, share) in &self.key.quota {
            sql::quotas::insert(tx, scope, &self.key.line, (metric, share.units)).await?;
        }
        Ok(())
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
        let quota: BTreeMap<&str, i64> =
            self.key.quota.iter().map(|(metric, share)| (metric.as_str(), share.units)).collect();
        let after =
            json!({ "name": self.key.name, "scopes": scopes, "expiresAt": self.key.expires_at, "quota": quota });
        audit::append(engine, tx, audit::Entry::of(scope, action, self.key.key_id.as_str()).after(after)).await?;
        Ok(())
    }

    pub(super) fn into_created(self) -> Created {
        Created { key: self.key, secret: self.secret }
    }
}
