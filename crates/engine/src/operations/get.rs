//! Shows one operation to its org.

use tollgate_rules::ids::{OperationId, OrgId};
use tollgate_rules::time::Timestamp;

use super::run::KEYS;
use super::{Code, State, sql};
use crate::access::{OperatorScope, OrgScope};
use crate::db::Error;
use crate::engine::Engine;

/// An operation as its org sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `op_…`.
    pub operation_id: OperationId,
    /// What it changes, as a word.
    pub kind: &'static str,
    /// Where it is.
    pub state: State,
    /// The steps that are over.
    pub steps: Vec<String>,
    /// Why it was refused, with words for the caller.
    pub refusal: Option<(Code, String)>,
    /// Tries so far.
    pub attempts: i64,
    /// When it was begun (wall clock).
    pub created_at: Timestamp,
}

/// The operation; none when there is none of this id in the org.
///
/// # Errors
/// The database's.
pub async fn get(engine: &Engine, scope: &OrgScope, operation_id: &OperationId) -> Result<Option<Shown>, Error> {
    let mut connection = engine.read_for(scope).await?;
    let found = sql::by_id(&mut connection, scope.org_key(), operation_id).await?;
    Ok(found.map(|operation| Shown {
        operation_id: operation.operation_id,
        kind: operation.kind.as_str(),
        state: operation.state,
        steps: operation.steps.keys().filter(|name| *name != KEYS).cloned().collect(),
        refusal: operation.refusal,
        attempts: operation.attempts,
        created_at: operation.created_at,
    }))
}

/// Whose operation this is: an operator names one without its org. None when there is none of this id.
///
/// # Errors
/// The database's.
pub async fn org_of(engine: &Engine, _: &OperatorScope, operation_id: &OperationId) -> Result<Option<OrgId>, Error> {
    sql::org_of(&mut engine.db().read().await?, operation_id).await
}
