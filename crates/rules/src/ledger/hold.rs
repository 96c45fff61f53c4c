//! Reserve, settle, release, extend: units that wait for their price to be known.
//!
//! A hold belongs to the period it was taken in and settles into it. Its events are lines of the reserve's `request_id`: the
//! reserve is line 0 with a delta of 0, the settle line 1. Where the metric draws on a pool, a companion holds the pool's units; it
//! lives and ends with the hold.

use crate::ids::{HoldId, KeyId};
use crate::ledger::book::free;
use crate::ledger::decide::{first_time, quota_denial};
use crate::ledger::demand::{Demand, line};
use crate::ledger::{
    Book, Counter, DRAW_LINE, Event, Extend, Hold, HoldAnswer, HoldState, Numbers, OpenPeriod, Outcome, Refusal,
    Release, Reserve, Reserved, Settle, TOTAL_MAX, Verb, companion, is_companion, slice,
};
use crate::time::Timestamp;

/// Takes a hold, repeats its first answer, or denies it.
pub(crate) fn reserve(
    book: &mut Book,
    reserve: &Reserve,
    by: Option<&KeyId>,
    now: Timestamp,
) -> Result<Outcome<Reserved>, Refusal> {
    if let Some(events) = first_time(book, &reserve.request_id, |events| same(events, reserve))? {
        return Ok(Outcome::Allowed(reserved(events, true)));
    }
    let units = reserve.units.get();
    let open = match book.open_period(&reserve.metric, units, now) {
        Ok(open) => open,
        Err(denial) => return Ok(Outcome::Denied(denial)),
    };
    let line = line(&book.counters, open.no, &reserve.metric, units)?;
    let demand = Demand::default();
    let against = demand.against(&book.counters, &line, book.head.spend_cap)?;
    let against = against.or_else(|| slice::against((&book.slices, by), &book.counters, (&demand, &line)));
    let would_deny = against.is_some();
    if let Some(against) = against.filter(|_| book.head.strict) {
        let requested = line.pool.filter(|(pool, _)| *pool == against.counter).map_or(units, |(_, taken)| taken);
        return Ok(Outcome::Denied(quota_denial(book, against, requested, now)));
    }
    let asked = Asked { reserve, by, open, now, would_deny };
    let mut events = vec![asked.hold(book, (line.counter, units), &reserve.hold_id, 0)];
    if let Some((pool, taken)) = line.pool {
        events.push(asked.hold(book, (pool, taken), &companion(&reserve.hold_id), DRAW_LINE));
    }
    let answer = reserved(&events, false);
    book.append(&reserve.request_id, events);
    Ok(Outcome::Allowed(answer))
}

/// A hold that is taken.
struct Asked<'a> {
    reserve: &'a Reserve,
    /// The key that asks, where it has a slice.
    by: Option<&'a KeyId>,
    open: OpenPeriod,
    now: Timestamp,
    would_deny: bool,
}

impl Asked<'_> {
    /// Holds units of one counter; the line that says so.
    fn hold(&self, book: &mut Book, (index, units): (usize, i64), hold_id: &HoldId, item_no: i64) -> Event {
        let counter = book.counters.get_mut(index).expect("the index was found in this book");
        counter.held = counter.held.saturating_add(units);
        counter.changed = true;
        let event = Event {
            request_id: self.reserve.request_id.clone(),
            item_no,
            period_no: self.open.no,
            metric: counter.metric.clone(),
            verb: Verb::Reserve,
            delta: 0,
            units,
            forced: 0,
            occurred_at: None,
            recorded_at: self.now,
            reason: None,
            source: self.reserve.source.clone(),
            corrects: None,
            hold_id: Some(hold_id.clone()),
            expires_at: Some(self.now.plus(self.reserve.ttl.duration())),
            would_deny: self.would_deny,
            answer: counter.numbers(&self.open),
        };
        let bound = slice::bounds(&book.slices, self.by, (event.period_no, &event.metric));
        let hold = Hold { slice: self.by.filter(|_| bound).cloned(), ..open_hold(&event, hold_id) };
        slice::hold(&mut book.slices, &hold);
        book.holds.insert(hold_id.clone(), hold);
        event
    }
}

/// Charges a hold: what is above it, or comes after its expiry, is counted as forced, because the work was done.
pub(crate) fn settle(book: &mut Book, settle: &Settle, now: Timestamp) -> Result<HoldAnswer, Refusal> {
    let hold = find(book, &settle.hold_id)?;
    let units = settle.units.get();
    let within = match (hold.state, hold.closed) {
        (HoldState::Open, _) if !hold.would_deny => units.min(hold.units),
        (HoldState::Open | HoldState::Expired, _) => 0,
        (HoldState::Settled { units: charged }, Some(_)) if charged == units => {
            return again(book, &hold, charged);
        }
        (HoldState::Settled { .. } | HoldState::Released, _) => return Err(Refusal::HoldEnded),
    };
    let pool = pool_of(book, &hold);
    let charge = Charge { units, forced: units.saturating_sub(within), now };
    let pooled = match &pool {
        None => None,
        Some((pool, rate)) => Some((pool, charge.times(*rate, pool)?)),
    };
    // Both must be countable before either is counted.
    charge.check(book, &hold)?;
    if let Some((pool, charge)) = &pooled {
        charge.check(book, pool)?;
        charge.settle(book, pool, DRAW_LINE.saturating_add(1))?;
    }
    charge.settle(book, &hold, 1)?;
    let closed = find(book, &settle.hold_id)?;
    Ok(HoldAnswer { repeat: false, ..again(book, &closed, units)? })
}

/// What a settle charges from one hold.
#[derive(Clone, Copy)]
struct Charge {
    units: i64,
    forced: i64,
    now: Timestamp,
}

impl Charge {
    /// The same in units of a pool.
    fn times(self, rate: i64, pool: &Hold) -> Result<Charge, Refusal> {
        let units = self.units.checked_mul(rate).ok_or_else(|| Refusal::TotalTooLarge(pool.metric.clone()))?;
        Ok(Charge { units, forced: self.forced.saturating_mul(rate), ..self })
    }

    /// The sum it makes.
    fn check(&self, book: &Book, hold: &Hold) -> Result<(usize, i64), Refusal> {
        let (index, counter) =
            book.counter(hold.period_no, &hold.metric).ok_or_else(|| Refusal::UnknownMetric(hold.metric.clone()))?;
        let used = counter.used.checked_add(self.units).filter(|used| *used <= TOTAL_MAX);
        used.map(|used| (index, used)).ok_or_else(|| Refusal::TotalTooLarge(hold.metric.clone()))
    }

    fn settle(&self, book: &mut Book, hold: &Hold, item_no: i64) -> Result<(), Refusal> {
        let (index, used) = self.check(book, hold)?;
        let numbers = close(book, hold, HoldState::Settled { units: self.units }, self.now, |counters| {
            if let Some(counter) = counters.get_mut(index) {
                counter.used = used;
                counter.changed = true;
            }
        })?;
        slice::charge(&mut book.slices, hold, self.units);
        book.append_line(Event {
            request_id: hold.request_id.clone(),
            item_no,
            period_no: hold.period_no,
            metric: hold.metric.clone(),
            verb: Verb::Settle,
            delta: self.units,
            units: self.units,
            forced: self.forced,
            occurred_at: None,
            recorded_at: self.now,
            reason: None,
            source: "api".to_owned(),
            corrects: None,
            hold_id: Some(hold.hold_id.clone()),
            expires_at: None,
            would_deny: hold.would_deny,
            answer: numbers,
        });
        Ok(())
    }
}

/// Frees a hold; one whose time ran out is free already.
pub(crate) fn release(book: &mut Book, release: &Release, now: Timestamp) -> Result<HoldAnswer, Refusal> {
    let hold = find(book, &release.hold_id)?;
    match (hold.state, hold.closed) {
        (HoldState::Open | HoldState::Expired, _) => {
            if let Some((pool, _)) = pool_of(book, &hold) {
                close(book, &pool, HoldState::Released, now, |_| ())?;
            }
            close(book, &hold, HoldState::Released, now, |_| ())?;
            let closed = find(book, &release.hold_id)?;
            Ok(HoldAnswer { repeat: false, ..again(book, &closed, 0)? })
        }
        (HoldState::Released, Some(_)) => again(book, &hold, 0),
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
    let mut numbers = numbers(book, &hold)?;
    if let Some((pool, rate)) = pool_of(book, &hold) {
        numbers = numbers.drawing(&self::numbers(book, &pool)?, rate);
    }
    for hold_id in [extend.hold_id.clone(), companion(&extend.hold_id)] {
        if let Some(stored) = book.holds.get_mut(&hold_id) {
            stored.changed |= stored.expires_at != expires_at;
            stored.expires_at = expires_at;
        }
    }
    Ok(HoldAnswer { expires_at, repeat: false, ..told(&hold, 0, (now, numbers)) })
}

fn find(book: &Book, hold_id: &HoldId) -> Result<Hold, Refusal> {
    book.holds.get(hold_id).filter(|_| !is_companion(hold_id)).cloned().ok_or(Refusal::HoldNotFound)
}

/// What a hold holds of a pool, and at which rate it was taken: the rate may be another one by now.
fn pool_of(book: &Book, hold: &Hold) -> Option<(Hold, i64)> {
    let pool = book.holds.get(&companion(&hold.hold_id))?.clone();
    let rate = pool.units.checked_div(hold.units)?;
    Some((pool, rate))
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
        free(&mut book.counters, &mut book.slices, hold);
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
fn again(book: &Book, hold: &Hold, units: i64) -> Result<HoldAnswer, Refusal> {
    let (at, numbers) = hold.closed.ok_or(Refusal::HoldEnded)?;
    let pool = pool_of(book, hold).and_then(|(pool, rate)| Some((pool.closed?.1, rate)));
    let numbers = pool.map_or(numbers, |(pool, rate)| numbers.drawing(&pool, rate));
    Ok(told(hold, units, (at, numbers)))
}

fn told(hold: &Hold, units: i64, (recorded_at, numbers): (Timestamp, Numbers)) -> HoldAnswer {
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

fn open_hold(event: &Event, hold_id: &HoldId) -> Hold {
    Hold {
        hold_id: hold_id.clone(),
        request_id: event.request_id.clone(),
        period_no: event.period_no,
        metric: event.metric.clone(),
        units: event.units,
        slice: None,
        would_deny: event.would_deny,
        state: HoldState::Open,
        taken_at: event.recorded_at,
        expires_at: event.expires_at.unwrap_or(event.recorded_at),
        closed: None,
        changed: true,
    }
}

fn reserved(lines: &[Event], repeat: bool) -> Reserved {
    let event = lines.first().expect("a known id has at least one event");
    Reserved {
        hold_id: event.hold_id.clone().expect("a reserve names its hold"),
        metric: event.metric.clone(),
        units: event.units,
        expires_at: event.expires_at.unwrap_or(event.recorded_at),
        numbers: event.shown(lines),
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
