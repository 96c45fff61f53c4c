//! Attempts at an account's password or second factor: counted before they are made, so that of many at once no more are made than
//! one after the other could be.

use super::{Error, sql};
use crate::db::Lane;
use crate::engine::Engine;

/// An attempt that may be made; it counts as failed until it is cleared or taken back.
#[derive(Debug)]
pub(super) struct Attempt {
    subject: String,
    number: i64,
}

impl Attempt {
    /// Counts an attempt at `subject`, a keyed hash of what is tried at. The first ones are free; then each doubles the wait for the
    /// next, up to a minute: a guesser is slowed, the owner never shut out. What is refused costs no write.
    ///
    /// # Errors
    /// [`Error::Slow`].
    pub(super) async fn begin(engine: &Engine, subject: String) -> Result<Attempt, Error> {
        let wall = engine.clock().wall.now();
        let known = sql::blocked_until(&mut engine.db().read().await?, &subject).await?;
        if known > wall {
            return Err(Error::Slow(known.since(wall)));
        }
        let task = engine.clone();
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            let people = &task.limits().people;
            let waits = sql::Waits { free: people.sign_in_failures_free, max: people.sign_in_wait_max };
            let Some(number) = sql::count_attempt(&mut tx, &subject, waits, wall).await? else {
                // Another of those that came at once was the last that may.
                return Err(Error::Slow(sql::blocked_until(&mut tx, &subject).await?.since(wall)));
            };
            tx.commit().await?;
            Ok(Attempt { subject, number })
        };
        engine.db().detached(write).await
    }

    /// Nothing was found out by it: it does not count.
    pub(super) async fn take_back(self, engine: &Engine) -> Result<(), Error> {
        let task = engine.clone();
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            sql::uncount_attempt(&mut tx, &self.subject, self.number).await?;
            tx.commit().await?;
            Ok::<_, Error>(())
        };
        engine.db().detached(write).await
    }

    /// What was tried at.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }
}
