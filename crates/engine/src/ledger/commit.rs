//! The group-commit writer: one thread per process takes what waits, commits it as one group and answers after the commit.
//!
//! It has a thread and a small runtime of its own. A group is a dozen exchanges with the database; as a task among the
//! requests it would wait its turn behind them at every one, and all callers with it.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::{Answer, Command};

use super::guess::Guess;
use super::meter::Meter;
use super::queue::{Answers, Entry, Queue};
use super::receipt::{Receipted, Signed, Signer};
use super::standing::Standings;
use super::{Error, group};
use crate::access::OrgScope;
use crate::engine::{Engine, WeakEngine};
use crate::limits::Limits;

/// The ledger's part of an engine: the queue before the writer, the standings after it, the key of receipts.
#[derive(Debug)]
pub(crate) struct Ledger {
    queue: Arc<Queue>,
    standings: Standings,
    signer: Signer,
    guess: Guess,
    meter: Meter,
    group_commands_max: usize,
    /// Resolves when the writer has ended.
    writer: Mutex<Option<oneshot::Receiver<()>>>,
    #[cfg(test)]
    planted: Mutex<std::collections::HashMap<OrgKey, tollgate_rules::entitlement::OrgFacts>>,
}

impl Ledger {
    pub(crate) fn new(limits: &Limits, receipt_secret: &SecretString) -> Ledger {
        Ledger {
            queue: Arc::new(Queue::new(limits)),
            standings: Standings::new(limits),
            signer: Signer::new(receipt_secret.expose_secret().as_bytes()),
            guess: Guess::default(),
            meter: Meter::new(),
            group_commands_max: limits.ledger_group_commands_max,
            writer: Mutex::new(None),
            #[cfg(test)]
            planted: Mutex::default(),
        }
    }

    /// Starts the writer. It holds the engine weakly, so that dropping the last handle ends it.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn start(&self, engine: &Engine) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ended, ending) = oneshot::channel();
        let writing = supervise(engine.downgrade(), Arc::clone(&self.queue), self.group_commands_max);
        std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            runtime.block_on(writing);
            // Nobody listens where the engine was dropped without a shutdown.
            let _ = ended.send(());
        })?;
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
        Ok(())
    }

    /// Takes no more commands and waits until those that wait are answered.
    pub(crate) async fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.await.is_err()
        {
            tracing::error!("the ledger's writer ended abnormally");
        }
    }

    /// Drops what is known of an org, so that the next check reads it. Call after a transaction that changed its limits.
    pub(crate) fn forget(&self, org_key: OrgKey) {
        self.standings.forget(org_key);
    }

    pub(super) fn submit(&self, entry: Entry) -> Result<oneshot::Receiver<Answers>, Error> {
        self.queue.push(entry)
    }

    /// Facts that a test gave an org.
    #[cfg(test)]
    pub(super) fn planted(&self, org_key: OrgKey) -> Option<tollgate_rules::entitlement::OrgFacts> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).get(&org_key).cloned()
    }

    /// Gives an org the facts that decide its rights.
    #[cfg(test)]
    pub(super) fn plant(&self, org_key: OrgKey, facts: tollgate_rules::entitlement::OrgFacts) {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).insert(org_key, facts);
    }

    pub(super) fn standings(&self) -> &Standings {
        &self.standings
    }

    pub(super) fn guess(&self) -> &Guess {
        &self.guess
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(super) fn chunk_commands_max(&self) -> usize {
        self.group_commands_max
    }

    /// An answer with its receipt.
    pub(super) fn signed<T: Receipted>(&self, scope: &OrgScope, verb: &'static str, answer: T) -> Signed<T> {
        let facts = answer.facts(scope.org_id(), verb);
        self.meter.decided(&facts);
        let receipt = self.signer.sign(&facts);
        Signed { answer, receipt }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Has one command decided and waits for the commit.
pub(super) async fn one(engine: &Engine, scope: &OrgScope, command: Command) -> Result<Answer, Error> {
    let receiver = engine.ledger().submit(Entry::of(scope, vec![command]))?;
    let answer = answers(receiver).await?.pop();
    answer.unwrap_or_else(|| Err(Error::Unavailable("a command was left without an answer".to_owned())))
}

/// Waits for the answers of an entry.
pub(super) async fn answers(receiver: oneshot::Receiver<Answers>) -> Result<Answers, Error> {
    receiver.await.map_err(|_| Error::Unavailable("the ledger's writer ended before it answered".to_owned()))
}

/// The answer to a command that no such command can get.
pub(super) fn wrong_answer(answer: &Answer) -> Error {
    tracing::error!(?answer, "the ledger answered another command than it was asked");
    Error::Unavailable("the ledger gave the wrong kind of answer".to_owned())
}

/// Runs the writer and starts it again should a bug of ours end it; whoever waited then hears `Unavailable`.
async fn supervise(engine: WeakEngine, queue: Arc<Queue>, group_commands_max: usize) {
    loop {
        let writer = tokio::spawn(write_groups(engine.clone(), Arc::clone(&queue), group_commands_max));
        match writer.await {
            Ok(()) => return,
            Err(error) if error.is_cancelled() => return,
            Err(error) => tracing::error!(%error, "the ledger's writer panicked and is started again"),
        }
    }
}

async fn write_groups(engine: WeakEngine, queue: Arc<Queue>, group_commands_max: usize) {
    while queue.filled().await {
        let waiting = queue.take(group_commands_max);
        let Some(engine) = engine.upgrade() else { return };
        group::commit(&engine, waiting).await;
    }
}
