//! Record: check and count in one step, all items or none.

use crate::ids::Metric;
use crate::ledger::decide::{Fit, first_time, fit, quota_denial};
use crate::ledger::{Book, Counted, Denial, Event, OpenPeriod, Outcome, Record, Recorded, Refusal, Verb};
use crate::time::Timestamp;
use std::time::Duration;

/// How old `occurredAt` may be (Stripe's meters take nothing older either).
pub const OCCURRED_AGE_MAX: Duration = Duration::from_hours(35 * 24);
/// How far ahead of our clock `occurredAt` may be.
pub const OCCURRED_AHEAD_MAX: Duration = Duration::from_mins(5);

/// Counts a record, repeats its first answer, or denies it.
pub(crate) fn record(book: &mut Book, record: &Record, now: Timestamp) -> Result<Outcome<Recorded>, Refusal> {
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
    let plan = match plan(book, record, open, now)? {
        Ok(plan) => plan,
        Err(denial) => return Ok(Outcome::Denied(denial)),
    };
    let events = count(book, record, open, &plan, now);
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
    /// Its counter's place in the book.
    counter: usize,
    /// Whether it passes only in shadow mode.
    would_deny: bool,
}

/// Finds the counter of every item and whether all of them fit together; the inner error is the denial.
fn plan(
    book: &Book,
    record: &Record,
    open: OpenPeriod,
    now: Timestamp,
) -> Result<Result<Vec<Step>, Box<Denial>>, Refusal> {
    let mut steps = Vec::with_capacity(record.items.len());
    for (position, item) in record.items.iter().enumerate() {
        let (index, counter) =
            book.counter(open.no, &item.metric).ok_or_else(|| Refusal::UnknownMetric(item.metric.clone()))?;
        let earlier = earlier_units(record, position, &item.metric)?;
        let taken = counter.taken().saturating_add(earlier);
        let beyond = fit(&item.metric, &counter.limit, taken, item.units.get())? == Fit::Beyond;
        if beyond && record.force.is_none() && book.head.strict {
            let requested = earlier_units(record, record.items.len(), &item.metric)?;
            return Ok(Err(quota_denial(book, counter, requested, now)));
        }
        steps.push(Step { counter: index, would_deny: beyond && record.force.is_none() });
    }
    Ok(Ok(steps))
}

/// Units of `metric` that the items before `position` ask for: one record may name a metric several times.
fn earlier_units(record: &Record, position: usize, metric: &Metric) -> Result<i64, Refusal> {
    let same = record.items.iter().take(position).filter(|item| item.metric == *metric);
    same.map(|item| item.units.get())
        .try_fold(0_i64, i64::checked_add)
        .ok_or_else(|| Refusal::TotalTooLarge(metric.clone()))
}

fn count(book: &mut Book, record: &Record, open: OpenPeriod, plan: &[Step], now: Timestamp) -> Vec<Event> {
    let verb = if record.force.is_some() { Verb::Force } else { Verb::Record };
    let mut events = Vec::with_capacity(plan.len());
    for (item_no, (item, step)) in (0_i64..).zip(record.items.iter().zip(plan)) {
        let Some(counter) = book.counters.get_mut(step.counter) else { continue };
        let units = item.units.get();
        counter.used = counter.used.saturating_add(units);
        counter.changed = true;
        events.push(Event {
            request_id: record.request_id.clone(),
            item_no,
            period_no: open.no,
            metric: item.metric.clone(),
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
        });
    }
    events
}

/// Whether stored events are those of the same call.
fn same(events: &[Event], record: &Record) -> bool {
    let verb = if record.force.is_some() { Verb::Force } else { Verb::Record };
    events.len() == record.items.len()
        && events.iter().zip(&record.items).all(|(event, item)| {
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
        items: events.iter().map(counted).collect(),
        repeat: repeat == Repeat::Yes,
        recorded_at: first.recorded_at,
    }
}

fn counted(event: &Event) -> Counted {
    Counted { metric: event.metric.clone(), units: event.units, numbers: event.answer, would_deny: event.would_deny }
}
