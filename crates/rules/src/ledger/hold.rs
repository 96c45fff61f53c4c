//! Reserve, settle, release, extend: units that wait for their price to be known.
//!
//! A hold belongs to the period it was taken in and settles into it. Its events are lines of the reserve's `request_id`: the
//! reserve is line 0 with a delta of 0, the settle line 1.

use crate::ids::HoldId;
use crate::ledger::book::free;
use crate::ledger::decide::{Fit, first_time, fit, quota_denial};
use crate::ledger::{
    Book, Counter, Event, Extend, Hold, HoldAnswer, HoldState, Numbers, OpenPeriod, Outcome, Refusal, Release, Reserve,
    Reserved, Settle, TOTAL_MAX, Verb,
};
use crate::time::Timestamp;

/// Takes a hold, repeats its first answer, or denies it.
pub(crate) fn reserve(book: &mut Book, reserve: &Reserve, now: Timestamp) -> Result<Outcome<Reserved>, Refusal> {
    if let Some(events) = first_time(book, &reserve.request_id, |events| same(events, reserve))? {
        let first = events.first().expect("a known id has at least one event");
        return Ok(Outcome::Allowed(reserved(first, true)));
    }
    let units = reserve.units.get();
    let open = match book.open_period(&reserve.metric, units, now) {
        Ok(open) => open,
        Err(denial) => return Ok(Outcome::Denied(denial)),
    };
    let (index, counter) =
        book.counter(open.no, &reserve.metric).ok_or_else(|| Refusal::UnknownMetric(reserve.metric.clone()))?;
    let would_deny = fit(&reserve.metric, &counter.limit, counter.taken(), units)? == Fit::Beyond;
    if would_deny && book.head.strict {
        return Ok(Outcome::Denied(quota_denial(book, counter, units, now)));
    }
    let numbers = hold_units(book, index, units, &open);
    let event = Event {
        request_id: reserve.request_id.clone(),
        item_no: 0,
        period_no: open.no,
        metric: reserve.metric.clone(),
        verb: Verb::Reserve,
        delta: 0,
        units,
        forced: 0,
        occurred_at: None,
        recorded_at: now,
        reason: None,
        source: reserve.source.clone(),
        corrects: None,
        hold_id: Some(reserve.hold_id.clone()),
        expires_at: Some(now.plus(reserve.ttl.duration())),
        would_deny,
        answer: numbers,
    };
    let answer = reserved(&event, false);
    book.holds.insert(reserve.hold_id.clone(), open_hold(&event, &answer));
    book.append(&reserve.request_id, [event]);
    Ok(Outcome::Allowed(answer))
}

/// Charges a hold: what is above it, or comes after its expiry, is counted as forced, because the work was done.
pub(crate) fn settle(book: &mut Book, settle: &Settle, now: Timestamp) -> Result<HoldAnswer, Refusal> {
    let hold = find(book, &settle.hold_id)?;
    let units = settle.units.get();
    let within = match (hold.state, hold.closed) {
        (HoldState::Open, _) if !hold.would_deny => units.min(hold.units),
        (HoldState::Open | HoldState::Expired, _) => 0,
        (HoldState::Settled { units: charged }, Some(closed)) if charged == units => {
            return Ok(again(&hold, charged, closed));
        }
        (HoldState::Settled { .. } | HoldState::Released, _) => return Err(Refusal::HoldEnded),
    };
    let (index, counter) =
        book.counter(hold.period_no, &hold.metric).ok_or_else(|| Refusal::UnknownMetric(hold.metric.clone()))?;
    let used = counter.used.checked_add(units).filter(|used| *used <= TOTAL_MAX);
    let used = used.ok_or_else(|| Refusal::TotalTooLarge(hold.metric.clone()))?;
    let numbers = close(book, &hold, HoldState::Settled { units }, now, |counters| {
        if let Some(counter) = counters.get_mut(index) {
            counter.used = used;
            counter.changed = true;
        }
    })?;
    book.append_line(Event {
        request_id: hold.request_id.clone(),
        item_no: 1,
        period_no: hold.period_no,
        metric: hold.metric.clone(),
        verb: Verb::Settle,
        delta: units,
        units,
        forced: units.saturating_sub(within),
        occurred_at: None,
        recorded_at: now,
        reason: None,
        source: "api".to_owned(),
        corrects: None,
        hold_id: Some(hold.hold_id.clone()),
        expires_at: None,
        would_deny: hold.would_deny,
        answer: numbers,
    });
    Ok(HoldAnswer { repeat: false, ..again(&hold, units, (now, numbers)) })
}

/// Frees a hold; one whose time ran out is free already.
pub(crate) fn release(book: &mut Book, release: &Release, now: Timestamp) -> Result<HoldAnswer, Refusal> {
    let hold = find(book, &release.hold_id)?;
    match (hold.state, hold.closed) {
        (HoldState::Open | HoldState::Expired, _) => {
            let numbers = close(book, &hold, HoldState::Released, now, |_| ())?;
            Ok(HoldAnswer { repeat: false, ..again(&hold, 0, (now, numbers)) })
        }
        (HoldState::Released, Some(closed)) => Ok(again(&hold, 0, closed)),
        (HoldState::Released | HoldState::Settled { .. }, _) => Err(Refusal::HoldEnded),
    }
}

/// Prolongs a hold. Prolonging to the same moment twice changes nothing, so a repeat needs no memory.
pub(crate) fn extend(book: &mut Book, extend: &Extend, now: Timestamp) -> Result<HoldAnswer, Refusal> {
    let hold = find(book, &extend.hold_id)?;
    match hold.state {
        HoldState::Open => {}
        HoldState::Expired | HoldState::Settled { .. } | HoldState::Released => return Err(Refusal::HoldEnded),
    }
    let expires_at = hold.expires_at.max(now.plus(extend.ttl.duration()));
    let numbers = numbers(book, &hold)?;
    if let Some(stored) = book.holds.get_mut(&extend.hold_id) {
        stored.changed |= stored.expires_at != expires_at;
        stored.expires_at = expires_at;
    }
    Ok(HoldAnswer { expires_at, repeat: false, ..again(&hold, 0, (now, numbers)) })
}

fn find(book: &Book, hold_id: &HoldId) -> Result<Hold, Refusal> {
    book.holds.get(hold_id).cloned().ok_or(Refusal::HoldNotFound)
}

fn hold_units(book: &mut Book, index: usize, units: i64, open: &OpenPeriod) -> Numbers {
    let counter = book.counters.get_mut(index).expect("the index was found in this book");
    counter.held = counter.held.saturating_add(units);
    counter.changed = true;
    counter.numbers(open)
}

/// Ends a hold: gives its units back if they are still held, lets `charge` do its part, and keeps the answer.
fn close(
    book: &mut Book,
    hold: &Hold,
    state: HoldState,
    now: Timestamp,
    charge: impl FnOnce(&mut [Counter]),
) -> Result<Numbers, Refusal> {
    if hold.state == HoldState::Open {
        free(&mut book.counters, hold);
    }
    charge(&mut book.counters);
    let numbers = numbers(book, hold)?;
    if let Some(stored) = book.holds.get_mut(&hold.hold_id) {
        stored.state = state;
        stored.closed = Some((now, numbers));
        stored.changed = true;
    }
    Ok(numbers)
}

/// The numbers of the hold's counter in the hold's period.
fn numbers(book: &Book, hold: &Hold) -> Result<Numbers, Refusal> {
    let counter = book.counter(hold.period_no, &hold.metric);
    let period = book.period(hold.period_no);
    let (Some((_, counter)), Some(period)) = (counter, period) else { return Err(Refusal::HoldNotFound) };
    Ok(counter.numbers(&period))
}

/// The answer that closed the hold.
fn again(hold: &Hold, units: i64, (recorded_at, numbers): (Timestamp, Numbers)) -> HoldAnswer {
    HoldAnswer {
        hold_id: hold.hold_id.clone(),
        metric: hold.metric.clone(),
        units,
        expires_at: hold.expires_at,
        numbers,
        repeat: true,
        recorded_at,
    }
}

fn open_hold(event: &Event, answer: &Reserved) -> Hold {
    Hold {
        hold_id: answer.hold_id.clone(),
        request_id: event.request_id.clone(),
        period_no: event.period_no,
        metric: event.metric.clone(),
        units: event.units,
        would_deny: event.would_deny,
        state: HoldState::Open,
        taken_at: event.recorded_at,
        expires_at: answer.expires_at,
        closed: None,
        changed: true,
    }
}

fn reserved(event: &Event, repeat: bool) -> Reserved {
    Reserved {
        hold_id: event.hold_id.clone().expect("a reserve names its hold"),
        metric: event.metric.clone(),
        units: event.units,
        expires_at: event.expires_at.unwrap_or(event.recorded_at),
        numbers: event.answer,
        would_deny: event.would_deny,
        repeat,
        recorded_at: event.recorded_at,
    }
}

/// Whether stored events begin with the same reserve.
fn same(events: &[Event], reserve: &Reserve) -> bool {
    events.first().is_some_and(|event| {
        event.verb == Verb::Reserve && event.metric == reserve.metric && event.units == reserve.units.get()
    })
}
