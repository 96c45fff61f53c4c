//! Sends one letter of the outbox.

use tollgate_connectors::mail::{self, Letter, Post};

use super::queue::PURPOSE;
use super::sql;
use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::jobs::{Claimed, Failure, Outcome};

/// The job: hands the letter over and erases what it said. A letter nobody will ever take is given up, which is no failure of ours.
pub(crate) async fn send(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let mail_id = job.key();
    let sealed = {
        let mut connection = engine.db().read().await?;
        sql::waiting(&mut connection, mail_id).await?
    };
    let Some(sealed) = sealed else { return Ok(Outcome::Done) };
    let words = engine.sealer().open(PURPOSE, mail_id, &sealed);
    let read: Option<(String, Letter)> = words.and_then(|words| serde_json::from_slice(&words).ok());
    let Some((to, letter)) = read else {
        let reason = "the letter cannot be opened: was TOLLGATE_SECRET_KEY changed?";
        return Err(Failure::Dead(reason.to_owned()));
    };
    let state = match engine.mail().send(&Post { id: mail_id, to: &to, letter: &letter }).await {
        Ok(()) => "sent",
        Err(mail::Error::Refused(reason)) => {
            tracing::warn!(mail_id, reason, "a letter was refused for good and is given up");
            "refused"
        }
        Err(mail::Error::Unavailable(reason)) => return Err(Failure::Retry(reason)),
    };
    metrics::counter!("tollgate_mail_total", "outcome" => state).increment(1);
    let (task, mail_id) = (engine.clone(), mail_id.to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::finish(&mut tx, &mail_id, state, task.clock().wall.now()).await?;
        tx.commit().await
    };
    engine.db().detached::<_, Error, _>(write).await?;
    Ok(Outcome::Done)
}
