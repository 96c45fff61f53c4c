//! Freezes the next thing to tell about a place, under the org's lock.

use std::time::Duration;

use serde_json::json;

use tollgate_rules::catalog::OveragePolicy;
use tollgate_rules::ids::{CustomerId, OrgKey};
use tollgate_rules::metering::{Invoice, Next};
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

use super::sql::{self, Kind, Place, Report, Where};
use super::{AGE_MAX, IDENTIFIER_KNOWN, INVOICE_OPEN};
use crate::db::{Connection, Error, Lane, Tx};
use crate::engine::Engine;
use crate::{audit, fault, ledger, plans, subscriptions};

const MINUTE: Duration = Duration::from_secs(60);

/// Whether a period's invoice still takes units.
pub(super) fn invoice(period: Period, now: Timestamp) -> Invoice {
    if now < period.end.plus(INVOICE_OPEN) { Invoice::Open } else { Invoice::Final }
}

/// Whether a place's units still reach its invoice. Where no meter counts for it, they are settled as soon as the period is over, so
/// that the item stands on the invoice that is a draft then.
pub(super) fn phase(place: &Place, now: Timestamp) -> Invoice {
    let over = !place.position.metered && now >= place.period.end;
    if over { Invoice::Final } else { invoice(place.period, now) }
}

/// Works out, under the org's lock, what is next for every place of an org, and freezes it; what was frozen is to be sent.
pub(super) async fn freeze(engine: &Engine, org_key: OrgKey) -> Result<Vec<Report>, Error> {
    let task = engine.clone();
    engine
        .db()
        .detached(async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            ledger::lock(&mut tx, org_key).await?;
            let reports = freeze_all(&task, &mut tx, org_key).await?;
            tx.commit().await?;
            fault::point(&task, "metering.frozen")?;
            Ok(reports)
        })
        .await
}

async fn freeze_all(engine: &Engine, tx: &mut Tx, org_key: OrgKey) -> Result<Vec<Report>, Error> {
    let Some(customer) = subscriptions::sql::customer(tx, org_key).await? else { return Ok(Vec::new()) };
    let now = engine.now();
    let wanted = Where { org: Some(org_key), after: OrgKey(0), ended_after: now.minus(AGE_MAX * 3) };
    let mut reports = Vec::new();
    for place in sql::places(tx, wanted, 1_000).await? {
        let Some((place, currency)) = priced(engine, tx, place).await? else { continue };
        let whose = Whose { customer_id: &customer.customer_id, currency };
        let Some(report) = next(engine, tx, (&place, &whose), now).await? else { continue };
        sql::insert(tx, &report).await?;
        if let Kind::Cancel(about) = &report.kind {
            sql::set_state(tx, (org_key, about), ("sent", "cancelled"), now).await?;
        }
        if report.kind != Kind::Event {
            audit::append(engine, tx, entry(&report)).await?;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// The place with what the plan says about it: whether a meter counts for its price, and the currency. Nothing for a plan without one.
pub(super) async fn priced(
    engine: &Engine,
    connection: &mut Connection,
    mut place: Place,
) -> Result<Option<(Place, String)>, Error> {
    let Some(plan) = plans::version(engine, connection, &place.plan_code, place.plan_version).await? else {
        return Ok(None);
    };
    let block = place.position.block;
    let catalog = OveragePolicy::Metered { amount_minor: block.amount_minor, per_units: block.per_units };
    place.position.metered &= plan.allowance(&place.metric).policy == catalog;
    Ok(plan.prices.first().map(|price| (place, price.amount.currency.as_str().to_owned())))
}

/// Who is told about, and in which currency.
struct Whose<'a> {
    customer_id: &'a CustomerId,
    currency: String,
}

async fn next(
    engine: &Engine,
    tx: &mut Tx,
    (place, whose): (&Place, &Whose<'_>),
    now: Timestamp,
) -> Result<Option<Report>, Error> {
    let blank = |kind, units, amount_minor, occurred_at| Report {
        org_key: place.org_key,
        report_id: engine.new_id("mtr_"),
        kind,
        period_no: place.period_no,
        period: place.period,
        period_key: place.period_key.clone(),
        metric: place.metric.clone(),
        units,
        amount_minor,
        currency: whose.currency.clone(),
        block: place.position.block,
        customer_id: whose.customer_id.clone(),
        subscription_id: place.subscription_id.clone(),
        plan_code: place.plan_code.clone(),
        plan_version: place.plan_version,
        occurred_at,
        created_at: now,
    };
    Ok(match place.position.next(phase(place, now)) {
        Next::Nothing => None,
        Next::Report(units) => Some(blank(Kind::Event, units, 0, moment(tx, place, now).await?)),
        Next::Settle(minor) => Some(blank(Kind::Item, 0, minor, now)),
        // What is older stays reported until the invoice is final; then money settles it.
        Next::TakeBack => {
            let newest = sql::newest(tx, place, now.minus(IDENTIFIER_KNOWN)).await?;
            newest.map(|newest| blank(Kind::Cancel(newest.report_id), newest.units.saturating_neg(), 0, now))
        }
    })
}

/// A moment for units: now, within the period, in a minute that no other report has.
async fn moment(tx: &mut Tx, place: &Place, now: Timestamp) -> Result<Timestamp, Error> {
    let last = whole_minute(place.period.end).minus(Duration::from_secs(1));
    let mut at = now.min(last).max(place.period.start);
    let taken = sql::minutes(tx, (place.org_key, &place.metric), (place.period.start, place.period.end)).await?;
    let taken: std::collections::BTreeSet<Timestamp> = taken.into_iter().map(whole_minute).collect();
    while taken.contains(&whole_minute(at)) && at > place.period.start {
        at = at.minus(MINUTE);
    }
    Ok(Timestamp::from_seconds(at.max(place.period.start).as_seconds()))
}

/// The beginning of a moment's minute.
pub(super) fn whole_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.as_seconds().div_euclid(60).saturating_mul(60))
}

fn entry(report: &Report) -> audit::Entry {
    let action = match report.kind {
        Kind::Item => "metering.settle",
        Kind::Event | Kind::Cancel(_) => "metering.take_back",
    };
    audit::Entry::by_system("metering", report.org_key, action, report.report_id.as_str()).after(json!({
        "metric": report.metric, "periodKey": report.period_key, "units": report.units, "amount": report.amount_minor,
        "currency": report.currency }))
}
