//! Check: whether units would pass. Answered from memory, changes nothing.

use tollgate_rules::ledger::{self as rules, Check, Checked, Outcome};

use super::receipt::Signed;
use super::{Error, standing};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Whether the units would pass now. A denial is an answer; nothing is written either way.
///
/// On one node the answer is that of the last commit; on several it may be older by the time a standing is kept (1 s).
///
/// # Errors
/// [`Error::Refused`] for an unknown metric, [`Error::Unavailable`] when the org is not in memory and cannot be read.
pub async fn check(engine: &Engine, scope: &OrgScope, check: Check) -> Result<Signed<Outcome<Checked>>, Error> {
    let standing = standing::current(engine, scope).await?;
    let answer = rules::check(&standing, &check, scope.slice(), engine.now())?;
    Ok(engine.ledger().signed(scope, "check", answer))
}
