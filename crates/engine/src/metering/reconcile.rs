//! Compares the three: what the events say, what the counters say, what billing was told and has counted.

use std::collections::BTreeSet;

use serde_json::json;

use tollgate_rules::ids::{Metric, OrgId, OrgKey};
use tollgate_rules::metering::{Invoice, Next};
use tollgate_rules::time::Timestamp;

use super::freeze::{self, phase, whole_minute};
use super::sql::{self, Place, Where};
use super::{AGE_MAX, Error, at_stripe, report};
use crate::access::{Caller, CallerKind, OperatorScope, OrgRef};
use crate::db::Lane;
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};
use crate::{audit, ledger, orgs, subscriptions};

/// How often everything is compared by itself (business time).
const EVERY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// Places looked at per statement.
const PLACES: i64 = 500;
/// Differences that are listed.
const LISTED_MAX: usize = 100;

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconcile {
    /// Only show the differences.
    Preview,
    /// Put counters right and tell billing what is missing.
    Repair,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Counters that were compared with their events, and with billing where they are charged.
    pub checked: i64,
    /// The sum of all differences in units; anything but 0 is an alarm.
    pub drift: i64,
    /// Units that are charged, as counted here.
    pub recorded: i64,
    /// Units that are charged, as billing has them.
    pub billed: i64,
    /// Differences that were put right.
    pub repaired: i64,
    /// The first hundred differences.
    pub orgs: Vec<OrgDrift>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgDrift {
    /// Whose.
    pub org_id: String,
    /// Of what.
    pub metric: Metric,
    /// In which period, by its number.
    pub period_no: i64,
    /// Which numbers differ: `counter` (from its events) or `billed` (from the counter).
    pub between: &'static str,
    /// What it should be.
    pub expected: i64,
    /// What it is.
    pub found: i64,
}

/// Compares one org, or all, in every place; with [`Reconcile::Repair`] puts right what differs.
///
/// # Errors
/// [`Error`]: billing or the database cannot answer.
pub async fn reconcile(
    engine: &Engine,
    scope: &OperatorScope,
    org: Option<&OrgId>,
    what: Reconcile,
) -> Result<Option<Reconciled>, Error> {
    let org = match org {
        None => None,
        Some(org_id) => match orgs::find(engine, org_id).await? {
            None => return Ok(None),
            found => found,
        },
    };
    let mut found = compare(engine, scope, org.as_ref()).await?;
    if what == Reconcile::Repair && found.reconciled.drift != 0 {
        found.reconciled.repaired = repair(engine, scope, &found).await?;
    }
    Ok(Some(found.reconciled))
}

/// The nightly comparison: an alarm where anything differs.
pub(crate) async fn job(engine: &Engine) -> Result<Outcome, Failure> {
    let caller = Caller::new(CallerKind::System { name: "reconcile" });
    let scope = caller
        .require_operator(tollgate_rules::access::Permission::UsageCorrect)
        .map_err(|error| Failure::Dead(error.to_string()))?;
    match Box::pin(reconcile(engine, &scope, None, Reconcile::Preview)).await {
        Ok(Some(found)) => {
            metrics::gauge!("tollgate_usage_drift").set(u32::try_from(found.drift).unwrap_or(u32::MAX));
            if found.drift != 0 {
                tracing::error!(drift = found.drift, "events, counters and billing differ; see usage.reconcile");
            }
        }
        Ok(None) => {}
        Err(Error::Billing(error)) => tracing::warn!(%error, "billing could not be compared; the next run does"),
        Err(Error::Database(error)) => return Err(error.into()),
    }
    Ok(Outcome::Again { at: engine.now().plus(EVERY) })
}

/// What was found, and where.
struct Found {
    reconciled: Reconciled,
    counters: BTreeSet<OrgKey>,
    untold: BTreeSet<OrgKey>,
}

async fn compare(engine: &Engine, scope: &OperatorScope, org: Option<&OrgRef>) -> Result<Found, Error> {
    let verified =
        ledger::verify(engine, scope, org).await.map_err(|error| crate::db::Error::Unavailable(error.to_string()))?;
    let mut found = Found {
        reconciled: Reconciled { checked: verified.counters, drift: verified.drift, ..Reconciled::default() },
        counters: BTreeSet::new(),
        untold: BTreeSet::new(),
    };
    for drift in &verified.drifts {
        found.counters.insert(drift.org_key);
        if found.reconciled.orgs.len() < LISTED_MAX {
            found.reconciled.orgs.push(OrgDrift {
                org_id: orgs::id_of(engine, drift.org_key).await?.to_string(),
                metric: drift.metric.clone(),
                period_no: drift.period_no,
                between: "counter",
                expected: drift.counted,
                found: drift.stored,
            });
        }
    }
    if engine.billing().is_on() {
        compare_billing(engine, org, &mut found).await?;
    }
    Ok(found)
}

async fn compare_billing(engine: &Engine, org: Option<&OrgRef>, found: &mut Found) -> Result<(), Error> {
    let now = engine.now();
    let mut after = OrgKey(0);
    loop {
        let wanted = Where { org: org.map(|org| org.key), after, ended_after: now.minus(AGE_MAX) };
        let places = sql::places(&mut engine.db().read().await?, wanted, PLACES).await?;
        let Some(last) = places.last().map(|place| place.org_key) else { return Ok(()) };
        after = last;
        for place in places {
            let priced = freeze::priced(engine, &mut engine.db().read().await?, place).await?;
            if let Some((place, _)) = priced {
                compare_place(engine, &place, now, found).await?;
            }
        }
        if org.is_some() {
            return Ok(());
        }
    }
}

/// Billing must have what was reported; and once the invoice is final, all that is charged must have been told.
async fn compare_place(engine: &Engine, place: &Place, now: Timestamp, found: &mut Found) -> Result<(), Error> {
    let position = place.position;
    let settled = phase(place, now) == Invoice::Final && position.next(Invoice::Final) == Next::Nothing;
    let counted = if position.reported == 0 { 0 } else { counted(engine, place).await? };
    found.reconciled.recorded = found.reconciled.recorded.saturating_add(position.overage);
    let billed = if settled { position.overage } else { counted };
    found.reconciled.billed = found.reconciled.billed.saturating_add(billed);
    let owed = phase(place, now) == Invoice::Final && !settled;
    let (expected, got) = if owed { (position.overage, position.reported) } else { (position.reported, counted) };
    if expected != got {
        found.untold.insert(place.org_key);
        found.reconciled.drift = found.reconciled.drift.saturating_add(expected.saturating_sub(got).saturating_abs());
        if found.reconciled.orgs.len() < LISTED_MAX {
            found.reconciled.orgs.push(OrgDrift {
                org_id: place.org_id.clone(),
                metric: place.metric.clone(),
                period_no: place.period_no,
                between: "billed",
                expected,
                found: got,
            });
        }
    }
    Ok(())
}

/// What the meter has of a place.
async fn counted(engine: &Engine, place: &Place) -> Result<i64, Error> {
    let customer = subscriptions::sql::customer(&mut engine.db().read().await?, place.org_key).await?;
    let Some(customer) = customer else { return Ok(0) };
    let meter_id = at_stripe::ensure_meter(engine, &place.metric).await?;
    let span = (whole_minute(place.period.start), whole_minute(place.period.end));
    Ok(engine.billing().meter_total(&meter_id, &customer.customer_id, span).await?)
}

async fn repair(engine: &Engine, scope: &OperatorScope, found: &Found) -> Result<i64, Error> {
    let mut repaired = 0;
    for org_key in &found.counters {
        let org = OrgRef { key: *org_key, id: orgs::id_of(engine, *org_key).await? };
        let after = ledger::rebuild(engine, scope, &org).await;
        repaired += i64::from(after.is_ok_and(|verified| verified.drift == 0));
    }
    for org_key in &found.untold {
        report(engine, Some(*org_key)).await?;
        repaired += 1;
    }
    let (task, by, told) = (engine.clone(), scope.clone(), repaired);
    let drift = found.reconciled.drift;
    let note = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let entry = audit::Entry::server(&by, "usage.reconcile", "usage")
            .before(json!({ "drift": drift }))
            .after(json!({ "repaired": told }));
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await
    };
    engine.db().detached(note).await?;
    Ok(repaired)
}
