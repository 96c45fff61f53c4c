//! Deletes what is older than its table's retention, in small transactions. Each table's comment says how long it is kept.

use std::time::Duration;

use tollgate_rules::time::Timestamp;

use crate::db::{Error, Lane, Tx};
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};
use crate::{
    accounts, activation, checkouts, erasure, idempotency, inbox, incidents, jobs, mail, members, notices, operations,
    operators, outgoing, quotes, tokens,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is swept.
#[derive(Debug, Clone, Copy)]
enum Table {
    Jobs,
    Operations,
    IdempotencyKeys,
    Inbox,
    Mail,
    ActivationCodes,
    DeviceCodes,
    RefreshTokens,
    TokenFamilies,
    Quotes,
    AccountCodes,
    Attempts,
    Sessions,
    OperatorSessions,
    Invitations,
    OutgoingMessages,
    Incidents,
    Checkouts,
    Notices,
    Proofs,
}

/// One sweep over all tables; the job runs again in an hour. Ages are wall time: advancing the sandbox's clock erases nothing.
pub(crate) async fn sweep(engine: &Engine) -> Result<Outcome, Failure> {
    for table in [Table::Jobs, Table::Operations, Table::IdempotencyKeys, Table::Inbox, Table::Mail]
        .into_iter()
        .chain([Table::ActivationCodes, Table::DeviceCodes, Table::RefreshTokens, Table::TokenFamilies, Table::Quotes])
        .chain([Table::AccountCodes, Table::Attempts, Table::Sessions, Table::OperatorSessions, Table::Invitations])
        .chain([Table::OutgoingMessages, Table::Incidents, Table::Checkouts, Table::Notices, Table::Proofs])
    {
        batches(engine, table).await?;
    }
    erasure::due(engine).await?;
    Ok(Outcome::Again { at: engine.now().plus(Duration::from_secs(3600)) })
}

/// Deletes batch after batch until one is not full, each in its own transaction, at most a thousand of them.
async fn batches(engine: &Engine, table: Table) -> Result<(), Error> {
    let wall = engine.clock().wall.now();
    for _ in 0..1_000 {
        let task = engine.clone();
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            let deleted = delete(&task, &mut tx, table, wall).await?;
            tx.commit().await?;
            Ok::<_, Error>(deleted)
        };
        let deleted = engine.db().detached(write).await?;
        if i64::try_from(deleted).unwrap_or(i64::MAX) < engine.limits().control_rows_max {
            return Ok(());
        }
    }
    Ok(())
}

async fn delete(engine: &Engine, tx: &mut Tx, table: Table, wall: Timestamp) -> Result<u64, Error> {
    let rows = engine.limits().control_rows_max;
    // What carries business time is old by the clock that is behind.
    let both = wall.min(engine.now());
    match table {
        Table::Jobs => jobs::sql::delete_old(tx, wall.minus(DAY * 7), wall.minus(DAY * 90), rows).await,
        Table::Operations => operations::sql::delete_old(tx, wall.minus(DAY * 400), rows).await,
        Table::IdempotencyKeys => {
            idempotency::sql::delete_old(tx, wall.minus(engine.limits().idempotency_retention), rows).await
        }
        Table::OutgoingMessages => outgoing::sql::forget_old(tx, both.minus(DAY * 30), rows).await,
        Table::Incidents => incidents::sql::forget_old(tx, both.minus(DAY * 400), rows).await,
        Table::Checkouts => checkouts::sql::delete_old(tx, both.minus(DAY * 400), rows).await,
        Table::Notices => notices::sql::delete_old(tx, both.minus(DAY * 400), rows).await,
        Table::Inbox => inbox::sql::forget_old(tx, wall.minus(DAY * 90), rows).await,
        Table::Mail => mail::sql::delete_old(tx, wall.minus(DAY * 30), rows).await,
        Table::ActivationCodes => activation::sql::forget_codes(tx, both.minus(DAY), rows).await,
        Table::DeviceCodes => activation::sql::devices::forget(tx, both.minus(DAY), rows).await,
        Table::RefreshTokens => activation::sql::families::forget_tokens(tx, both.minus(DAY * 90), rows).await,
        Table::TokenFamilies => activation::sql::families::forget_families(tx, both.minus(DAY * 90), rows).await,
        Table::Quotes => quotes::sql::delete_old(tx, wall.minus(DAY * 30), rows).await,
        Table::AccountCodes => accounts::sql::delete_old_codes(tx, both.minus(DAY * 7), rows).await,
        Table::Attempts => accounts::sql::delete_old_attempts(tx, wall.minus(DAY * 2), rows).await,
        Table::Sessions => accounts::sql::sessions::delete_old(tx, wall.minus(DAY * 30), rows).await,
        Table::Proofs => tokens::sql::forget_proofs(tx, wall.minus(tokens::dpop::KEPT), rows).await,
        Table::OperatorSessions => operators::sql::forget(tx, wall.minus(DAY * 30), rows).await,
        Table::Invitations => members::sql::invitations::forget_addresses(tx, both.minus(DAY * 90), rows).await,
    }
}
