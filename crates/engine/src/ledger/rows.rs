//! Between rows and the words of the rules.

use tollgate_rules::catalog::{DenyStatus, Draws, OveragePolicy};
use tollgate_rules::ids::{HoldId, InvalidId, KeyId, Metric, OrgKey, PlanCode, RequestId};
use tollgate_rules::ledger::{
    Counter, Event, Head, Hold, HoldState, Limit, Numbers, OpenPeriod, Slice, SpendCap, Verb,
};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::subscription::Access;

use crate::db::{Columns, Error, Row};

/// The org a row belongs to.
pub(super) fn org_key(row: &Row) -> Result<OrgKey, Error> {
    row.i64("org_key").map(OrgKey)
}

pub(super) fn head(row: &Row) -> Result<Head, Error> {
    Ok(Head {
        access: Access::parse(&row.text("access")?).ok_or_else(|| unreadable("access"))?,
        plan_code: plan_code(row.opt_text("plan_code")?)?,
        plan_version: row.opt_i64("plan_version")?.and_then(|version| u32::try_from(version).ok()),
        trial_of: plan_code(row.opt_text("trial_of")?)?,
        deny_status: DenyStatus::from_code(row.i64("deny_status")?).ok_or_else(|| unreadable("deny_status"))?,
        strict: row.bool("strict")?,
        period: match row.opt_i64("period_no")? {
            Some(_) => Some(period(row)?),
            None => None,
        },
        spend_cap: row.opt_i64("spend_cap")?.map(|minor| SpendCap { minor }),
        valid_until: row.time("valid_until")?,
        org_name: row.text("org_name")?,
        sliced: row.bool("sliced")?,
    })
}

/// A period from the columns `period_no period_key period_start period_end`.
pub(super) fn period(row: &Row) -> Result<OpenPeriod, Error> {
    Ok(OpenPeriod {
        no: row.i64("period_no")?,
        key: PeriodKey::parse(&row.text("period_key")?).map_err(|_| unreadable("period_key"))?,
        period: Period::new(row.time("period_start")?, row.time("period_end")?),
    })
}

pub(super) fn counter(row: &Row) -> Result<Counter, Error> {
    Ok(Counter {
        period_no: row.i64("period_no")?,
        metric: metric(row)?,
        limit: limit(row)?,
        draws: draws(row)?,
        used: row.i64("used")?,
        held: row.i64("held")?,
        changed: false,
    })
}

pub(super) fn slice(row: &Row) -> Result<Slice, Error> {
    Ok(Slice {
        key_id: id(KeyId::parse(&row.text("key_id")?))?,
        period_no: row.i64("period_no")?,
        metric: metric(row)?,
        units: row.i64("units")?,
        used: row.i64("used")?,
        held: row.i64("held")?,
        changed: false,
    })
}

pub(super) fn event(row: &Row) -> Result<Event, Error> {
    Ok(Event {
        request_id: id(RequestId::parse(&row.text("request_id")?))?,
        item_no: row.i64("item_no")?,
        period_no: row.i64("period_no")?,
        metric: metric(row)?,
        verb: Verb::parse(&row.text("verb")?).ok_or_else(|| unreadable("verb"))?,
        delta: row.i64("delta")?,
        units: row.i64("units")?,
        forced: row.i64("forced")?,
        occurred_at: row.opt_time("occurred_at")?,
        recorded_at: row.time("recorded_at")?,
        reason: row.opt_text("reason")?,
        source: row.text("source")?,
        corrects: row.opt_text("corrects")?.map(|text| id(RequestId::parse(&text))).transpose()?,
        hold_id: row.opt_text("hold_id")?.map(|text| id(HoldId::parse(&text))).transpose()?,
        expires_at: row.opt_time("expires_at")?,
        would_deny: row.bool("would_deny")?,
        answer: Numbers::of(&limit(row)?, row.i64("used")?, row.i64("held")?, &period(row)?),
    })
}

pub(super) fn hold(row: &Row) -> Result<Hold, Error> {
    let closed = match row.opt_time("closed_at")? {
        Some(at) => Some((at, Numbers::of(&limit(row)?, row.i64("used")?, row.i64("held")?, &period(row)?))),
        None => None,
    };
    let state = match row.text("state")?.as_str() {
        "open" => HoldState::Open,
        "expired" => HoldState::Expired,
        "settled" => HoldState::Settled { units: row.i64("charged")? },
        "released" => HoldState::Released,
        _ => return Err(unreadable("state")),
    };
    Ok(Hold {
        hold_id: id(HoldId::parse(&row.text("hold_id")?))?,
        request_id: id(RequestId::parse(&row.text("request_id")?))?,
        period_no: row.i64("period_no")?,
        metric: metric(row)?,
        units: row.i64("units")?,
        slice: row.opt_text("slice")?.map(|text| id(KeyId::parse(&text))).transpose()?,
        would_deny: row.bool("would_deny")?,
        state,
        taken_at: row.time("taken_at")?,
        expires_at: row.time("expires_at")?,
        closed,
        changed: false,
    })
}

/// The limit in the columns `included granted metered_minor metered_units limit_version`.
fn limit(row: &Row) -> Result<Limit, Error> {
    let policy = match row.opt_i64("metered_units")? {
        None => OveragePolicy::HardStop,
        Some(per_units) => OveragePolicy::Metered { amount_minor: row.i64("metered_minor")?, per_units },
    };
    Ok(Limit {
        included: row.opt_i64("included")?,
        granted: row.i64("granted")?,
        policy,
        version: row.i64("limit_version")?,
    })
}

/// The pool in the columns `pool pool_rate`.
fn draws(row: &Row) -> Result<Option<Draws>, Error> {
    let Some(pool) = row.opt_text("pool")? else { return Ok(None) };
    Ok(Some(Draws { pool: id(Metric::parse(&pool))?, rate: row.i64("pool_rate")? }))
}

/// What `metered_minor` and `metered_units` say of a policy.
pub(super) fn metered(policy: OveragePolicy) -> (Option<i64>, Option<i64>) {
    match policy {
        OveragePolicy::HardStop => (None, None),
        OveragePolicy::Metered { amount_minor, per_units } => (Some(amount_minor), Some(per_units)),
    }
}

pub(super) fn metric(row: &Row) -> Result<Metric, Error> {
    id(Metric::parse(&row.text("metric")?))
}

fn plan_code(text: Option<String>) -> Result<Option<PlanCode>, Error> {
    text.map(|text| id(PlanCode::parse(&text))).transpose()
}

/// A stored id that breaks its own rules was not written by this program.
pub(super) fn id<T>(parsed: Result<T, InvalidId>) -> Result<T, Error> {
    parsed.map_err(|error| Error::Bug(format!("the ledger holds an id it cannot have written: {error}")))
}

fn unreadable(column: &str) -> Error {
    Error::Bug(format!("the ledger cannot read its own column {column}"))
}

/// Counters as rows of `save_counters`.
pub(super) fn counter_columns(counters: &[(OrgKey, &Counter)]) -> Columns {
    let number = |value: fn(&Counter) -> Option<i64>| counters.iter().map(|(_, counter)| value(counter)).collect();
    Columns::new()
        .numbers(counters.iter().map(|(org_key, _)| Some(org_key.0)).collect())
        .numbers(number(|counter| Some(counter.period_no)))
        .texts(counters.iter().map(|(_, counter)| Some(counter.metric.as_str().to_owned())).collect())
        .numbers(number(|counter| counter.limit.included))
        .numbers(number(|counter| Some(counter.limit.granted)))
        .numbers(number(|counter| metered(counter.limit.policy).0))
        .numbers(number(|counter| metered(counter.limit.policy).1))
        .numbers(number(|counter| Some(counter.limit.version)))
        .numbers(number(|counter| Some(counter.used)))
        .numbers(number(|counter| Some(counter.held)))
}

/// Holds as rows of `save_holds`.
pub(super) fn hold_columns(holds: &[(OrgKey, &Hold)]) -> Columns {
    let number = |value: fn(&Hold) -> Option<i64>| holds.iter().map(|(_, hold)| value(hold)).collect();
    let text = |value: fn(&Hold) -> &str| holds.iter().map(|(_, hold)| Some(value(hold).to_owned())).collect();
    let charged = |hold: &Hold| match hold.state {
        HoldState::Settled { units } => Some(units),
        HoldState::Open | HoldState::Expired | HoldState::Released => None,
    };
    Columns::new()
        .numbers(holds.iter().map(|(org_key, _)| Some(org_key.0)).collect())
        .texts(text(|hold| hold.hold_id.as_str()))
        .texts(text(|hold| hold.request_id.as_str()))
        .numbers(number(|hold| Some(hold.period_no)))
        .texts(text(|hold| hold.metric.as_str()))
        .numbers(number(|hold| Some(hold.units)))
        .numbers(number(|hold| Some(i64::from(hold.would_deny))))
        .texts(text(|hold| hold.state.as_str()))
        .numbers(number(charged))
        .numbers(number(|hold| Some(hold.taken_at.as_micros())))
        .numbers(number(|hold| Some(hold.expires_at.as_micros())))
        .numbers(number(|hold| hold.closed.map(|(at, _)| at.as_micros())))
        .numbers(number(|hold| hold.closed.map(|(_, numbers)| numbers.used)))
        .numbers(number(|hold| hold.closed.map(|(_, numbers)| numbers.held)))
        .numbers(number(|hold| hold.closed.map(|(_, numbers)| numbers.limit_version)))
        .texts(holds.iter().map(|(_, hold)| hold.slice.as_ref().map(|key_id| key_id.as_str().to_owned())).collect())
}

/// Slices as rows of `save_slices`.
pub(super) fn slice_columns(slices: &[(OrgKey, &Slice)]) -> Columns {
    let number = |value: fn(&Slice) -> i64| slices.iter().map(|(_, slice)| Some(value(slice))).collect();
    Columns::new()
        .numbers(slices.iter().map(|(org_key, _)| Some(org_key.0)).collect())
        .numbers(number(|slice| slice.period_no))
        .texts(slices.iter().map(|(_, slice)| Some(slice.key_id.as_str().to_owned())).collect())
        .texts(slices.iter().map(|(_, slice)| Some(slice.metric.as_str().to_owned())).collect())
        .numbers(number(|slice| slice.used))
        .numbers(number(|slice| slice.held))
}

/// Events as rows of `append_events`.
pub(super) fn event_columns(events: &[(OrgKey, &str, &Event)]) -> Columns {
    let number = |value: fn(&Event) -> Option<i64>| events.iter().map(|(_, _, event)| value(event)).collect();
    let text = |value: fn(&Event) -> Option<&str>| {
        events.iter().map(|(_, _, event)| value(event).map(str::to_owned)).collect()
    };
    Columns::new()
        .numbers(events.iter().map(|(org_key, _, _)| Some(org_key.0)).collect())
        .texts(text(|event| Some(event.request_id.as_str())))
        .numbers(number(|event| Some(event.item_no)))
        .numbers(number(|event| Some(event.period_no)))
        .texts(text(|event| Some(event.metric.as_str())))
        .texts(text(|event| Some(event.verb.as_str())))
        .numbers(number(|event| Some(event.delta)))
        .numbers(number(|event| Some(event.units)))
        .numbers(number(|event| Some(event.forced)))
        .numbers(number(|event| event.occurred_at.map(|at| at.as_micros())))
        .numbers(number(|event| Some(event.recorded_at.as_micros())))
        .texts(events.iter().map(|(_, actor, _)| Some((*actor).to_owned())).collect())
        .texts(text(|event| Some(event.source.as_str())))
        .texts(text(|event| event.reason.as_deref()))
        .texts(text(|event| event.corrects.as_ref().map(RequestId::as_str)))
        .texts(text(|event| event.hold_id.as_ref().map(HoldId::as_str)))
        .numbers(number(|event| event.expires_at.map(|at| at.as_micros())))
        .numbers(number(|event| Some(i64::from(event.would_deny))))
        .numbers(number(|event| Some(event.answer.used)))
        .numbers(number(|event| Some(event.answer.held)))
        .numbers(number(|event| Some(event.answer.limit_version)))
}
