//! Puts a letter into the outbox, in the transaction of the change it tells about.

use tollgate_connectors::mail::Letter;
use tollgate_rules::ids::OrgKey;

use super::sql;
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::jobs;

/// What sealed letters are sealed for.
pub(super) const PURPOSE: &str = "mail";

/// A letter to one person.
#[derive(Debug)]
pub struct Queued<'a> {
    /// The address.
    pub to: &'a str,
    /// Of which org it tells, where it tells of one.
    pub org_key: Option<OrgKey>,
    /// What it says.
    pub letter: &'a Letter,
    /// The trace it continues.
    pub corr_id: &'a str,
}

/// Queues the letter. Call [`Engine::wake_workers`] after the commit to have it sent at once.
///
/// # Errors
/// The database's.
pub async fn queue(engine: &Engine, tx: &mut Tx, queued: &Queued<'_>) -> Result<(), Error> {
    let mail_id = engine.new_id("mail_");
    let words = serde_json::to_vec(&(queued.to, queued.letter)).map_err(|error| Error::Bug(error.to_string()))?;
    let sealed = engine.sealer().seal(&engine.clock().entropy, PURPOSE, &mail_id, &words);
    let now = engine.now();
    let org_key = queued.org_key.map(|key| key.0);
    sql::insert(tx, &sql::NewMail { mail_id: &mail_id, org_key, sealed: &sealed, at: engine.clock().wall.now() })
        .await?;
    let job = jobs::Job {
        kind: jobs::Kind::Mail,
        key: mail_id,
        org_key: queued.org_key,
        payload: serde_json::Value::Null,
        run_at: now,
        corr_id: queued.corr_id.to_owned(),
    };
    jobs::enqueue(engine, tx, &job).await
}
