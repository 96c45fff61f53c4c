//! Record: check and count in one atomic, durable step.

use tollgate_rules::ledger::{Answer, Command, Outcome, Record, Recorded};

use super::queue::Entry;
use super::receipt::Signed;
use super::{Error, commit};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Counts usage, all items or none. Durable when it returns; a repeat gets the first answer; a denial writes nothing.
///
/// # Errors
/// [`Error::Refused`] (an id reused with other content, an unknown metric, …), [`Error::Overloaded`], [`Error::Unavailable`].
pub async fn record(engine: &Engine, scope: &OrgScope, record: Record) -> Result<Signed<Outcome<Recorded>>, Error> {
    let verb = verb(&record);
    match commit::one(engine, scope, Command::Record(record)).await? {
        Answer::Recorded(answer) => Ok(engine.ledger().signed(scope, verb, answer)),
        other => Err(commit::wrong_answer(&other)),
    }
}

/// Counts many records of one or several orgs; the answers stand at the places of their records. Each is decided on its own, in
/// array order within its org; all that passed are durable when this returns.
pub async fn record_batch(
    engine: &Engine,
    records: Vec<(OrgScope, Record)>,
) -> Vec<Result<Signed<Outcome<Recorded>>, Error>> {
    let mut answers: Vec<Option<Result<Signed<Outcome<Recorded>>, Error>>> = Vec::new();
    answers.resize_with(records.len(), || None);
    let chunk_size = engine.ledger().chunk_commands_max();
    let mut places = (0..).zip(records).peekable();
    while places.peek().is_some() {
        let chunk: Vec<(usize, (OrgScope, Record))> = places.by_ref().take(chunk_size).collect();
        for (place, answer) in chunk_answers(engine, chunk).await {
            if let Some(slot) = answers.get_mut(place) {
                *slot = Some(answer);
            }
        }
    }
    let missing = || Err(Error::Unavailable("a record was left without an answer".to_owned()));
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}

type Placed = (usize, Result<Signed<Outcome<Recorded>>, Error>);

/// The records of one org out of a chunk, with their places.
struct OfOrg {
    scope: OrgScope,
    places: Vec<(usize, &'static str)>,
    commands: Vec<Command>,
}

/// Answers one chunk: one entry per org, all queued before the first is awaited, so that they share a group.
async fn chunk_answers(engine: &Engine, chunk: Vec<(usize, (OrgScope, Record))>) -> Vec<Placed> {
    let mut orgs: Vec<OfOrg> = Vec::new();
    let mut by_scope: std::collections::BTreeMap<(i64, String), usize> = std::collections::BTreeMap::new();
    for (place, (scope, record)) in chunk {
        let index = match orgs.last() {
            Some(last) if last.scope == scope => orgs.len() - 1,
            _ => *by_scope.entry((scope.org_key().0, scope.actor().to_owned())).or_insert_with(|| {
                orgs.push(OfOrg { scope: scope.clone(), places: Vec::new(), commands: Vec::new() });
                orgs.len() - 1
            }),
        };
        if let Some(of_org) = orgs.get_mut(index) {
            of_org.places.push((place, verb(&record)));
            of_org.commands.push(Command::Record(record));
        }
    }
    let mut waiting = Vec::with_capacity(orgs.len());
    for OfOrg { scope, places, commands } in orgs {
        let answers = engine.ledger().submit(Entry::of(&scope, commands));
        waiting.push((scope, places, answers));
    }
    let mut placed = Vec::new();
    for (scope, places, answers) in waiting {
        let answers = match answers {
            Ok(receiver) => commit::answers(receiver).await,
            Err(error) => Err(error),
        };
        place_answers(engine, &scope, places, answers, &mut placed);
    }
    placed
}

fn place_answers(
    engine: &Engine,
    scope: &OrgScope,
    places: Vec<(usize, &'static str)>,
    answers: Result<Vec<Result<Answer, Error>>, Error>,
    placed: &mut Vec<Placed>,
) {
    match answers {
        Err(error) => placed.extend(places.into_iter().map(|(place, _)| (place, Err(error.clone())))),
        Ok(answers) => {
            for ((place, verb), answer) in places.into_iter().zip(answers) {
                let answer = match answer {
                    Ok(Answer::Recorded(answer)) => Ok(engine.ledger().signed(scope, verb, answer)),
                    Ok(other) => Err(commit::wrong_answer(&other)),
                    Err(error) => Err(error),
                };
                placed.push((place, answer));
            }
        }
    }
}

fn verb(record: &Record) -> &'static str {
    if record.force.is_some() { "force" } else { "record" }
}
