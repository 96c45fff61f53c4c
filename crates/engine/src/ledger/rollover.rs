//! Rollover: the next period opens by itself, exactly once, by whoever comes first after its start, from stored facts.
//!
//! All of this happens under the lock of the org's head row.

use std::collections::BTreeMap;

use tollgate_rules::catalog::Draws;
use tollgate_rules::entitlement::{self, OrgFacts, Resolved, resolve};
use tollgate_rules::ids::{Metric, OrgKey, PlanCode, SubscriptionId};
use tollgate_rules::ledger::{Counter, Head, Limit, OpenPeriod, SpendCap};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::time::Timestamp;

use super::ended::{Ended, ended, paid};
use super::{carry, debts, facts, rows, sql};
use crate::db::{Arg, Columns, Error, Tx};
use crate::engine::Engine;
use crate::{grants, metering};

/// Periods that one rollover opens at most: a server that slept a hundred years.
const SLEPT_PERIODS_MAX: usize = 1_200;

/// Resolves an org anew after something that decides its rights changed, in the transaction of that change: limits, access and period
/// hold from its commit on. Afterwards call `engine.ledger().forget(org_key)`.
///
/// # Errors
/// [`Error::Unavailable`] when the database does not answer.
pub async fn refresh(engine: &Engine, tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    let heads = locked(tx, &[org_key]).await?;
    if let Some(head) = heads.get(&org_key) {
        let now = head.period.map_or(engine.now(), |open| engine.now().max(open.period.start));
        resolve_head(engine, tx, org_key, head, now).await?;
    }
    Ok(())
}

/// Locks an org's head until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    locked(tx, &[org_key]).await.map(|_| ())
}

/// The locked heads of orgs as they are at `now`; what is due is opened first. The second value says whether that wrote anything.
pub(super) async fn heads_at(
    engine: &Engine,
    tx: &mut Tx,
    orgs: &[OrgKey],
    clock: Timestamp,
) -> Result<(BTreeMap<OrgKey, Head>, bool), Error> {
    let mut heads = locked(tx, orgs).await?;
    let mut opened = false;
    for (org_key, head) in &mut heads {
        // A clock that went back re-opens nothing.
        let now = head.period.map_or(clock, |open| clock.max(open.period.start));
        if now >= head.valid_until {
            *head = resolve_head(engine, tx, *org_key, head, now).await?;
            opened = true;
        }
    }
    Ok((heads, opened))
}

/// Locks the heads of orgs in the order of their keys; an org that has none gets one that is due at once.
async fn locked(tx: &mut Tx, orgs: &[OrgKey]) -> Result<BTreeMap<OrgKey, Head>, Error> {
    let mut heads = read_locked(tx, orgs).await?;
    let missing: Vec<OrgKey> = orgs.iter().filter(|org_key| !heads.contains_key(org_key)).copied().collect();
    if !missing.is_empty() {
        for org_key in &missing {
            sql::insert_head(tx, *org_key).await?;
        }
        heads.append(&mut read_locked(tx, &missing).await?);
    }
    Ok(heads)
}

async fn read_locked(tx: &mut Tx, orgs: &[OrgKey]) -> Result<BTreeMap<OrgKey, Head>, Error> {
    let read = sql::heads_locked(tx, orgs).await?;
    read.iter().map(|row| Ok((rows::org_key(row)?, rows::head(row)?))).collect()
}

/// Resolves one org at `now`, opens every period since its last one, and writes its head.
async fn resolve_head(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    head: &Head,
    now: Timestamp,
) -> Result<Head, Error> {
    let mut facts = facts::facts(engine, tx, org_key).await?;
    if let Some(ended) = ended(engine, tx, (org_key, head), now).await? {
        let settled = debts::settle(engine, tx, &ended, &facts).await?;
        if carry::carry(engine, tx, &ended, &facts).await? || settled {
            facts = facts::facts(engine, tx, org_key).await?;
        }
    }
    if let Some((running, at)) = cut_short(engine, tx, (org_key, head), (&facts, now)).await?
        && debts::cut(engine, tx, &running, (&facts.debts, at)).await?
    {
        facts = facts::facts(engine, tx, org_key).await?;
    }
    open_slept(engine, tx, (org_key, &mut facts), (head, now)).await?;
    let resolved = resolve(&facts, now);
    let period = match rights(&resolved) {
        Some(rights) => Some(open(tx, org_key, &resolved, (rights, now)).await?),
        None => None,
    };
    if let Some(open) = period.filter(|_| !facts.grants.is_empty()) {
        grants::count_in(tx, org_key, &open, now).await?;
    }
    if let Some(last) = head.period.filter(|last| period.is_none_or(|open| open.no != last.no)) {
        metering::flush_after(engine, tx, org_key, last.no).await?;
    }
    let head = Head {
        access: resolved.access,
        plan_code: resolved.plan_code.clone(),
        plan_version: resolved.plan_version,
        trial_of: resolved.trial_of.clone(),
        deny_status: resolved.deny_status,
        strict: resolved.strict,
        period,
        spend_cap: resolved.spend_cap.map(|minor| SpendCap { minor }),
        valid_until: period.map_or(resolved.valid_until, |open| open.period.end.min(resolved.valid_until)),
        org_name: head.org_name.clone(),
        sliced: head.sliced,
    };
    sql::save_head(tx, &head_args(org_key, &head, resolved.subscription_id.as_ref())).await?;
    Ok(head)
}

/// The last period, where another one began before it was over, and when.
async fn cut_short(
    engine: &Engine,
    tx: &mut Tx,
    (org_key, head): (OrgKey, &Head),
    (facts, now): (&OrgFacts, Timestamp),
) -> Result<Option<(Ended, Timestamp)>, Error> {
    let Some(last) = head.period.filter(|last| !facts.debts.is_empty() && now < last.period.end) else {
        return Ok(None);
    };
    let Some(new) = resolve(facts, now).period.filter(|new| new.start > last.period.start) else { return Ok(None) };
    Ok(paid(engine, tx, (org_key, head)).await?.map(|running| (running, new.start)))
}

/// Opens the periods that began and ended since the last one was opened, so that none is missing.
async fn open_slept(
    engine: &Engine,
    tx: &mut Tx,
    (org_key, facts): (OrgKey, &mut OrgFacts),
    (head, now): (&Head, Timestamp),
) -> Result<(), Error> {
    let Some(last) = head.period else { return Ok(()) };
    let mut at = last.period.end;
    for _ in 0..SLEPT_PERIODS_MAX {
        if at >= now {
            break;
        }
        let resolved = resolve(facts, at);
        let next = match rights(&resolved) {
            Some(rights) if rights.period.end <= now => {
                open(tx, org_key, &resolved, (rights, now)).await?;
                let plan = (rights.plan_code, rights.plan_version);
                debts::pass(engine, tx, org_key, (&mut facts.debts, plan, rights.period)).await?;
                rights.period.end
            }
            Some(_) => break,
            None => resolved.valid_until,
        };
        if next <= at {
            break;
        }
        at = next;
    }
    Ok(())
}

/// What an org with access has: only then is there a period to count in.
#[derive(Clone, Copy)]
struct Rights<'a> {
    period: Period,
    subscription: &'a SubscriptionId,
    plan_code: &'a PlanCode,
    plan_version: u32,
}

fn rights(resolved: &Resolved) -> Option<Rights<'_>> {
    Some(Rights {
        period: resolved.period?,
        subscription: resolved.subscription_id.as_ref()?,
        plan_code: resolved.plan_code.as_ref()?,
        plan_version: resolved.plan_version?,
    })
}

/// Opens a period, or finds it open, and writes its limits where they changed.
async fn open(
    tx: &mut Tx,
    org_key: OrgKey,
    resolved: &Resolved,
    (rights, now): (Rights<'_>, Timestamp),
) -> Result<OpenPeriod, Error> {
    let period = match sql::period_of(tx, org_key, rights.subscription, rights.period.start).await? {
        Some(row) => {
            let known = rows::period(&row)?;
            if known.period.end != rights.period.end {
                sql::save_period_end(tx, org_key, known.no, rights.period.end).await?;
            }
            OpenPeriod { period: rights.period, ..known }
        }
        None => insert(tx, org_key, rights, now).await?,
    };
    save_limits(tx, org_key, resolved, (period, rights, now)).await?;
    Ok(period)
}

async fn insert(tx: &mut Tx, org_key: OrgKey, rights: Rights<'_>, now: Timestamp) -> Result<OpenPeriod, Error> {
    let known = sql::period_keys(tx, org_key).await?;
    let no = known.first().map_or(Ok(0), |row| row.i64("period_no"))?.saturating_add(1);
    let plain = PeriodKey::label(rights.period.start, 1);
    let mut nth = 1;
    for row in &known {
        let key = PeriodKey::parse(&row.text("period_key")?).map_err(|error| Error::Bug(error.to_string()))?;
        if key.same_month(&plain) {
            nth = nth.max(key.nth().saturating_add(1));
        }
    }
    let key = PeriodKey::label(rights.period.start, nth);
    let args: [Arg; 9] = [
        org_key.0.into(),
        no.into(),
        rights.subscription.as_str().into(),
        key.to_string().into(),
        rights.period.start.into(),
        rights.period.end.into(),
        rights.plan_code.as_str().into(),
        rights.plan_version.into(),
        now.into(),
    ];
    sql::insert_period(tx, &args).await?;
    Ok(OpenPeriod { no, key, period: rights.period })
}

/// Writes the counters whose limit is new or another one, and remembers those limits.
async fn save_limits(
    tx: &mut Tx,
    org_key: OrgKey,
    resolved: &Resolved,
    (period, rights, now): (OpenPeriod, Rights<'_>, Timestamp),
) -> Result<(), Error> {
    let stored = sql::counters(tx, &[(org_key, period.no)]).await?;
    let stored = stored.iter().map(rows::counter).collect::<Result<Vec<Counter>, Error>>()?;
    let mut changed: Vec<Counter> = Vec::new();
    let mut redrawn: Vec<(&Metric, Option<&Draws>)> = Vec::new();
    for (metric, limit) in &resolved.limits {
        let known = stored.iter().find(|counter| counter.metric == *metric);
        let version = known.map_or(0, |counter| counter.limit.version);
        if known.and_then(|counter| counter.draws.as_ref()) != limit.draws.as_ref() {
            redrawn.push((metric, limit.draws.as_ref()));
        }
        let limit = counter_limit(limit, version);
        if known.is_none_or(|counter| counter.limit != limit) {
            let (used, held) = known.map_or((0, 0), |counter| (counter.used, counter.held));
            let limit = Limit { version: version.saturating_add(1), ..limit };
            let (period_no, metric, draws) = (period.no, metric.clone(), None);
            changed.push(Counter { period_no, metric, limit, draws, used, held, changed: true });
        }
    }
    if !changed.is_empty() {
        let changed: Vec<(OrgKey, &Counter)> = changed.iter().map(|counter| (org_key, counter)).collect();
        sql::limit_history(tx, limit_columns(&changed, rights, now)).await?;
        sql::save_counters(tx, rows::counter_columns(&changed)).await?;
    }
    for (metric, draws) in redrawn {
        sql::save_draws(tx, (org_key, period.no), metric, draws).await?;
    }
    Ok(())
}

fn counter_limit(limit: &entitlement::Limit, version: i64) -> Limit {
    Limit { included: limit.included, granted: limit.granted, policy: limit.policy, version }
}

/// Limits as rows of `limit_history`.
fn limit_columns(counters: &[(OrgKey, &Counter)], rights: Rights<'_>, now: Timestamp) -> Columns {
    let number = |value: fn(&Counter) -> Option<i64>| counters.iter().map(|(_, counter)| value(counter)).collect();
    let same = |value: i64| counters.iter().map(|_| Some(value)).collect();
    Columns::new()
        .numbers(counters.iter().map(|(org_key, _)| Some(org_key.0)).collect())
        .numbers(number(|counter| Some(counter.period_no)))
        .texts(counters.iter().map(|(_, counter)| Some(counter.metric.as_str().to_owned())).collect())
        .numbers(number(|counter| Some(counter.limit.version)))
        .numbers(number(|counter| counter.limit.included))
        .numbers(number(|counter| Some(counter.limit.granted)))
        .numbers(number(|counter| rows::metered(counter.limit.policy).0))
        .numbers(number(|counter| rows::metered(counter.limit.policy).1))
        .texts(counters.iter().map(|_| Some(rights.plan_code.as_str().to_owned())).collect())
        .numbers(same(i64::from(rights.plan_version)))
        .numbers(same(now.as_micros()))
}

fn head_args(org_key: OrgKey, head: &Head, subscription: Option<&SubscriptionId>) -> [Arg; 14] {
    let open = head.period;
    [
        org_key.0.into(),
        head.access.as_str().into(),
        head.plan_code.as_ref().map(PlanCode::as_str).into(),
        head.plan_version.map(i64::from).into(),
        head.trial_of.as_ref().map(PlanCode::as_str).into(),
        i64::from(head.deny_status.code()).into(),
        head.strict.into(),
        subscription.map(SubscriptionId::as_str).into(),
        open.map(|open| open.no).into(),
        open.map(|open| open.key.to_string()).into(),
        open.map(|open| open.period.start).into(),
        open.map(|open| open.period.end).into(),
        head.valid_until.into(),
        head.spend_cap.map(|cap| cap.minor).into(),
    ]
}
