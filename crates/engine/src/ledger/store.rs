//! The narrow seam to storage: load counters and known ids; append a decided group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tollgate_rules::ids::{HoldId, Metric, OrgKey};
use tollgate_rules::ledger::{Book, Command, Event, Head, Slice, Standing, Verb, companion};
use tollgate_rules::time::Timestamp;

use super::book::{Books, OrgBook};
use super::guess::Ids;
use super::queue::Entry;
use super::{rollover, rows, sql};
use crate::db::{Columns, Connection, Error, Tx};
use crate::engine::Engine;

/// Locks the orgs of a group and loads all that its commands need. The second value says whether opening something wrote already.
pub(super) async fn load(
    engine: &Engine,
    tx: &mut Tx,
    entries: &[&Entry],
    (ids, now): (Ids, Timestamp),
) -> Result<(Books, bool), Error> {
    let orgs: BTreeSet<OrgKey> = entries.iter().map(|entry| entry.org_key).collect();
    let orgs: Vec<OrgKey> = orgs.into_iter().collect();
    let (heads, opened) = rollover::heads_at(engine, tx, &orgs, now).await?;
    let mut books: Books =
        heads.into_iter().map(|(org, head)| (org, OrgBook::new(Book::new(head, Vec::new())))).collect();
    if ids == Ids::LookedUp {
        load_known(tx, entries, &mut books).await?;
    }
    load_named_holds(tx, entries, &mut books).await?;
    load_counters(tx, &mut books).await?;
    let looked: BTreeSet<OrgKey> =
        entries.iter().filter(|entry| entry.commands.is_empty()).map(|entry| entry.org_key).collect();
    load_holds(tx, &mut books, (&looked, now)).await?;
    load_past(tx, &mut books).await?;
    load_slices(tx, &mut books, now).await?;
    Ok((books, opened))
}

/// Reads an org's standing without a lock; nothing when it has no head yet.
pub(super) async fn read_standing(
    connection: &mut Connection,
    org_key: OrgKey,
    now: Timestamp,
) -> Result<Option<Standing>, Error> {
    let rows = sql::heads(connection, &[org_key]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let head: Head = rows::head(row)?;
    let Some(open) = head.period else { return Ok(Some(Book::new(head, Vec::new()).standing(Timestamp::MAX))) };
    let counters = sql::counters(connection, &[(org_key, open.no)]).await?;
    let counters = counters.iter().map(rows::counter).collect::<Result<Vec<_>, _>>()?;
    let holds = counters.iter().any(|counter| counter.held > 0);
    let mut holds_until = Timestamp::MAX;
    if holds {
        // From the beginning of time: a hold that has run out already makes this standing due, so that the writer frees it.
        let ends = sql::next_hold_end(connection, &[org_key], Timestamp::MIN).await?;
        holds_until =
            ends.first().map(|row| row.opt_time("expires_at")).transpose()?.flatten().unwrap_or(Timestamp::MAX);
    }
    let mut book = Book::new(head, counters);
    if book.head.sliced {
        book.slices =
            read_slices(connection, &[(org_key, open.no)], now).await?.into_iter().map(|(_, of)| of).collect();
    }
    Ok(Some(book.standing(holds_until)))
}

/// The events of every id that a command of the group names.
async fn load_known(tx: &mut Tx, entries: &[&Entry], books: &mut Books) -> Result<(), Error> {
    let mut ids: Vec<(OrgKey, &str)> = Vec::new();
    for entry in entries {
        for command in &entry.commands {
            ids.extend(command.request_id().map(|id| (entry.org_key, id.as_str())));
            if let Command::Correct(correct) = command {
                ids.push((entry.org_key, correct.corrects.as_str()));
            }
        }
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    for row in sql::known_events(tx, &ids).await? {
        if let Some(book) = books.get_mut(&rows::org_key(&row)?) {
            book.book.know(rows::event(&row)?);
        }
    }
    Ok(())
}

async fn load_named_holds(tx: &mut Tx, entries: &[&Entry], books: &mut Books) -> Result<(), Error> {
    let mut ids: Vec<(OrgKey, HoldId)> = Vec::new();
    for entry in entries {
        let named = entry.commands.iter().filter_map(Command::hold_id);
        ids.extend(
            named.flat_map(|hold_id| [hold_id.clone(), companion(hold_id)]).map(|hold_id| (entry.org_key, hold_id)),
        );
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    for row in sql::holds_by_id(tx, &ids).await? {
        if let Some(book) = books.get_mut(&rows::org_key(&row)?) {
            let hold = rows::hold(&row)?;
            book.book.holds.insert(hold.hold_id.clone(), hold);
        }
    }
    Ok(())
}

/// The counters of the open periods, and of the periods that known events and holds reach into.
async fn load_counters(tx: &mut Tx, books: &mut Books) -> Result<(), Error> {
    let mut periods: BTreeSet<(OrgKey, i64)> = BTreeSet::new();
    for (org_key, org) in books.iter() {
        periods.extend(org.book.head.period.map(|open| (*org_key, open.no)));
        periods.extend(org.book.holds.values().map(|hold| (*org_key, hold.period_no)));
        periods.extend(org.book.known_periods().map(|period_no| (*org_key, period_no)));
    }
    read_counters(tx, &periods, books).await
}

async fn read_counters(tx: &mut Tx, periods: &BTreeSet<(OrgKey, i64)>, books: &mut Books) -> Result<(), Error> {
    if periods.is_empty() {
        return Ok(());
    }
    let periods: Vec<(OrgKey, i64)> = periods.iter().copied().collect();
    for row in sql::counters(tx, &periods).await? {
        if let Some(book) = books.get_mut(&rows::org_key(&row)?) {
            book.book.counters.push(rows::counter(&row)?);
        }
    }
    Ok(())
}

/// Where something is held, or someone only looks: the holds that ran out, and when the next one does.
async fn load_holds(
    tx: &mut Tx,
    books: &mut Books,
    (looked, now): (&BTreeSet<OrgKey>, Timestamp),
) -> Result<(), Error> {
    let holding = |org: &OrgBook| org.book.counters.iter().any(|counter| counter.held > 0);
    let concerned = books.iter().filter(|(org_key, org)| holding(org) || looked.contains(org_key));
    let orgs: Vec<OrgKey> = concerned.map(|(org_key, _)| *org_key).collect();
    if orgs.is_empty() {
        return Ok(());
    }
    for row in sql::expired_holds(tx, &orgs, now).await? {
        if let Some(org) = books.get_mut(&rows::org_key(&row)?) {
            let hold = rows::hold(&row)?;
            org.book.holds.entry(hold.hold_id.clone()).or_insert(hold);
        }
    }
    for row in sql::next_hold_end(tx, &orgs, now).await? {
        if let Some(org) = books.get_mut(&rows::org_key(&row)?) {
            org.next_hold_end = row.opt_time("expires_at")?.unwrap_or(Timestamp::MAX);
        }
    }
    let mut missing = BTreeSet::new();
    for (org_key, org) in books.iter() {
        let loaded = |period_no: i64| org.book.counters.iter().any(|counter| counter.period_no == period_no);
        missing.extend(
            org.book.holds.values().filter(|hold| !loaded(hold.period_no)).map(|hold| (*org_key, hold.period_no)),
        );
    }
    read_counters(tx, &missing, books).await
}

/// The labels and ends of earlier periods whose counters were loaded.
async fn load_past(tx: &mut Tx, books: &mut Books) -> Result<(), Error> {
    let mut periods: BTreeSet<(OrgKey, i64)> = BTreeSet::new();
    for (org_key, org) in books.iter() {
        let open = org.book.head.period.map(|open| open.no);
        let past = org.book.counters.iter().filter(|counter| Some(counter.period_no) != open);
        periods.extend(past.map(|counter| (*org_key, counter.period_no)));
    }
    if periods.is_empty() {
        return Ok(());
    }
    let periods: Vec<(OrgKey, i64)> = periods.into_iter().collect();
    for row in sql::periods_by_no(tx, &periods).await? {
        if let Some(org) = books.get_mut(&rows::org_key(&row)?) {
            org.book.past.push(rows::period(&row)?);
        }
    }
    Ok(())
}

/// How long after its last key ended a slice is still looked at: a call that was let in with the key may wait for its turn.
const SLICE_OUTLIVES_KEY: Duration = Duration::from_secs(3600);

/// The slices of orgs whose keys have any, in every period that a counter was loaded of.
async fn load_slices(tx: &mut Tx, books: &mut Books, now: Timestamp) -> Result<(), Error> {
    let mut periods: BTreeSet<(OrgKey, i64)> = BTreeSet::new();
    for (org_key, org) in books.iter().filter(|(_, org)| org.book.head.sliced) {
        periods.extend(org.book.counters.iter().map(|counter| (*org_key, counter.period_no)));
    }
    if periods.is_empty() {
        return Ok(());
    }
    let periods: Vec<(OrgKey, i64)> = periods.into_iter().collect();
    for (org_key, slice) in read_slices(tx, &periods, now).await? {
        if let Some(org) = books.get_mut(&org_key) {
            org.book.slices.push(slice);
        }
    }
    Ok(())
}

async fn read_slices(
    connection: &mut Connection,
    periods: &[(OrgKey, i64)],
    now: Timestamp,
) -> Result<Vec<(OrgKey, Slice)>, Error> {
    let read = sql::slices(connection, periods, now.minus(SLICE_OUTLIVES_KEY)).await?;
    read.iter().map(|row| Ok((rows::org_key(row)?, rows::slice(row)?))).collect()
}

/// Writes what grew in the books: events with their first answers, counters, holds, rollups, in a few statements.
///
/// # Errors
/// [`Error::Conflict`] when an id turned out to be known after all.
pub(super) async fn append(tx: &mut Tx, books: &Books) -> Result<(), Error> {
    let written = || books.iter().filter(|(_, org)| org.must_write());
    let mut events: Vec<(OrgKey, &str, &Event)> = Vec::new();
    for (org_key, org) in written() {
        let authored = org.book.appended.iter().zip(&org.actors);
        events.extend(authored.map(|(event, actor)| (*org_key, actor.as_ref(), event)));
    }
    if !events.is_empty() {
        let expected = u64::try_from(events.len()).unwrap_or(u64::MAX);
        if sql::append_events(tx, rows::event_columns(&events)).await? != expected {
            return Err(Error::Conflict("usage_events_once".to_owned()));
        }
        let rollups = rollup_columns(&events);
        sql::count_rollups(tx, rollups).await?;
    }
    let counters = written().flat_map(|(org_key, org)| org.book.counters.iter().map(|counter| (*org_key, counter)));
    let counters: Vec<_> = counters.filter(|(_, counter)| counter.changed).collect();
    if !counters.is_empty() {
        sql::save_counters(tx, rows::counter_columns(&counters)).await?;
    }
    let holds = written().flat_map(|(org_key, org)| org.book.holds.values().map(|hold| (*org_key, hold)));
    let holds: Vec<_> = holds.filter(|(_, hold)| hold.changed).collect();
    if !holds.is_empty() {
        sql::save_holds(tx, rows::hold_columns(&holds)).await?;
    }
    let slices = written().flat_map(|(org_key, org)| org.book.slices.iter().map(|slice| (*org_key, slice)));
    let slices: Vec<_> = slices.filter(|(_, slice)| slice.changed).collect();
    if !slices.is_empty() {
        sql::save_slices(tx, rows::slice_columns(&slices)).await?;
    }
    Ok(())
}

/// An hour of an org, a metric and a caller.
type Hour<'a> = (OrgKey, i64, &'a Metric, i64, &'a str);

fn rollup_columns(events: &[(OrgKey, &str, &Event)]) -> Columns {
    const HOUR_MICROS: i64 = 3_600_000_000;
    let mut hours: BTreeMap<Hour<'_>, (i64, i64)> = BTreeMap::new();
    for (org_key, actor, event) in events {
        if event.verb == Verb::Reserve {
            continue;
        }
        let micros = event.recorded_at.as_micros();
        let hour = micros.saturating_sub(micros.rem_euclid(HOUR_MICROS));
        let (units, count) = hours.entry((*org_key, hour, &event.metric, event.period_no, actor)).or_default();
        *units = units.saturating_add(event.delta);
        *count += 1;
    }
    let number = |value: fn(&Hour<'_>) -> i64| hours.keys().map(|hour| Some(value(hour))).collect();
    Columns::new()
        .numbers(number(|hour| hour.0.0))
        .numbers(number(|hour| hour.1))
        .texts(hours.keys().map(|hour| Some(hour.2.as_str().to_owned())).collect())
        .numbers(number(|hour| hour.3))
        .texts(hours.keys().map(|hour| Some(hour.4.to_owned())).collect())
        .numbers(hours.values().map(|(units, _)| Some(*units)).collect())
        .numbers(hours.values().map(|(_, count)| Some(*count)).collect())
}

/// The name of a caller, shared by its events.
pub(super) fn shared(actor: &str) -> Arc<str> {
    Arc::from(actor)
}
