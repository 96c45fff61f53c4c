//! Corrections: entries of an operator that put a count right. Nothing is ever changed or taken away.

use crate::catalog::Draws;
use crate::ids::{Metric, RequestId};
use crate::ledger::decide::first_time;
use crate::ledger::{Book, Correct, Corrected, DRAW_LINE, Event, Numbers, Refusal, TOTAL_MAX, Verb, Zero, slice};
use crate::time::Timestamp;

/// Adds signed units to the counter that the corrected event was counted in.
pub(crate) fn correct(book: &mut Book, correct: &Correct, now: Timestamp) -> Result<Corrected, Refusal> {
    let same = |events: &[Event]| {
        let mut own = events.iter().filter(|event| !event.is_draw());
        let first = own.next().is_some_and(|event| {
            event.verb == Verb::Correct
                && event.units == correct.units
                && event.corrects.as_ref() == Some(&correct.corrects)
        });
        first && own.next().is_none()
    };
    if let Some(events) = first_time(book, &correct.request_id, same)? {
        return Ok(corrected(events, true));
    }
    if correct.units == 0 || correct.units.checked_abs().is_none_or(|units| units > TOTAL_MAX) {
        return Err(Refusal::CorrectionUnits);
    }
    let (period_no, metric, draws) = target(book, correct)?;
    let entry = Entry {
        request_id: &correct.request_id,
        corrects: Some(&correct.corrects),
        reason: &correct.reason,
        units: correct.units,
    };
    let own = entry.line(book, (period_no, &metric), 0, now)?;
    let pool = match draws {
        None => None,
        Some(Draws { pool, rate }) => {
            let units = correct.units.checked_mul(rate).ok_or_else(|| Refusal::TotalTooLarge(pool.clone()))?;
            Some(Entry { units, ..entry }.line(book, (period_no, &pool), DRAW_LINE, now)?)
        }
    };
    let lines: Vec<Line> = [Some(own), pool].into_iter().flatten().collect();
    Ok(append(book, &correct.request_id, lines))
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
    let line = entry.line(book, (open.no, &zero.metric), 0, now)?;
    slice::empty(book, open.no, &zero.metric);
    Ok(append(book, &zero.request_id, vec![line]))
}

/// What a correction says, wherever it came from.
#[derive(Clone, Copy)]
struct Entry<'a> {
    request_id: &'a RequestId,
    corrects: Option<&'a RequestId>,
    reason: &'a str,
    units: i64,
}

/// The period and metric of the event that is corrected, and what it took of a pool per unit.
fn target(book: &Book, correct: &Correct) -> Result<(i64, Metric, Option<Draws>), Refusal> {
    let lines = book.known(&correct.corrects);
    let named = |line: &&Event| !line.is_draw() && correct.metric.as_ref().is_none_or(|metric| line.metric == *metric);
    let first = lines.iter().find(named).ok_or_else(|| Refusal::CorrectsUnknown(correct.corrects.clone()))?;
    if lines.iter().filter(named).any(|line| line.metric != first.metric) {
        return Err(Refusal::CorrectsSeveral);
    }
    let draws = first.draw(lines).and_then(|draw| {
        let rate = draw.units.checked_div(first.units)?;
        Some(Draws { pool: draw.metric.clone(), rate })
    });
    Ok((first.period_no, first.metric.clone(), draws))
}

/// A line that can be written: its counter's place and new sum, and the event.
struct Line {
    counter: usize,
    used: i64,
    event: Event,
}

impl Entry<'_> {
    /// The line that brings a counter to its new sum; nothing is written yet.
    fn line(
        &self,
        book: &Book,
        (period_no, metric): (i64, &Metric),
        item_no: i64,
        now: Timestamp,
    ) -> Result<Line, Refusal> {
        let period = book.period(period_no).ok_or_else(|| Refusal::UnknownMetric(metric.clone()))?;
        let (counter, stored) =
            book.counter(period_no, metric).ok_or_else(|| Refusal::UnknownMetric(metric.clone()))?;
        let used = stored.used.checked_add(self.units).filter(|used| *used <= TOTAL_MAX);
        let used = used.ok_or_else(|| Refusal::TotalTooLarge(metric.clone()))?;
        if used < 0 {
            return Err(Refusal::BelowZero);
        }
        let event = Event {
            request_id: self.request_id.clone(),
            item_no,
            period_no,
            metric: metric.clone(),
            verb: Verb::Correct,
            delta: self.units,
            units: self.units,
            forced: self.units.max(0),
            occurred_at: None,
            recorded_at: now,
            reason: Some(self.reason.to_owned()),
            source: "operator".to_owned(),
            corrects: self.corrects.cloned(),
            hold_id: None,
            expires_at: None,
            would_deny: false,
            answer: Numbers::of(&stored.limit, used, stored.held, &period),
        };
        Ok(Line { counter, used, event })
    }
}

fn append(book: &mut Book, request_id: &RequestId, lines: Vec<Line>) -> Corrected {
    for line in &lines {
        if let Some(counter) = book.counters.get_mut(line.counter) {
            counter.used = line.used;
            counter.changed = true;
        }
    }
    corrected(book.append(request_id, lines.into_iter().map(|line| line.event)), false)
}

fn corrected(events: &[Event], repeat: bool) -> Corrected {
    let event = events.first().expect("a known id has at least one event");
    Corrected {
        metric: event.metric.clone(),
        units: event.units,
        numbers: event.shown(events),
        repeat,
        recorded_at: event.recorded_at,
    }
}
