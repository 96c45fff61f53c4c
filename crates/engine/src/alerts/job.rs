//! The hourly look at open periods, and the summaries of days that are over.

use std::time::Duration;

use tollgate_connectors::mail::Letter;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::sql::{self, Open};
use super::{Alert, Kind, digest};
use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};
use crate::mail;

const EVERY: Duration = Duration::from_secs(3_600);
const DAY_SECONDS: i64 = 86_400;
/// Orgs looked at per transaction.
const PAGE: i64 = 200;
/// Days that are summed up in one go after a long sleep.
const DAYS_MAX: i64 = 400;

/// Raises what is due and sums up days that are over; again in an hour.
pub(crate) async fn job(engine: &Engine) -> Result<Outcome, Failure> {
    let mut after = OrgKey(0);
    loop {
        let (task, from) = (engine.clone(), after);
        let page = engine.db().detached(async move { raise_page(&task, from).await }).await?;
        match page {
            Some(last) => after = last,
            None => break,
        }
    }
    sum_up(engine).await?;
    engine.wake_workers();
    Ok(Outcome::Again { at: engine.now().plus(EVERY) })
}

/// Looks at the open periods of some orgs; the last of them, or nothing when there are no more.
async fn raise_page(engine: &Engine, after: OrgKey) -> Result<Option<OrgKey>, Error> {
    let now = engine.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let open = sql::open_counters(&mut tx, after, PAGE).await?;
    let Some(last) = open.last().map(|one| one.org_key) else { return Ok(None) };
    for one in open.iter().filter(|one| one.limit > 0 && now < one.period.end) {
        for kind in Kind::ALL {
            if kind.holds(one.used, one.limit, (one.period, now)) {
                raise(engine, &mut tx, one, (kind, now)).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(Some(last))
}

async fn raise(
    engine: &Engine,
    tx: &mut crate::db::Tx,
    one: &Open,
    (kind, raised_at): (Kind, Timestamp),
) -> Result<(), Error> {
    let alert = Alert {
        kind,
        metric: one.metric.clone(),
        period_key: one.period_key.clone(),
        used: one.used,
        limit: one.limit,
        raised_at,
        org_key: one.org_key,
    };
    if !sql::insert(tx, &alert, one.period_no).await? {
        return Ok(());
    }
    metrics::counter!("tollgate_usage_alerts_total", "kind" => kind.as_str()).increment(1);
    let Some(to) = &one.email else { return Ok(()) };
    let letter = letter(one, kind);
    mail::queue(engine, tx, &mail::Queued { to, org_key: Some(one.org_key), letter: &letter, corr_id: "" }).await
}

fn letter(one: &Open, kind: Kind) -> Letter {
    let (name, metric, used, limit) = (&one.org_name, &one.metric, one.used, one.limit);
    let subject = match kind {
        Kind::Half => format!("{name} has used half of its {metric}"),
        Kind::FourFifths => format!("{name} has used 80 % of its {metric}"),
        Kind::All => format!("{name} has used all of its {metric}"),
        Kind::Forecast => format!("{name} will use more {metric} than its plan includes"),
    };
    Letter::new(subject)
        .line(format!("{name} has used {used} of {limit} {metric} in the period {}.", one.period_key))
        .line(format!("The period ends {}.", one.period.end))
}

/// Sums up the days that are over and were not summed up yet; about the last of them the letters are written that were asked for.
async fn sum_up(engine: &Engine) -> Result<(), Error> {
    let today = engine.now().as_seconds().div_euclid(DAY_SECONDS);
    let known = sql::last_day(&mut engine.db().read().await?).await?;
    let first = known.map_or(today - 1, |day| day.as_seconds().div_euclid(DAY_SECONDS) + 1).max(today - DAYS_MAX);
    for day in first..today {
        let task = engine.clone();
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            let start = Timestamp::from_seconds(day * DAY_SECONDS);
            let end = Timestamp::from_seconds((day + 1) * DAY_SECONDS);
            sql::sum_up(&mut tx, (start, end), task.now()).await?;
            if day + 1 == today {
                digest::queue(&task, &mut tx, start).await?;
            }
            tx.commit().await
        };
        engine.db().detached(write).await?;
    }
    Ok(())
}
