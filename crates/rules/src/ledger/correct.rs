//! Corrections: entries of an operator that put a count right. Nothing is ever changed or taken away.

use crate::ids::{Metric, RequestId};
use crate::ledger::decide::first_time;
use crate::ledger::{Book, Correct, Corrected, Event, Numbers, Refusal, TOTAL_MAX, Verb, Zero};
use crate::time::Timestamp;

/// Adds signed units to the counter that the corrected event was counted in.
pub(crate) fn correct(book: &mut Book, correct: &Correct, now: Timestamp) -> Result<Corrected, Refusal> {
    let same = |events: &[Event]| {
        matches!(events, [event] if event.verb == Verb::Correct
            && event.units == correct.units
            && event.corrects.as_ref() == Some(&correct.corrects))
    };
    if let Some(events) = first_time(book, &correct.request_id, same)? {
        return Ok(corrected(events, true));
    }
    if correct.units == 0 || correct.units.checked_abs().is_none_or(|units| units > TOTAL_MAX) {
        return Err(Refusal::CorrectionUnits);
    }
    let (period_no, metric) = target(book, correct)?;
    let entry = Entry {
        request_id: &correct.request_id,
        corrects: Some(&correct.corrects),
        reason: &correct.reason,
        units: correct.units,
    };
    append(book, &entry, (period_no, &metric), now)
}

/// Brings a counter of the open period to 0; a counter that is at 0 gets no entry.
pub(crate) fn zero(book: &mut Book, zero: &Zero, now: Timestamp) -> Result<Corrected, Refusal> {
    let same =
        |events: &[Event]| matches!(events, [event] if event.verb == Verb::Correct && event.metric == zero.metric);
    if let Some(events) = first_time(book, &zero.request_id, same)? {
        return Ok(corrected(events, true));
    }
    let unknown = || Refusal::UnknownMetric(zero.metric.clone());
    let open = book.head.period.ok_or_else(unknown)?;
    let (_, counter) = book.counter(open.no, &zero.metric).ok_or_else(unknown)?;
    let used = counter.used;
    if used == 0 {
        let numbers = counter.numbers(&open);
        return Ok(Corrected { metric: zero.metric.clone(), units: 0, numbers, repeat: false, recorded_at: now });
    }
    let entry =
        Entry { request_id: &zero.request_id, corrects: None, reason: &zero.reason, units: used.saturating_neg() };
    append(book, &entry, (open.no, &zero.metric), now)
}

/// What a correction says, wherever it came from.
struct Entry<'a> {
    request_id: &'a RequestId,
    corrects: Option<&'a RequestId>,
    reason: &'a str,
    units: i64,
}

/// The period and metric of the event that is corrected.
fn target(book: &Book, correct: &Correct) -> Result<(i64, Metric), Refusal> {
    let lines = book.known(&correct.corrects);
    let named = |line: &&Event| correct.metric.as_ref().is_none_or(|metric| line.metric == *metric);
    let first = lines.iter().find(named).ok_or_else(|| Refusal::CorrectsUnknown(correct.corrects.clone()))?;
    if lines.iter().filter(named).any(|line| line.metric != first.metric) {
        return Err(Refusal::CorrectsSeveral);
    }
    Ok((first.period_no, first.metric.clone()))
}

fn append(
    book: &mut Book,
    entry: &Entry<'_>,
    (period_no, metric): (i64, &Metric),
    now: Timestamp,
) -> Result<Corrected, Refusal> {
    let period = book.period(period_no).ok_or_else(|| Refusal::UnknownMetric(metric.clone()))?;
    let (index, counter) = book.counter(period_no, metric).ok_or_else(|| Refusal::UnknownMetric(metric.clone()))?;
    let used = counter.used.checked_add(entry.units).filter(|used| *used <= TOTAL_MAX);
    let used = used.ok_or_else(|| Refusal::TotalTooLarge(metric.clone()))?;
    if used < 0 {
        return Err(Refusal::BelowZero);
    }
    let numbers: Numbers = {
        let counter = book.counters.get_mut(index).expect("the index was found in this book");
        counter.used = used;
        counter.changed = true;
        counter.numbers(&period)
    };
    let event = Event {
        request_id: entry.request_id.clone(),
        item_no: 0,
        period_no,
        metric: metric.clone(),
        verb: Verb::Correct,
        delta: entry.units,
        units: entry.units,
        forced: entry.units.max(0),
        occurred_at: None,
        recorded_at: now,
        reason: Some(entry.reason.to_owned()),
        source: "operator".to_owned(),
        corrects: entry.corrects.cloned(),
        hold_id: None,
        expires_at: None,
        would_deny: false,
        answer: numbers,
    };
    Ok(corrected(book.append(entry.request_id, [event]), false))
}

fn corrected(events: &[Event], repeat: bool) -> Corrected {
    let event = events.first().expect("a known id has at least one event");
    Corrected {
        metric: event.metric.clone(),
        units: event.units,
        numbers: event.answer,
        repeat,
        recorded_at: event.recorded_at,
    }
}
