//! The operator's endpoints: made, changed, listed, deleted.

use secrecy::SecretString;
use serde_json::json;

use tollgate_connectors::outgoing::guard;
use tollgate_rules::time::Timestamp;

use super::{Endpoint, Error, KINDS, State, new_secret, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::{self, Lane};
use crate::engine::Engine;

/// An endpoint that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Where to.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which messages; all where there is none.
    pub kinds: Vec<String>,
}

/// A new endpoint with its secret, which is shown this once.
#[derive(Debug, Clone)]
pub struct Created {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What its messages are signed with.
    pub secret: SecretString,
}

/// What changes; nothing said leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Where to.
    pub url: Option<String>,
    /// Which messages.
    pub kinds: Option<Vec<String>>,
    /// Whether it is told.
    pub enabled: Option<bool>,
}

/// Makes an endpoint; it is told of what happens from now on.
///
/// # Errors
/// [`Error::BadUrl`], [`Error::BadKind`], [`Error::TooMany`].
pub async fn create(engine: &Engine, scope: &OperatorScope, new: NewEndpoint) -> Result<Created, Error> {
    check(engine, Some(&new.url), &new.kinds)?;
    let secret = new_secret(engine);
    let now = engine.now();
    let endpoint = Endpoint {
        endpoint_id: engine.new_id("we_"),
        url: new.url,
        description: new.description,
        kinds: new.kinds,
        state: State::Enabled,
        secret: secret.clone(),
        former: None,
        failing_since: None,
        held_until: Timestamp::from_micros(0),
        created_at: now,
    };
    let (task, by, row) = (engine.clone(), scope.clone(), endpoint.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let most = task.limits().outside.endpoints_max;
        if sql::endpoint_count(&mut tx).await? >= most {
            return Err(Error::TooMany(most));
        }
        sql::insert_endpoint(&mut tx, &task, &row).await?;
        let entry = audit::Entry::server(&by, "webhooks.endpoints.create", &row.endpoint_id);
        audit::append(&task, &mut tx, entry.after(audited(&row))).await?;
        tx.commit().await?;
        Ok(())
    };
    engine.db().detached(write).await?;
    Ok(Created { endpoint, secret })
}

/// All endpoints, newest first; their secrets stay inside.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, _scope: &OperatorScope) -> Result<Vec<Endpoint>, Error> {
    Ok(sql::endpoints(&mut engine.db().read().await?, engine.sealer()).await?)
}

/// Changes an endpoint. One that is enabled again goes on where it stopped.
///
/// # Errors
/// [`Error::NotFound`], [`Error::BadUrl`], [`Error::BadKind`].
pub async fn update(
    engine: &Engine,
    scope: &OperatorScope,
    endpoint_id: &str,
    change: Change,
) -> Result<Endpoint, Error> {
    check(engine, change.url.as_deref(), change.kinds.as_deref().unwrap_or_default())?;
    let (task, by, id) = (engine.clone(), scope.clone(), endpoint_id.to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let before = sql::endpoint(&mut tx, task.sealer(), &id).await?.ok_or(Error::NotFound)?;
        let mut after = before.clone();
        if let Some(url) = change.url {
            after.url = url;
        }
        if let Some(kinds) = change.kinds {
            after.kinds = kinds;
        }
        match change.enabled {
            Some(true) => {
                after.state = State::Enabled;
                after.failing_since = None;
                after.held_until = Timestamp::from_micros(0);
            }
            Some(false) => after.state = State::Disabled,
            None => {}
        }
        sql::put_endpoint(&mut tx, &task, &after).await?;
        let entry = audit::Entry::server(&by, "webhooks.endpoints.update", &id);
        audit::append(&task, &mut tx, entry.before(audited(&before)).after(audited(&after))).await?;
        tx.commit().await?;
        Ok(after)
    };
    engine.db().detached(write).await
}

/// Deletes an endpoint with what was on its way to it.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn delete(engine: &Engine, scope: &OperatorScope, endpoint_id: &str) -> Result<(), Error> {
    let (task, by, id) = (engine.clone(), scope.clone(), endpoint_id.to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let before = sql::endpoint(&mut tx, task.sealer(), &id).await?.ok_or(Error::NotFound)?;
        sql::delete_endpoint(&mut tx, &id).await?;
        let entry = audit::Entry::server(&by, "webhooks.endpoints.delete", &id);
        audit::append(&task, &mut tx, entry.before(audited(&before))).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    engine.db().detached(write).await
}

fn check(engine: &Engine, url: Option<&str>, kinds: &[String]) -> Result<(), Error> {
    if let Some(url) = url {
        guard::check(url, engine.outgoing().sender.reach())?;
    }
    match kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        Some(kind) => Err(Error::BadKind(kind.clone())),
        None => Ok(()),
    }
}

/// What the audit keeps of an endpoint; a path may hold a token.
pub(super) fn audited(endpoint: &Endpoint) -> serde_json::Value {
    let host = endpoint.url.split('/').nth(2).unwrap_or_default();
    json!({ "host": host, "kinds": endpoint.kinds, "state": endpoint.state.as_str() })
}

/// Disables an endpoint that cannot be told any more.
pub(super) async fn disable(engine: &Engine, tx: &mut db::Tx, endpoint: &Endpoint) -> Result<(), db::Error> {
    let after = Endpoint { state: State::Disabled, ..endpoint.clone() };
    sql::put_endpoint(tx, engine, &after).await
}
