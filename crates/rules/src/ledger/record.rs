//! Record: check and count in one step, all items or none.

use crate::ids::KeyId;
use crate::ledger::decide::{first_time, quota_denial};
use crate::ledger::demand::{Demand, Line, line};
use crate::ledger::{
    Book, Counted, DRAW_LINE, Denial, Event, OpenPeriod, Outcome, Record, Recorded, Refusal, Verb, slice,
};
use crate::time::Timestamp;
use std::time::Duration;

/// How old `occurredAt` may be (Stripe's meters take nothing older either).
pub const OCCURRED_AGE_MAX: Duration = Duration::from_hours(35 * 24);
/// How far ahead of our clock `occurredAt` may be.
pub const OCCURRED_AHEAD_MAX: Duration = Duration::from_mins(5);

/// Counts a record, repeats its first answer, or denies it.
pub(crate) fn record(
    book: &mut Book,
    record: &Record,
    by: Option<&KeyId>,
    now: Timestamp,
) -> Result<Outcome<Recorded>, Refusal> {
    if let Some(events) = first_time(book, &record.request_id, |events| same(events, record))? {
        return Ok(Outcome::Allowed(answer(events, Repeat::Yes)));
    }
    let first = record.items.first().ok_or(Refusal::NoItems)?;
    if let Some(at) = record.occurred_at
        && (at < now.minus(OCCURRED_AGE_MAX) || at > now.plus(OCCURRED_AHEAD_MAX))
    {
        return Err(Refusal::OccurredAtOutOfRange);
    }
    let open = match book.open_period(&first.metric, first.units.get(), now) {
        Ok(open) => open,
        Err(denial) => return Ok(Outcome::Denied(denial)),
    };
    let plan = match plan(book, record, (open, by), now)? {
        Ok(plan) => plan,
        Err(denial) => return Ok(Outcome::Denied(denial)),
    };
    let events = count(book, record, open, &plan, now);
    for event in &events {
        slice::count(&mut book.slices, by, event);
    }
    Ok(Outcome::Allowed(answer(book.append(&record.request_id, events), Repeat::No)))
}

/// Whether an answer is given for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Yes,
    No,
}

/// What happens to one item when the record is carried out.
struct Step {
    /// What it asks of which counters.
    line: Line,
    /// Whether it passes only in shadow mode.
    would_deny: bool,
}

/// Finds the counters of every item and whether all of them fit together; the inner error is the denial.
fn plan(
    book: &Book,
    record: &Record,
    (open, by): (OpenPeriod, Option<&KeyId>),
    now: Timestamp,
) -> Result<Result<Vec<Step>, Box<Denial>>, Refusal> {
    let lines = record.items.iter().map(|item| line(&book.counters, open.no, &item.metric, item.units.get()));
    let lines = lines.collect::<Result<Vec<Line>, Refusal>>()?;
    let mut demand = Demand::default();
    let mut steps = Vec::with_capacity(lines.len());
    for line in &lines {
        let against = demand.against(&book.counters, line, book.head.spend_cap)?;
        let against = against.or_else(|| slice::against((&book.slices, by), &book.counters, (&demand, line)));
        demand.take(line);
        let would_deny = against.is_some() && record.force.is_none();
        if let Some(against) = against.filter(|_| would_deny && book.head.strict) {
            let requested = requested(book, &lines, against.counter)?;
            return Ok(Err(quota_denial(book, against, requested, now)));
        }
        steps.push(Step { line: *line, would_deny });
    }
    Ok(Ok(steps))
}

/// All that the record asks of a counter: one record may name a metric several times.
fn requested(book: &Book, lines: &[Line], counter: usize) -> Result<i64, Refusal> {
    let parts = lines.iter().flat_map(|line| [Some((line.counter, line.units)), line.pool]).flatten();
    let mut parts = parts.filter(|(of, _)| *of == counter).map(|(_, units)| units);
    parts.try_fold(0_i64, i64::checked_add).ok_or_else(|| {
        let metric = book.counters.get(counter).map(|counter| counter.metric.clone());
        metric.map_or(Refusal::NoItems, Refusal::TotalTooLarge)
    })
}

fn count(book: &mut Book, record: &Record, open: OpenPeriod, plan: &[Step], now: Timestamp) -> Vec<Event> {
    let verb = if record.force.is_some() { Verb::Force } else { Verb::Record };
    let (mut events, mut draws) = (Vec::with_capacity(plan.len()), Vec::new());
    for (item_no, step) in (0_i64..).zip(plan) {
        let mut add = |index: usize, units: i64, item_no: i64| {
            let counter = book.counters.get_mut(index)?;
            counter.used = counter.used.saturating_add(units);
            counter.changed = true;
            Some(Event {
                request_id: record.request_id.clone(),
                item_no,
                period_no: open.no,
                metric: counter.metric.clone(),
                verb,
                delta: units,
                units,
                forced: if record.force.is_some() || step.would_deny { units } else { 0 },
                occurred_at: record.occurred_at,
                recorded_at: now,
                reason: record.force.clone(),
                source: record.source.clone(),
                corrects: None,
                hold_id: None,
                expires_at: None,
                would_deny: step.would_deny,
                answer: counter.numbers(&open),
            })
        };
        events.extend(add(step.line.counter, step.line.units, item_no));
        if let Some((pool, taken)) = step.line.pool {
            draws.extend(add(pool, taken, item_no.saturating_add(DRAW_LINE)));
        }
    }
    events.append(&mut draws);
    events
}

/// Whether stored events are those of the same call.
fn same(events: &[Event], record: &Record) -> bool {
    let verb = if record.force.is_some() { Verb::Force } else { Verb::Record };
    let own = || events.iter().filter(|event| !event.is_draw());
    own().count() == record.items.len()
        && own().zip(&record.items).all(|(event, item)| {
            event.verb == verb
                && event.metric == item.metric
                && event.units == item.units.get()
                && event.occurred_at == record.occurred_at
        })
}

fn answer(events: &[Event], repeat: Repeat) -> Recorded {
    let first = events.first().expect("a record has at least one item, and each becomes an event");
    Recorded {
        period_key: first.answer.period_key,
        items: events.iter().filter(|event| !event.is_draw()).map(|event| counted(event, events)).collect(),
        repeat: repeat == Repeat::Yes,
        recorded_at: first.recorded_at,
    }
}

fn counted(event: &Event, lines: &[Event]) -> Counted {
    let numbers = event.shown(lines);
    Counted { metric: event.metric.clone(), units: event.units, numbers, would_deny: event.would_deny }
}
