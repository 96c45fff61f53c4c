//! One command against one book.

use crate::ids::{KeyId, RequestId};
use crate::ledger::demand::{self, Against};
use crate::ledger::{
    Answer, Book, Command, Denial, Event, Outcome, Reason, Refusal, Seed, Seeded, correct, hold, record,
};
use crate::time::Timestamp;

/// Decides one command at `clock` and lets the book grow by what follows from it. `by` is the key that asks, where it has a slice.
///
/// Pure and sequential: the same book, commands and times give the same answers and the same growth. Where the answer is a denial
/// or a refusal the book is as before, save for holds whose time has run out.
///
/// # Errors
/// [`Refusal`]: the request makes no sense here; the variants say why.
pub fn decide(book: &mut Book, command: &Command, by: Option<&KeyId>, clock: Timestamp) -> Result<Answer, Refusal> {
    let now = book.now(clock);
    book.expire_holds(now);
    match command {
        Command::Record(record) => record::record(book, record, by, now).map(Answer::Recorded),
        Command::Reserve(reserve) => hold::reserve(book, reserve, by, now).map(Answer::Reserved),
        Command::Settle(settle) => hold::settle(book, settle, now).map(Answer::Hold),
        Command::Release(release) => hold::release(book, release, now).map(Answer::Hold),
        Command::Extend(extend) => hold::extend(book, extend, now).map(Answer::Hold),
        Command::Correct(correct) => correct::correct(book, correct, now).map(Answer::Corrected),
        Command::Zero(zero) => correct::zero(book, zero, now).map(Answer::Corrected),
        Command::Seed(seed) => self::seed(book, seed, now).map(Answer::Seeded),
    }
}

fn seed(book: &Book, seed: &Seed, now: Timestamp) -> Result<Outcome<Seeded>, Refusal> {
    let open = match book.open_period(&seed.metric, 0, now) {
        Ok(open) => open,
        Err(denial) => return Ok(Outcome::Denied(denial)),
    };
    if let Some(key) = seed.period_key {
        // A plain month means the newest period of that month, and no period is newer than the open one.
        if key != open.key && !(key.is_plain_month() && key.same_month(&open.key)) {
            return Err(Refusal::OtherPeriod(key));
        }
    }
    let (_, counter) =
        book.counter(open.no, &seed.metric).ok_or_else(|| Refusal::UnknownMetric(seed.metric.clone()))?;
    Ok(Outcome::Allowed(Seeded { numbers: demand::numbers(&book.counters, counter, &open), decided_at: now }))
}

/// The denial of `requested` units by what stands against them.
pub(crate) fn quota_denial(book: &Book, against: Against, requested: i64, now: Timestamp) -> Box<Denial> {
    let counter = book.counters.get(against.counter).expect("what stands against a line is a counter of this book");
    let mut denial = book.head.denial(Reason::QuotaExceeded, &counter.metric, requested, now);
    denial.numbers = book.period(counter.period_no).map(|open| demand::numbers(&book.counters, counter, &open));
    denial.rule = against.rule;
    denial
}

/// The stored lines of an id if `same` says that they are this very call; nothing when the id is new.
///
/// # Errors
/// [`Refusal::Reused`] when the id was accepted with other content.
pub(crate) fn first_time<'a>(
    book: &'a Book,
    request_id: &RequestId,
    same: impl FnOnce(&[Event]) -> bool,
) -> Result<Option<&'a [Event]>, Refusal> {
    match book.known(request_id) {
        [] => Ok(None),
        events if same(events) => Ok(Some(events)),
        _ => Err(Refusal::Reused(request_id.clone())),
    }
}
