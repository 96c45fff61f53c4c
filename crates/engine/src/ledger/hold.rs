//! Reserve, settle, release, extend: one function each.

use tollgate_rules::ids::{HoldId, Metric, OrgId, RequestId};
use tollgate_rules::ledger::{
    Answer, Command, Extend, HoldAnswer, HoldTtl, Outcome, Release, Reserve, Reserved, Settle,
};
use tollgate_rules::quantity::Units;

use super::receipt::Signed;
use super::{Error, commit, sql};
use crate::access::{OperatorScope, OrgScope};
use crate::engine::Engine;

/// A hold to be taken; its id is made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// The caller's name of this usage, unique in the org.
    pub request_id: RequestId,
    /// What is held.
    pub metric: Metric,
    /// How many.
    pub units: Units,
    /// For how long.
    pub ttl: HoldTtl,
    /// Where it came from (`api`).
    pub source: String,
}

/// Takes a hold. Durable when it returns; a repeat gets the first answer with the first hold.
///
/// # Errors
/// As [`super::record`].
pub async fn reserve(engine: &Engine, scope: &OrgScope, hold: NewHold) -> Result<Signed<Outcome<Reserved>>, Error> {
    let hold_id = HoldId::parse(&engine.new_id("hold_")).expect("an id of ours keeps the rules of ids");
    let NewHold { request_id, metric, units, ttl, source } = hold;
    let command = Command::Reserve(Reserve { request_id, hold_id, metric, units, ttl, source });
    match commit::one(engine, scope, command).await? {
        Answer::Reserved(answer) => Ok(engine.ledger().signed(scope, "reserve", answer)),
        other => Err(commit::wrong_answer(&other)),
    }
}

/// Charges a hold; never refused for quota.
///
/// # Errors
/// [`Error::Refused`] with `HoldNotFound` or `HoldEnded`; [`Error::Overloaded`], [`Error::Unavailable`].
pub async fn settle(engine: &Engine, scope: &OrgScope, settle: Settle) -> Result<Signed<HoldAnswer>, Error> {
    end(engine, scope, "settle", Command::Settle(settle)).await
}

/// Frees a hold.
///
/// # Errors
/// As [`settle`].
pub async fn release(engine: &Engine, scope: &OrgScope, release: Release) -> Result<Signed<HoldAnswer>, Error> {
    end(engine, scope, "release", Command::Release(release)).await
}

/// Prolongs a hold to `ttl` from now; never shortens it.
///
/// # Errors
/// As [`settle`].
pub async fn extend(engine: &Engine, scope: &OrgScope, extend: Extend) -> Result<Signed<HoldAnswer>, Error> {
    end(engine, scope, "extend", Command::Extend(extend)).await
}

/// Whose hold this is: an operator names a hold without its org.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unavailable`].
pub async fn org_of_hold(engine: &Engine, _: &OperatorScope, hold_id: &HoldId) -> Result<OrgId, Error> {
    let mut connection = engine.db().read().await?;
    sql::org_of_hold(&mut connection, hold_id).await?.ok_or(Error::NotFound("hold"))
}

async fn end(
    engine: &Engine,
    scope: &OrgScope,
    verb: &'static str,
    command: Command,
) -> Result<Signed<HoldAnswer>, Error> {
    match commit::one(engine, scope, command).await? {
        Answer::Hold(answer) => Ok(engine.ledger().signed(scope, verb, answer)),
        other => Err(commit::wrong_answer(&other)),
    }
}
