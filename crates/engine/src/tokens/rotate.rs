//! Tends the ring: there is always a key that signs and a next one that is published already; old ones go.

use std::time::Duration;

use serde_json::json;

use tollgate_rules::time::Timestamp;

use super::{Error, ring, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a key signs.
const SIGNS_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long the next key is published before it signs when an operator wants it now: longer than any cache of the key set.
const PUBLISHED_BEFORE: Duration = Duration::from_secs(3600);
/// How long a key stays published after its successor signs: longer than any token.
const PUBLISHED_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Tends the ring every hour.
pub(crate) async fn job(engine: &Engine) -> Result<Outcome, Failure> {
    tend(engine).await?;
    super::hear(engine).await?;
    Ok(Outcome::Again { at: engine.now().plus(Duration::from_secs(3600)) })
}

/// Makes what keys are missing and forgets what keys nobody needs; reads the ring. Of two nodes that do it together, one wins.
pub(crate) async fn tend(engine: &Engine) -> Result<(), db::Error> {
    ring::read(engine).await?;
    let now = engine.clock().wall.now();
    let keys = engine.tokens().ring.all();
    let newest = keys.last();
    let mut missing = Vec::new();
    let mut generation = newest.map_or(0, |key| key.generation);
    if engine.tokens().ring.signer(now).is_none() {
        generation += 1;
        missing.push(ring::made(engine, generation, now));
    }
    if !missing.is_empty() || newest.is_none_or(|key| key.signs_from <= now) {
        generation += 1;
        missing.push(ring::made(engine, generation, now.plus(SIGNS_FOR)));
    }
    let current = keys.iter().rev().find(|key| key.signs_from <= now);
    let old = current.filter(|key| key.signs_from.plus(PUBLISHED_AFTER) <= now).map_or(0, |key| key.generation);
    if missing.is_empty() && keys.iter().all(|key| key.generation >= old) {
        return Ok(());
    }
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        for key in &missing {
            sql::insert_signing_key(&mut tx, key, now).await?;
        }
        sql::forget_signing_keys(&mut tx, old).await?;
        sql::forget_refusals(&mut tx, now.minus(DAY)).await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    ring::read(engine).await
}

/// Lets the next key sign within the hour: every cache of the key set has it by then. Returns when.
///
/// # Errors
/// The database's.
pub async fn rotate(engine: &Engine, scope: &OperatorScope) -> Result<Timestamp, Error> {
    tend(engine).await?;
    let now = engine.clock().wall.now();
    let soon = now.plus(PUBLISHED_BEFORE);
    let keys = engine.tokens().ring.all();
    let next = keys.last().cloned().ok_or(Error::NoKey)?;
    if next.signs_from <= soon {
        return Ok(next.signs_from);
    }
    let (task, of) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::sign_from(&mut tx, next.generation, soon).await?;
        let entry = audit::Entry::server(&of, "signing_keys.rotate", next.kid.clone());
        let entry = entry.before(json!({ "signsFrom": next.signs_from })).after(json!({ "signsFrom": soon }));
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    ring::read(engine).await?;
    Ok(soon)
}
