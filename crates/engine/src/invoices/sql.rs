//! Statements about invoices.

use tollgate_rules::billing::{InvoiceFact, InvoiceLine, InvoiceStatus};
use tollgate_rules::ids::{CustomerId, InvoiceId, OrgKey, SubscriptionId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

use super::LineUsage;
use crate::access::OrgScope;
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&STORED, &PUT, &NEWEST, &USAGE_IN];

const STORED: Statement = Statement::new(
    "invoices.stored",
    "SELECT invoice_id, customer_id, subscription_id, number, status, currency, total, amount_due, amount_paid, url,
       reason, period_start, period_end, created_at, lines
     FROM invoice_refs
     WHERE org_key = $1 AND invoice_id = $2",
);

/// An invoice as it was last fetched.
pub(crate) async fn stored(
    connection: &mut Connection,
    org_key: OrgKey,
    invoice_id: &InvoiceId,
) -> Result<Option<InvoiceFact>, Error> {
    let row = connection.optional(&STORED, &[org_key.0.into(), invoice_id.as_str().into()]).await?;
    row.as_ref().map(invoice).transpose()
}

const PUT: Statement = Statement::new(
    "invoices.put",
    "INSERT INTO invoice_refs (org_key, invoice_id, customer_id, subscription_id, number, status, currency, total,
       amount_due, amount_paid, url, reason, period_start, period_end, created_at, lines, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
     ON CONFLICT (org_key, invoice_id) DO UPDATE
     SET customer_id = excluded.customer_id, subscription_id = excluded.subscription_id, number = excluded.number,
       status = excluded.status, currency = excluded.currency, total = excluded.total,
       amount_due = excluded.amount_due, amount_paid = excluded.amount_paid, url = excluded.url,
       reason = excluded.reason, period_start = excluded.period_start, period_end = excluded.period_end,
       created_at = excluded.created_at, lines = excluded.lines, updated_at = excluded.updated_at",
);

/// Overwrites an invoice.
pub(crate) async fn put(tx: &mut Tx, org_key: OrgKey, fact: &InvoiceFact, now: Timestamp) -> Result<(), Error> {
    let lines = serde_json::to_string(&fact.lines).map_err(|error| Error::Bug(format!("invoice lines: {error}")))?;
    let args: [Arg; 17] = [
        org_key.0.into(),
        fact.invoice_id.as_str().into(),
        fact.customer_id.as_str().into(),
        fact.subscription_id.as_ref().map(SubscriptionId::as_str).into(),
        fact.number.as_deref().into(),
        fact.status.as_str().into(),
        fact.total.currency.as_str().into(),
        fact.total.minor.into(),
        fact.amount_due.into(),
        fact.amount_paid.into(),
        fact.url.as_deref().into(),
        fact.reason.as_deref().into(),
        fact.period.start.into(),
        fact.period.end.into(),
        fact.created.into(),
        lines.into(),
        now.into(),
    ];
    tx.execute(&PUT, &args).await.map(drop)
}

const NEWEST: Statement = Statement::new(
    "invoices.newest",
    "SELECT invoice_id, customer_id, subscription_id, number, status, currency, total, amount_due, amount_paid, url,
       reason, period_start, period_end, created_at, lines
     FROM invoice_refs
     WHERE org_key = $1
       AND (CAST($2 AS BIGINT) IS NULL OR (created_at, COALESCE(number, ''), invoice_id) < ($2, $3, $4))
     ORDER BY created_at DESC, COALESCE(number, '') DESC, invoice_id DESC
     LIMIT $5",
);

/// Where a page of invoices begins: below this one. Stripe's times are whole seconds, so the running number, and the id of
/// one that has none yet, decide among invoices of one second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Below<'a> {
    pub(super) created: Timestamp,
    pub(super) number: &'a str,
    pub(super) invoice_id: &'a str,
}

/// An org's invoices, newest first, after a position.
pub(super) async fn newest(
    connection: &mut Connection,
    scope: &OrgScope,
    below: Option<Below<'_>>,
    limit: i64,
) -> Result<Vec<InvoiceFact>, Error> {
    let args = [
        scope.org_key().0.into(),
        below.map(|below| below.created).into(),
        below.map(|below| below.number).into(),
        below.map(|below| below.invoice_id).into(),
        limit.into(),
    ];
    connection.all(&NEWEST, &args).await?.iter().map(invoice).collect()
}

const USAGE_IN: Statement = Statement::new(
    "invoices.usage_in",
    "SELECT p.period_key, p.period_start, p.period_end, c.metric, c.included, c.granted, c.metered_minor, c.metered_units,
       c.used,
       (SELECT COUNT(*)
        FROM usage_events e
        WHERE e.org_key = p.org_key AND e.period_no = p.period_no AND e.metric = c.metric AND e.delta <> 0) AS events
     FROM usage_periods p
     JOIN usage_counters c ON c.org_key = p.org_key AND c.period_no = p.period_no
     WHERE p.org_key = $1 AND p.subscription_id = $2 AND p.period_start < $4 AND p.period_end > $3
     ORDER BY p.period_start, c.metric
     LIMIT 1000",
);

/// What an org used in the quota periods of a subscription that overlap a span.
pub(super) async fn usage_in(
    connection: &mut Connection,
    scope: &OrgScope,
    subscription: &SubscriptionId,
    span: Period,
) -> Result<Vec<LineUsage>, Error> {
    let args = [scope.org_key().0.into(), subscription.as_str().into(), span.start.into(), span.end.into()];
    connection.all(&USAGE_IN, &args).await?.iter().map(line_usage).collect()
}

fn line_usage(row: &Row) -> Result<LineUsage, Error> {
    let (included, granted, used) = (row.opt_i64("included")?, row.i64("granted")?, row.i64("used")?);
    let metered = row.opt_i64("metered_minor")?.zip(row.opt_i64("metered_units")?);
    let over = included.map_or(0, |included| used.saturating_sub(included.saturating_add(granted)).max(0));
    Ok(LineUsage {
        metric: row.text("metric")?,
        period_key: row.text("period_key")?,
        period: Period::new(row.time("period_start")?, row.time("period_end")?),
        included,
        granted,
        used,
        overage: if metered.is_some() { over } else { 0 },
        metered,
        events: row.i64("events")?,
    })
}

fn invoice(row: &Row) -> Result<InvoiceFact, Error> {
    let currency = read("currency", Currency::parse(&row.text("currency")?))?;
    let status = row.text("status")?;
    let subscription = row.opt_text("subscription_id")?;
    let lines: Vec<InvoiceLine> = read("lines", serde_json::from_str(&row.text("lines")?))?;
    Ok(InvoiceFact {
        invoice_id: read("invoice_id", InvoiceId::parse(&row.text("invoice_id")?))?,
        customer_id: read("customer_id", CustomerId::parse(&row.text("customer_id")?))?,
        subscription_id: read("subscription_id", subscription.map(|id| SubscriptionId::parse(&id)).transpose())?,
        number: row.opt_text("number")?,
        status: InvoiceStatus::parse(&status).ok_or_else(|| Error::Bug(format!("invoice_refs.status is {status}")))?,
        total: Money::new(row.i64("total")?, currency),
        amount_due: row.i64("amount_due")?,
        amount_paid: row.i64("amount_paid")?,
        url: row.opt_text("url")?,
        created: row.time("created_at")?,
        period: Period::new(row.time("period_start")?, row.time("period_end")?),
        reason: row.opt_text("reason")?,
        lines,
    })
}

fn read<T, E: std::fmt::Display>(column: &str, parsed: Result<T, E>) -> Result<T, Error> {
    parsed.map_err(|error| Error::Bug(format!("invoice_refs.{column}: {error}")))
}
