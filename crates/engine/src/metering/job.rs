//! The jobs that tell billing about metered usage: every quarter of an hour, and at once when a period ends.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use tollgate_connectors::billing::Error as BillingError;
use tollgate_rules::ids::OrgKey;

use super::sql::{self, Where};
use super::{AGE_MAX, Error, freeze, send};
use crate::db::{self, Tx};
use crate::engine::Engine;
use crate::jobs::{self, Claimed, Failure, Outcome};

/// How often open periods are told about (business time).
const EVERY: Duration = Duration::from_secs(15 * 60);
/// Things told about one org in one go: a report taken back makes room for the next.
const ROUNDS_MAX: usize = 200;
/// Orgs looked at per statement.
const PLACES: i64 = 500;

/// Tells what is open about all orgs; the same again in a quarter of an hour.
pub(crate) async fn job(engine: &Engine) -> Result<Outcome, Failure> {
    match Box::pin(report(engine, None)).await {
        Ok(()) => {}
        Err(Error::Billing(error)) => tracing::warn!(%error, "metered usage is not told now; the next run goes on"),
        Err(Error::Database(error)) => return Err(error.into()),
    }
    Ok(Outcome::Again { at: engine.now().plus(EVERY) })
}

/// Tells what is open about one org whose period ended, until it is told.
pub(crate) async fn flush(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let org_key = job.key().parse().map(OrgKey).map_err(|_| Failure::Dead("not an org's key".to_owned()))?;
    match Box::pin(report(engine, Some(org_key))).await {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => Err(Failure::Retry(error.to_string())),
    }
}

/// Has an org's usage told soon after one of its periods ended, if any of it is charged.
pub(crate) async fn flush_after(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    period_no: i64,
) -> Result<(), db::Error> {
    if !engine.billing().is_on() || !sql::is_over(tx, org_key, period_no).await? {
        return Ok(());
    }
    let job = jobs::Job {
        kind: jobs::Kind::MeterFlush,
        key: org_key.0.to_string(),
        org_key: Some(org_key),
        payload: Value::Null,
        run_at: engine.now(),
        corr_id: String::new(),
    };
    jobs::enqueue(engine, tx, &job).await
}

/// Tells everything that is open about an org, or about all of them.
///
/// # Errors
/// [`Error`]; what was frozen is sent the next time.
pub(crate) async fn report(engine: &Engine, org: Option<OrgKey>) -> Result<(), Error> {
    if !engine.billing().is_on() {
        return Ok(());
    }
    let mut failed: Option<Error> = None;
    let mut blocked = BTreeSet::new();
    for report in sql::frozen(&mut engine.db().read().await?, org).await? {
        // A report that cannot be sent holds up its own org only.
        if blocked.contains(&report.org_key) {
            continue;
        }
        if let Err(error) = send::send(engine, &report).await {
            blocked.insert(report.org_key);
            keep(&mut failed, error)?;
        }
    }
    for org_key in open_orgs(engine, org).await? {
        if !blocked.contains(&org_key)
            && let Err(error) = tell(engine, org_key).await
        {
            keep(&mut failed, error)?;
        }
    }
    failed.map_or(Ok(()), Err)
}

/// One org's trouble at billing does not hold up the others; a billing that does not answer at all stops everything.
fn keep(failed: &mut Option<Error>, error: Error) -> Result<(), Error> {
    match error {
        Error::Billing(BillingError::Unavailable(_) | BillingError::Credentials(_)) | Error::Database(_) => Err(error),
        Error::Billing(_) => {
            tracing::warn!(%error, "a report of metered usage was not taken; it is tried again");
            *failed = Some(error);
            Ok(())
        }
    }
}

async fn open_orgs(engine: &Engine, org: Option<OrgKey>) -> Result<BTreeSet<OrgKey>, Error> {
    let now = engine.now();
    let mut connection = engine.db().read().await?;
    let (mut orgs, mut after) = (BTreeSet::new(), OrgKey(0));
    loop {
        let places =
            sql::places(&mut connection, Where { org, after, ended_after: now.minus(AGE_MAX * 3) }, PLACES).await?;
        let Some(last) = places.last().map(|place| place.org_key) else { return Ok(orgs) };
        after = last;
        for place in places {
            if let Some((place, _)) = freeze::priced(engine, &mut connection, place).await?
                && place.position.next(freeze::phase(&place, now)) != tollgate_rules::metering::Next::Nothing
            {
                orgs.insert(place.org_key);
            }
        }
        if org.is_some() {
            return Ok(orgs);
        }
    }
}

/// Freezes and sends until nothing is open.
async fn tell(engine: &Engine, org_key: OrgKey) -> Result<(), Error> {
    for _ in 0..ROUNDS_MAX {
        let reports = freeze::freeze(engine, org_key).await?;
        if reports.is_empty() {
            return Ok(());
        }
        for report in &reports {
            send::send(engine, report).await?;
        }
    }
    Ok(())
}
