//! One group: one transaction, then the answers.

use serde_json::json;

use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::{Answer, Command, Outcome, Standing};
use tollgate_rules::time::Timestamp;

use super::book::{Books, OrgBook};
use super::guess::Ids;
use super::meter::Phase;
use super::queue::{Answers, Entry, Waiting};
use super::{Error, store};
use crate::access::OrgScope;
use crate::audit;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;

/// Commits a group and answers everyone in it.
///
/// One bad command does not fail its neighbours: a group that a bug or a surprise stops is taken apart and tried entry by entry. A
/// lost answer to COMMIT is answered with `Unavailable` and drops the standings; a retry with the same id finds out.
pub(super) async fn commit(engine: &Engine, waiting: Vec<Waiting>) {
    let entries: Vec<&Entry> = waiting.iter().map(|waiting| &waiting.entry).collect();
    match attempt(engine, &entries).await {
        Ok(answers) => {
            for (waiting, answers) in waiting.into_iter().zip(answers) {
                // Whoever went away in between gets the same answer when they ask again.
                let _ = waiting.reply.send(answers);
            }
        }
        Err(Failure::Cannot(error)) => {
            for waiting in waiting {
                let answers = waiting.entry.commands.iter().map(|_| Err(error.clone())).collect();
                let _ = waiting.reply.send(answers);
            }
        }
        Err(Failure::Bad(error)) => {
            tracing::warn!(%error, entries = waiting.len(), "a ledger group failed and is tried entry by entry");
            for waiting in waiting {
                let answers = alone(engine, &waiting.entry).await;
                let _ = waiting.reply.send(answers);
            }
        }
    }
}

/// Why a group was not committed.
enum Failure {
    /// The database does not answer; trying its parts would fail as well.
    Cannot(Error),
    /// Something in the group is not as it should be.
    Bad(db::Error),
}

/// Tries the commands of one entry one by one.
async fn alone(engine: &Engine, entry: &Entry) -> Answers {
    let mut answers = Vec::with_capacity(entry.commands.len());
    for command in &entry.commands {
        let single = Entry { org_key: entry.org_key, scope: entry.scope.clone(), commands: vec![command.clone()] };
        let answer = match attempt(engine, &[&single]).await {
            Ok(mut answered) => answered.pop().and_then(|mut answers| answers.pop()),
            Err(Failure::Cannot(error)) => Some(Err(error)),
            Err(Failure::Bad(error)) => {
                tracing::error!(%error, "a ledger command cannot be carried out");
                Some(Err(error.into()))
            }
        };
        answers.push(answer.unwrap_or_else(|| Err(Error::Unavailable("a command got no answer".to_owned()))));
    }
    answers
}

/// Commits entries in one transaction.
///
/// Ids are nearly always new, and the unique index finds the ones that are not when their events are appended. So the first try does
/// not look them up; a denial, a refusal or a known id makes the second try, which does.
async fn attempt(engine: &Engine, entries: &[&Entry]) -> Result<Vec<Answers>, Failure> {
    let guess = engine.ledger().guess();
    if guess.worthwhile(entries) {
        match transact(engine, entries, Ids::TakenAsNew).await? {
            Some(answers) => {
                guess.was_right();
                return Ok(answers);
            }
            None => guess.was_wrong(),
        }
    }
    let answers = transact(engine, entries, Ids::LookedUp).await?;
    answers.ok_or_else(|| Failure::Bad(db::Error::Bug("ids that were looked up were new and known at once".to_owned())))
}

/// One transaction; nothing when ids that were taken as new may not be.
async fn transact(engine: &Engine, entries: &[&Entry], ids: Ids) -> Result<Option<Vec<Answers>>, Failure> {
    let now = engine.now();
    let (meter, tick) = (engine.ledger().meter(), || engine.clock().monotonic.now());
    let began = tick();
    let mut tx = engine.db().begin(Lane::Ledger).await.map_err(sorted)?;
    let (mut books, opened) = store::load(engine, &mut tx, entries, (ids, now)).await.map_err(sorted)?;
    let loaded = tick();
    meter.spent(Phase::Load, loaded.saturating_sub(began));
    let answers = decide(&mut books, entries, now);
    let decided = tick();
    meter.spent(Phase::Decide, decided.saturating_sub(loaded));
    if ids == Ids::TakenAsNew && !answers.iter().flatten().all(accepted) {
        tx.rollback().await.map_err(sorted)?;
        return Ok(None);
    }
    let before = engine.ledger().standings().ticket();
    if opened || books.values().any(OrgBook::must_write) {
        match store::append(&mut tx, &books).await {
            Ok(()) => {}
            Err(db::Error::Conflict(_)) if ids == Ids::TakenAsNew => {
                tx.rollback().await.map_err(sorted)?;
                return Ok(None);
            }
            Err(error) => return Err(sorted(error)),
        }
        audit_corrections(engine, &mut tx, entries, &answers).await.map_err(sorted)?;
        let appended = tick();
        meter.spent(Phase::Append, appended.saturating_sub(decided));
        if let Err(error) = tx.commit().await {
            for org_key in books.keys() {
                engine.ledger().forget(*org_key);
            }
            return Err(Failure::Cannot(Error::Unavailable(format!("the commit's answer was lost: {error}"))));
        }
        meter.spent(Phase::Commit, tick().saturating_sub(appended));
        meter.committed(answers.iter().map(Vec::len).sum());
    } else {
        tx.rollback().await.map_err(sorted)?;
    }
    publish(engine, books, before);
    Ok(Some(answers))
}

/// Whether an answer would be the same had its id been looked up and found new.
fn accepted(answer: &Result<Answer, Error>) -> bool {
    match answer {
        Ok(Answer::Recorded(Outcome::Allowed(_)) | Answer::Reserved(Outcome::Allowed(_)) | Answer::Hold(_)) => true,
        Ok(Answer::Recorded(_) | Answer::Reserved(_) | Answer::Corrected(_) | Answer::Seeded(_)) | Err(_) => false,
    }
}

/// Corrections are changes by a person: each has its entry in the audit journal, beside its line in the ledger.
async fn audit_corrections(
    engine: &Engine,
    tx: &mut Tx,
    entries: &[&Entry],
    answers: &[Answers],
) -> Result<(), db::Error> {
    for (entry, answers) in entries.iter().zip(answers) {
        let Some(scope) = &entry.scope else { continue };
        for (command, answer) in entry.commands.iter().zip(answers) {
            let Ok(Answer::Corrected(corrected)) = answer else { continue };
            if corrected.repeat || corrected.units == 0 {
                continue;
            }
            let used = corrected.numbers.used;
            let before = json!({ "metric": corrected.metric, "used": used.saturating_sub(corrected.units) });
            let (corrects, reason) = match command {
                Command::Correct(correct) => (Some(correct.corrects.as_str()), correct.reason.as_str()),
                Command::Zero(zero) => (None, zero.reason.as_str()),
                _ => (None, ""),
            };
            let after = json!({ "metric": corrected.metric, "used": used, "units": corrected.units,
                "periodKey": corrected.numbers.period_key, "corrects": corrects, "reason": reason });
            let request_id = command.request_id().map_or("", |request_id| request_id.as_str());
            let noted = audit::Entry::of(scope, "usage.correct", request_id).before(before).after(after);
            audit::append(engine, tx, noted).await?;
        }
    }
    Ok(())
}

/// The pure part: every command in its turn.
fn decide(books: &mut Books, entries: &[&Entry], now: Timestamp) -> Vec<Answers> {
    let mut answers = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(org) = books.get_mut(&entry.org_key) else {
            let missing = || Err(Error::NotFound("org"));
            answers.push(entry.commands.iter().map(|_| missing()).collect());
            continue;
        };
        let actor = store::shared(entry.actor());
        let slice = entry.scope.as_ref().and_then(OrgScope::slice);
        if entry.commands.is_empty() {
            org.tidy(now);
        }
        let decided = entry.commands.iter().map(|command| org.decide(command, (&actor, slice), now));
        answers.push(decided.map(|answer| answer.map_err(Error::from)).collect());
    }
    answers
}

fn publish(engine: &Engine, books: Books, before: u64) {
    let standings = engine.ledger().standings();
    let read_at = engine.clock().monotonic.now();
    for (org_key, org) in books {
        let standing: Standing = org.book.standing(org.holds_until());
        let org_key: OrgKey = org_key;
        standings.publish_committed(org_key, before, read_at, standing);
    }
}

fn sorted(error: db::Error) -> Failure {
    match error {
        db::Error::Unavailable(_) | db::Error::Overloaded => Failure::Cannot(error.into()),
        db::Error::Conflict(_) | db::Error::Bug(_) => Failure::Bad(error),
    }
}
