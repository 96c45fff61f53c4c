//! Erases for good what was closed thirty days ago: people and orgs. Tables: those of people, and every one that holds what an org
//! or a person said, was called or was written to.
//!
//! Words: *closing* is soft (an operator can undo it while its days run); *erasing* is what happens after.
//!
//! What stands outside goes first, by operations that go on after a crash: the org's customer at billing is deleted (billing keeps the
//! invoices, as it must), an address that invoices went to is taken off. Where Clerk keeps the users, nobody is deleted there: Tollgate makes
//! no users at Clerk, and an organization there may serve other apps; deleting them there is told to us and closes them here.
//!
//! Invariants: an erased person's or org's personal values are in no table; ids stay, as pseudonyms; the ledger, the invoices and
//! the chain of the audit journal stay whole. The row that says "erased" is written last, in a transaction of its own, so that
//! erasing goes on after a crash; each transaction touches few rows.

mod org;
mod outside;
mod person;
mod sql;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tollgate_rules::time::Timestamp;

use crate::db::{Error, Statement};
use crate::engine::Engine;

/// Every statement here.
pub(crate) use sql::ALL;
pub(crate) use sql::org::OF_ORG;
pub(crate) use sql::person::{OF_ADDRESS, OF_PERSON};

pub(crate) use outside::{advance_delete, advance_forget};

/// How long what is closed can be opened again.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// For how long billing may go on telling about the customer of an erased org: deliveries are kept no longer.
const LATE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Erased in one turn of the job, of each kind.
const TURN: i64 = 100;

/// Erases what is due; the job of retention calls it.
pub(crate) async fn due(engine: &Engine) -> Result<(), Error> {
    // What carries business time is old by the clock that is behind: advancing the sandbox's clock alone erases nothing early.
    let before = engine.now().min(engine.clock().wall.now()).minus(KEPT);
    for person in sql::people_due(&mut engine.db().read().await?, before, TURN).await? {
        person::erase(engine, &person).await?;
    }
    for org_key in sql::orgs_due(&mut engine.db().read().await?, before, TURN).await? {
        org::erase(engine, org_key).await?;
    }
    late_deliveries(engine).await
}

/// What came in about orgs after they were erased.
async fn late_deliveries(engine: &Engine) -> Result<(), Error> {
    let task = engine.clone();
    let write = async move {
        let since = task.now().minus(LATE);
        let mut tx = task.db().begin(crate::db::Lane::Control).await?;
        sql::late_deliveries(&mut tx, since, task.limits().control_rows_max).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// Whether what was closed then can be opened again.
pub(crate) fn can_be_undone(engine: &Engine, closed_at: Option<Timestamp>) -> bool {
    closed_at.is_some_and(|at| engine.now() < at.plus(KEPT))
}

/// Runs a statement again and again, each time in a transaction of its own, until it finds less than a full batch.
async fn batches(engine: &Engine, statement: &'static Statement, subject: sql::Subject) -> Result<(), Error> {
    loop {
        let (task, of) = (engine.clone(), subject.clone());
        let write = async move {
            let mut tx = task.db().begin(crate::db::Lane::Control).await?;
            let touched = sql::run(&mut tx, statement, &of, task.limits().control_rows_max).await?;
            tx.commit().await?;
            Ok::<_, Error>(touched)
        };
        let touched = engine.db().detached(write).await?;
        if i64::try_from(touched).unwrap_or(i64::MAX) < engine.limits().control_rows_max {
            return Ok(());
        }
    }
}
