//! Answers kept under the caller's `Idempotency-Key`. Table `idempotency_keys`.
//!
//! The first call under a key runs; the same call again gets the stored answer; another body under the key is refused; while the
//! first still runs the second is told so. A run that crashed gives its key free when its lease ends.
//! Keys belong to the caller (an org's key, or the operator), so that two callers never meet. Usage repeats go by `request_id` instead.
//!
//! Invariant: an answer is stored only by the run that holds the key's epoch.

pub(crate) mod sql;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use crate::access::Caller;
use crate::clock::hex;
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// A call under a key.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The caller's key (1 to 255 bytes).
    pub key: &'a str,
    /// Which operation: method and route.
    pub route: &'a str,
    /// The body as it came.
    pub body: &'a [u8],
}

/// What a call under a key may do.
#[derive(Debug)]
pub enum Begun {
    /// It runs; give its answer to [`finish`], or the key to [`abandon`].
    Run(Ticket),
    /// It ran before: this was the answer.
    Replay(Stored),
    /// The key was used for another call.
    Reused,
    /// The first call under the key still runs.
    Running,
}

/// The right to store the answer of a run.
#[derive(Debug, Clone)]
pub struct Ticket {
    owner: Owner,
    key: String,
    epoch: i64,
}

#[derive(Debug, Clone)]
struct Owner {
    org_key: i64,
    actor: String,
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its status.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

/// Begins a call under a key.
///
/// # Errors
/// The database's: then the call must not run.
pub async fn begin(engine: &Engine, caller: &Caller, call: Call<'_>) -> Result<Begun, Error> {
    let owner = owner(caller);
    let request_hash = request_hash(&call);
    let (task, key) = (engine.clone(), call.key.to_owned());
    let write = async move {
        let wall = task.clock().wall.now();
        let lease_until = wall.plus(task.limits().idempotency_lease);
        let mut tx = task.db().begin(Lane::Control).await?;
        let row = sql::NewRun {
            org_key: owner.org_key,
            actor: &owner.actor,
            key: &key,
            request_hash: &request_hash,
            lease_until,
            at: wall,
        };
        if sql::insert(&mut tx, &row).await? {
            tx.commit().await?;
            return Ok(Begun::Run(Ticket { owner, key, epoch: 1 }));
        }
        let Some(found) = sql::lock(&mut tx, owner.org_key, &owner.actor, &key).await? else {
            // It was swept away between the two statements; the caller's next try finds it free.
            return Ok(Begun::Running);
        };
        if found.request_hash != request_hash {
            return Ok(Begun::Reused);
        }
        if let Some(answer) = found.answer {
            return Ok(Begun::Replay(answer));
        }
        if found.lease_until >= wall.minus(task.limits().clock_skew) {
            return Ok(Begun::Running);
        }
        let epoch = found.epoch + 1;
        sql::take(&mut tx, &row, epoch).await?;
        tx.commit().await?;
        Ok(Begun::Run(Ticket { owner, key, epoch }))
    };
    engine.db().detached(write).await
}

/// Stores the answer of a run. Where the run's lease was taken over meanwhile, the other run's answer counts.
///
/// # Errors
/// The database's; the key comes free when the lease ends.
pub async fn finish(engine: &Engine, ticket: Ticket, answer: Stored) -> Result<(), Error> {
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::finish(&mut tx, &ticket, &answer).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// Gives the key free, because the run changed nothing and may be tried again (overload, an outage, a refusal before any effect).
///
/// # Errors
/// The database's; the key comes free when the lease ends.
pub async fn abandon(engine: &Engine, ticket: Ticket) -> Result<(), Error> {
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::abandon(&mut tx, &ticket).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}

fn owner(caller: &Caller) -> Owner {
    let org_key = caller.own_org().map_or(0, |org| org.key.0);
    Owner { org_key, actor: caller.actor() }
}

fn request_hash(call: &Call<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(call.route.as_bytes());
    hash.update([0]);
    hash.update(call.body);
    hex(&hash.finalize())
}
