//! Sends a frozen report; sending it again changes nothing.

use std::time::Duration;

use tollgate_connectors::billing::{Error as BillingError, MeterEvent, NewInvoiceItem};
use tollgate_rules::billing::InvoiceStatus;
use tollgate_rules::ids::InvoiceId;
use tollgate_rules::metering::Invoice;
use tollgate_rules::money::{Currency, Money};

use super::freeze::{invoice, whole_minute};
use super::sql::{self, Kind, Report};
use super::{AGE_MAX, Error, IDENTIFIER_KNOWN, at_stripe, key};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::{fault, incidents, plans, subscriptions};

/// How a report ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Sent,
    /// The invoice became final before it arrived: it is settled in money.
    Late,
    /// It can never be told.
    Dead,
}

/// Sends a report, or finds that it was sent, and writes down how it ended.
pub(super) async fn send(engine: &Engine, report: &Report) -> Result<(), Error> {
    fault::point(engine, "metering.before_send").map_err(db::Error::from)?;
    let end = match &report.kind {
        Kind::Event => event(engine, report).await?,
        Kind::Cancel(about) => cancel(engine, report, about).await?,
        Kind::Item => item(engine, report).await?,
    };
    fault::point(engine, "metering.after_send").map_err(db::Error::from)?;
    finish(engine, report, end).await?;
    Ok(())
}

async fn event(engine: &Engine, report: &Report) -> Result<End, Error> {
    let now = engine.now();
    let stalled = now.since(report.created_at) > IDENTIFIER_KNOWN;
    let late = invoice(report.period, now) == Invoice::Final;
    if (stalled || late) && was_counted(engine, report).await? {
        return Ok(End::Sent);
    }
    if now.since(report.occurred_at) > AGE_MAX {
        return Ok(End::Dead);
    }
    if late {
        return Ok(End::Late);
    }
    if now >= report.period.end && !has_item(engine, report).await? {
        // The invoice was drafted without the meter's line: no report can reach it any more.
        return Ok(End::Late);
    }
    ensure_item(engine, report).await?;
    fault::point(engine, "metering.item_ensured").map_err(db::Error::from)?;
    let told = MeterEvent {
        event_name: at_stripe::event_name(&report.metric),
        customer_id: report.customer_id.clone(),
        units: report.units,
        identifier: report.report_id.clone(),
        at: report.occurred_at,
    };
    match engine.billing().send_meter_event(&key(&format!("tollgate:{}:event", report.report_id))?, &told).await {
        Ok(()) => Ok(End::Sent),
        // A failure that is stored under the key, or an identifier that is taken: what counts is whether it was counted.
        Err(error @ (BillingError::Refused(_) | BillingError::StoredFailure(_))) => {
            if was_counted(engine, report).await? {
                return Ok(End::Sent);
            }
            let again = key(&format!("tollgate:{}:event:{}", report.report_id, now.as_seconds()))?;
            match engine.billing().send_meter_event(&again, &told).await {
                Ok(()) => Ok(End::Sent),
                Err(_) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the meter has the units: no other report is in their minute.
async fn was_counted(engine: &Engine, report: &Report) -> Result<bool, Error> {
    let meter_id = at_stripe::ensure_meter(engine, &report.metric).await?;
    let start = whole_minute(report.occurred_at);
    let minute = (start, start.plus(Duration::from_secs(60)));
    Ok(engine.billing().meter_total(&meter_id, &report.customer_id, minute).await? == report.units)
}

/// Whether the meter has a line on the invoices of the report's subscription.
async fn has_item(engine: &Engine, report: &Report) -> Result<bool, Error> {
    let meter_id = at_stripe::ensure_meter(engine, &report.metric).await?;
    let items = engine.billing().metered_items(&report.subscription_id).await?;
    Ok(items.iter().any(|item| item.meter_id == meter_id))
}

async fn ensure_item(engine: &Engine, report: &Report) -> Result<(), Error> {
    let (plan, interval) = {
        let mut connection = engine.db().read().await?;
        let plan = plans::version(engine, &mut connection, &report.plan_code, report.plan_version).await?;
        let mirrors = subscriptions::sql::mirrors(&mut connection, report.org_key).await?;
        let mirror = mirrors.into_iter().find(|mirror| mirror.subscription_id == report.subscription_id);
        (plan, mirror.map(|mirror| mirror.interval))
    };
    let (Some(plan), Some(interval)) = (plan, interval) else { return Ok(()) };
    let price = at_stripe::ensure_price(engine, &plan, (&report.metric, interval), report.block).await?;
    let Some(price_id) = price else { return Ok(()) };
    at_stripe::ensure_item(engine, &report.subscription_id, &report.metric, &price_id).await
}

async fn cancel(engine: &Engine, report: &Report, about: &str) -> Result<End, Error> {
    let name = at_stripe::event_name(&report.metric);
    let key = key(&format!("tollgate:{}:cancel", report.report_id))?;
    match engine.billing().cancel_meter_event(&key, &name, about).await {
        Ok(()) => Ok(End::Sent),
        // Too late to take it back there: it stays told, and money settles it.
        Err(BillingError::Refused(_) | BillingError::Missing(_)) => Ok(End::Late),
        Err(error) => Err(error.into()),
    }
}

async fn item(engine: &Engine, report: &Report) -> Result<End, Error> {
    let billing = engine.billing();
    if engine.now().since(report.created_at) > IDENTIFIER_KNOWN
        && billing.has_invoice_item(&report.customer_id, &report.report_id).await?
    {
        return Ok(End::Sent);
    }
    let currency = Currency::parse(&report.currency).map_err(|error| db::Error::Bug(error.to_string()))?;
    let about = format!("{} beyond the included in {}", report.metric, report.period_key);
    let description = if report.amount_minor < 0 { format!("Correction: {about}") } else { about };
    let new = NewInvoiceItem {
        customer_id: report.customer_id.clone(),
        subscription_id: live_subscription(engine, report).await?,
        invoice_id: draft(engine, report).await?,
        amount: Money::new(report.amount_minor, currency),
        description,
        mark: report.report_id.clone(),
    };
    billing.create_invoice_item(&key(&format!("tollgate:{}:item", report.report_id))?, &new).await?;
    Ok(End::Sent)
}

/// The subscription, as long as it makes invoices.
async fn live_subscription(
    engine: &Engine,
    report: &Report,
) -> Result<Option<tollgate_rules::ids::SubscriptionId>, Error> {
    let mut connection = engine.db().read().await?;
    let mirrors = subscriptions::sql::mirrors(&mut connection, report.org_key).await?;
    let live = mirrors.iter().find(|mirror| mirror.subscription_id == report.subscription_id);
    Ok(live.filter(|mirror| mirror.ended_at.is_none()).map(|mirror| mirror.subscription_id.clone()))
}

/// The draft of the subscription's invoice, where one is open now. A repeat may find another one, so the key then tells.
async fn draft(engine: &Engine, report: &Report) -> Result<Option<InvoiceId>, Error> {
    let page = engine.billing().invoices_page(&report.customer_id, None).await?;
    let draft = page.items.into_iter().find(|invoice| {
        invoice.status == InvoiceStatus::Draft && invoice.subscription_id.as_ref() == Some(&report.subscription_id)
    });
    Ok(draft.map(|invoice| invoice.invoice_id))
}

async fn finish(engine: &Engine, report: &Report, end: End) -> Result<(), db::Error> {
    let state = match end {
        End::Sent => "sent",
        End::Late => "late",
        End::Dead => "dead",
    };
    if end == End::Dead {
        tracing::error!(
            report_id = report.report_id,
            units = report.units,
            "metered usage is too old to be told to billing"
        );
    }
    metrics::counter!("tollgate_meter_reports_total", "outcome" => state).increment(1);
    let (task, report) = (engine.clone(), report.clone());
    let write = async move {
        let now = task.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::set_state(&mut tx, (report.org_key, &report.report_id), ("frozen", state), now).await?;
        if end == End::Dead {
            let detail = format!("{} units of {} are too old to be told to billing", report.units, report.metric);
            let kind = incidents::Kind::DeadMeterReport;
            let seen = incidents::Seen { org_key: report.org_key.0, kind, subject: &report.report_id, detail: &detail };
            incidents::open(&task, &mut tx, &seen).await?;
        }
        if let (Kind::Cancel(about), End::Late) = (&report.kind, end) {
            sql::set_state(&mut tx, (report.org_key, about), ("cancelled", "sent"), now).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await
}
