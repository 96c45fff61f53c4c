//! Statements about the outbox.

use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &WAITING, &FINISH, &DELETE_OLD];

const INSERT: Statement = Statement::new(
    "mail.insert",
    "INSERT INTO mail_outbox (mail_id, org_key, state, sealed, created_at)
     VALUES ($1, $2, 'queued', $3, $4)",
);

/// A letter that waits.
pub(super) struct NewMail<'a> {
    pub(super) mail_id: &'a str,
    pub(super) org_key: Option<i64>,
    pub(super) sealed: &'a str,
    pub(super) at: Timestamp,
}

pub(super) async fn insert(tx: &mut Tx, mail: &NewMail<'_>) -> Result<(), Error> {
    let args = [mail.mail_id.into(), mail.org_key.into(), mail.sealed.into(), mail.at.into()];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const WAITING: Statement =
    Statement::new("mail.waiting", "SELECT sealed FROM mail_outbox WHERE mail_id = $1 AND state = 'queued'");

/// What the letter says, sealed; nothing when it was sent or given up.
pub(super) async fn waiting(connection: &mut Connection, mail_id: &str) -> Result<Option<String>, Error> {
    let row = connection.optional(&WAITING, &[mail_id.into()]).await?;
    row.map(|row| row.text("sealed")).transpose()
}

const FINISH: Statement = Statement::new(
    "mail.finish",
    "UPDATE mail_outbox SET state = $2, sealed = NULL, finished_at = $3 WHERE mail_id = $1 AND state = 'queued'",
);

pub(super) async fn finish(tx: &mut Tx, mail_id: &str, state: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&FINISH, &[mail_id.into(), state.into(), at.into()]).await.map(|_| ())
}

const DELETE_OLD: Statement = Statement::new(
    "mail.delete_old",
    "DELETE FROM mail_outbox WHERE mail_id IN (
       SELECT mail_id FROM mail_outbox WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
);

/// Forgets letters created before `before`.
pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), rows.into()]).await
}
