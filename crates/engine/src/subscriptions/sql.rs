//! Statements about customers, subscriptions and what decided an org's rights.

pub(crate) mod usage;

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{CustomerId, InvalidId, OrgId, OrgKey, PaymentMethodId, PlanCode};
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

use super::mirror::Mirror;
use crate::access::OrgRef;
use crate::db::{Connection, Error, Row, Statement, Tx};
use crate::plans::sql::interval;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &ORG,
    &CUSTOMER,
    &CUSTOMER_BY_ID,
    &LOCK_CUSTOMER,
    &PUT_CUSTOMER,
    &MIRRORS,
    &PUT_MIRROR,
    &HAD_TRIAL,
    &LAST_SNAPSHOT,
    &SNAPSHOT_AT,
    &ADD_SNAPSHOT,
    &ON_OLDER_VERSIONS,
];

const ORG: Statement = Statement::new(
    "subscriptions.org",
    "SELECT o.status, c.default_payment_method
     FROM organizations o
     LEFT JOIN customers c ON c.org_key = o.org_key
     WHERE o.org_key = $1",
);
const CUSTOMER: Statement = Statement::new(
    "subscriptions.customer",
    "SELECT org_key, customer_id, email, default_payment_method, deleted, created_at FROM customers WHERE org_key = $1",
);
const CUSTOMER_BY_ID: Statement = Statement::new(
    "subscriptions.customer_by_id",
    "SELECT org_key, customer_id, email, default_payment_method, deleted, created_at
     FROM customers
     WHERE customer_id = $1
     ORDER BY org_key
     LIMIT 1",
);
const LOCK_CUSTOMER: Statement = Statement::split(
    "subscriptions.lock_customer",
    "SELECT org_key FROM customers WHERE org_key = $1",
    "SELECT org_key FROM customers WHERE org_key = $1 FOR UPDATE",
);
const PUT_CUSTOMER: Statement = Statement::new(
    "subscriptions.put_customer",
    "INSERT INTO customers (org_key, customer_id, email, default_payment_method, deleted, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (org_key) DO UPDATE
     SET customer_id = excluded.customer_id, email = excluded.email,
         default_payment_method = excluded.default_payment_method, deleted = excluded.deleted,
         updated_at = excluded.updated_at",
);
const MIRRORS: Statement = Statement::new(
    "subscriptions.mirrors",
    "SELECT subscription_id, status, price_id, lookup_key, item_id, quantity, billing_interval, anchor, period_start,
            period_end, trial_start, trial_end, cancel_at, ended_at, created_at, default_payment_method,
            latest_invoice_id, past_due_since, pending_price_id, pending_at, plan_code, plan_version, trial_plan_version
     FROM subscriptions
     WHERE org_key = $1
     ORDER BY created_at DESC, subscription_id
     LIMIT 1000",
);
const PUT_MIRROR: Statement = Statement::new(
    "subscriptions.put_mirror",
    "INSERT INTO subscriptions
       (org_key, subscription_id, status, price_id, lookup_key, item_id, quantity, billing_interval, anchor, period_start,
        period_end, trial_start, trial_end, cancel_at, ended_at, created_at, default_payment_method, latest_invoice_id,
        past_due_since, pending_price_id, pending_at, plan_code, plan_version, trial_plan_version, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
             $25)
     ON CONFLICT (org_key, subscription_id) DO UPDATE
     SET status = excluded.status, price_id = excluded.price_id, lookup_key = excluded.lookup_key,
         item_id = excluded.item_id, quantity = excluded.quantity, billing_interval = excluded.billing_interval,
         anchor = excluded.anchor, period_start = excluded.period_start, period_end = excluded.period_end,
         trial_start = excluded.trial_start, trial_end = excluded.trial_end, cancel_at = excluded.cancel_at,
         ended_at = excluded.ended_at, created_at = excluded.created_at,
         default_payment_method = excluded.default_payment_method, latest_invoice_id = excluded.latest_invoice_id,
         past_due_since = excluded.past_due_since, pending_price_id = excluded.pending_price_id,
         pending_at = excluded.pending_at, plan_code = excluded.plan_code, plan_version = excluded.plan_version,
         trial_plan_version = excluded.trial_plan_version, updated_at = excluded.updated_at",
);
const HAD_TRIAL: Statement = Statement::new(
    "subscriptions.had_trial",
    "SELECT COUNT(*) AS trials FROM subscriptions WHERE org_key = $1 AND trial_start IS NOT NULL",
);
const LAST_SNAPSHOT: Statement = Statement::new(
    "subscriptions.last_snapshot",
    "SELECT entry_no, known_from, facts
     FROM entitlements
     WHERE org_key = $1
     ORDER BY entry_no DESC
     LIMIT 1",
);
const SNAPSHOT_AT: Statement = Statement::new(
    "subscriptions.snapshot_at",
    "SELECT entry_no, known_from, facts
     FROM entitlements
     WHERE org_key = $1 AND known_from <= $2
     ORDER BY entry_no DESC
     LIMIT 1",
);
const ADD_SNAPSHOT: Statement = Statement::new(
    "subscriptions.add_snapshot",
    "INSERT INTO entitlements (org_key, entry_no, known_from, facts) VALUES ($1, $2, $3, $4)",
);
/// What an org's own rows say about its rights.
pub(super) struct OrgRow {
    pub(super) status: OrgStatus,
    pub(super) has_payment_method: bool,
}

/// An org's customer as we mirror it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomerRow {
    pub(crate) org_key: OrgKey,
    pub(crate) customer_id: CustomerId,
    pub(crate) email: Option<String>,
    pub(crate) default_payment_method: Option<PaymentMethodId>,
    pub(crate) deleted: bool,
    pub(crate) created_at: Timestamp,
}

/// A stored snapshot.
pub(super) struct SnapshotRow {
    pub(super) entry_no: i64,
    pub(super) known_from: Timestamp,
    pub(super) facts: String,
}

pub(super) async fn org(connection: &mut Connection, org_key: OrgKey) -> Result<Option<OrgRow>, Error> {
    let Some(row) = connection.optional(&ORG, &[org_key.0.into()]).await? else { return Ok(None) };
    let status = row.text("status")?;
    let status = OrgStatus::parse(&status).ok_or_else(|| Error::Bug(format!("a stored org status: {status}")))?;
    Ok(Some(OrgRow { status, has_payment_method: row.opt_text("default_payment_method")?.is_some() }))
}

pub(crate) async fn customer(connection: &mut Connection, org_key: OrgKey) -> Result<Option<CustomerRow>, Error> {
    let row = connection.optional(&CUSTOMER, &[org_key.0.into()]).await?;
    row.as_ref().map(customer_row).transpose()
}

pub(crate) async fn customer_by_id(
    connection: &mut Connection,
    customer_id: &CustomerId,
) -> Result<Option<CustomerRow>, Error> {
    let row = connection.optional(&CUSTOMER_BY_ID, &[customer_id.as_str().into()]).await?;
    row.as_ref().map(customer_row).transpose()
}

/// Keeps others from changing what billing told about this org until the transaction ends.
pub(crate) async fn lock_customer(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    tx.optional(&LOCK_CUSTOMER, &[org_key.0.into()]).await.map(|_| ())
}

pub(super) async fn put_customer(tx: &mut Tx, customer: &CustomerRow, now: Timestamp) -> Result<(), Error> {
    let args = [
        customer.org_key.0.into(),
        customer.customer_id.as_str().into(),
        customer.email.clone().into(),
        customer.default_payment_method.as_ref().map(PaymentMethodId::as_str).into(),
        customer.deleted.into(),
        customer.created_at.into(),
        now.into(),
    ];
    tx.execute(&PUT_CUSTOMER, &args).await.map(|_| ())
}

/// All subscriptions of an org, newest first.
pub(crate) async fn mirrors(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<Mirror>, Error> {
    let rows = connection.all(&MIRRORS, &[org_key.0.into()]).await?;
    rows.iter().map(mirror).collect()
}

pub(super) async fn put_mirror(tx: &mut Tx, org_key: OrgKey, mirror: &Mirror, now: Timestamp) -> Result<(), Error> {
    let pending = mirror.pending_price.as_ref();
    let args = [
        org_key.0.into(),
        mirror.subscription_id.as_str().into(),
        mirror.status.as_str().into(),
        mirror.price_id.as_str().into(),
        mirror.lookup_key.clone().into(),
        (&mirror.item_id).into(),
        mirror.quantity.into(),
        mirror.interval.as_str().into(),
        mirror.anchor.into(),
        mirror.item_period.start.into(),
        mirror.item_period.end.into(),
        mirror.trial.map(|trial| trial.start).into(),
        mirror.trial.map(|trial| trial.end).into(),
        mirror.cancel_at.into(),
        mirror.ended_at.into(),
        mirror.created.into(),
        mirror.default_payment_method.as_ref().map(AsRef::as_ref).into(),
        mirror.latest_invoice.as_ref().map(AsRef::as_ref).into(),
        mirror.past_due_since.into(),
        pending.map(|(price_id, _)| price_id.as_str()).into(),
        pending.map(|(_, at)| *at).into(),
        mirror.plan.as_ref().map(|(code, _)| code.as_str()).into(),
        mirror.plan.as_ref().map(|(_, version)| i64::from(*version)).into(),
        mirror.trial_plan_version.map(i64::from).into(),
        now.into(),
    ];
    tx.execute(&PUT_MIRROR, &args).await.map(|_| ())
}

/// Whether the org ever had a trial.
pub(super) async fn had_trial(connection: &mut Connection, org_key: OrgKey) -> Result<bool, Error> {
    Ok(connection.one(&HAD_TRIAL, &[org_key.0.into()]).await?.i64("trials")? > 0)
}

pub(super) async fn last_snapshot(connection: &mut Connection, org_key: OrgKey) -> Result<Option<SnapshotRow>, Error> {
    let row = connection.optional(&LAST_SNAPSHOT, &[org_key.0.into()]).await?;
    row.as_ref().map(snapshot_row).transpose()
}

pub(super) async fn snapshot_at(
    connection: &mut Connection,
    org_key: OrgKey,
    at: Timestamp,
) -> Result<Option<SnapshotRow>, Error> {
    let row = connection.optional(&SNAPSHOT_AT, &[org_key.0.into(), at.into()]).await?;
    row.as_ref().map(snapshot_row).transpose()
}

pub(super) async fn add_snapshot(tx: &mut Tx, org_key: OrgKey, row: &SnapshotRow) -> Result<(), Error> {
    let args = [org_key.0.into(), row.entry_no.into(), row.known_from.into(), (&row.facts).into()];
    tx.execute(&ADD_SNAPSHOT, &args).await.map(|_| ())
}

fn mirror(row: &Row) -> Result<Mirror, Error> {
    let status = row.text("status")?;
    let status = SubscriptionStatus::parse(&status).ok_or_else(|| Error::Bug(format!("a stored status: {status}")))?;
    let plan = row.opt_text("plan_code")?.zip(small(row, "plan_version")?);
    let trial = row.opt_time("trial_start")?.zip(row.opt_time("trial_end")?);
    let pending_price = row.opt_text("pending_price_id")?.map(id).transpose()?;
    Ok(Mirror {
        subscription_id: id(row.text("subscription_id")?)?,
        status,
        price_id: id(row.text("price_id")?)?,
        lookup_key: row.opt_text("lookup_key")?,
        item_id: row.text("item_id")?,
        quantity: row.i64("quantity")?,
        interval: interval(row)?,
        anchor: row.time("anchor")?,
        item_period: Period::new(row.time("period_start")?, row.time("period_end")?),
        trial: trial.map(|(start, end)| Period::new(start, end)),
        cancel_at: row.opt_time("cancel_at")?,
        ended_at: row.opt_time("ended_at")?,
        created: row.time("created_at")?,
        default_payment_method: row.opt_text("default_payment_method")?.map(id).transpose()?,
        latest_invoice: row.opt_text("latest_invoice_id")?.map(id).transpose()?,
        past_due_since: row.opt_time("past_due_since")?,
        pending_price: pending_price.zip(row.opt_time("pending_at")?),
        plan,
        trial_plan_version: small(row, "trial_plan_version")?,
    })
}

fn customer_row(row: &Row) -> Result<CustomerRow, Error> {
    Ok(CustomerRow {
        org_key: OrgKey(row.i64("org_key")?),
        customer_id: id(row.text("customer_id")?)?,
        email: row.opt_text("email")?,
        default_payment_method: row.opt_text("default_payment_method")?.map(id).transpose()?,
        deleted: row.bool("deleted")?,
        created_at: row.time("created_at")?,
    })
}

fn snapshot_row(row: &Row) -> Result<SnapshotRow, Error> {
    Ok(SnapshotRow { entry_no: row.i64("entry_no")?, known_from: row.time("known_from")?, facts: row.text("facts")? })
}

fn id<T: TryFrom<String, Error = InvalidId>>(text: String) -> Result<T, Error> {
    T::try_from(text).map_err(|error| Error::Bug(format!("a stored id: {error}")))
}

fn small(row: &Row, column: &str) -> Result<Option<u32>, Error> {
    let read = |number: i64| u32::try_from(number).map_err(|_| Error::Bug(format!("column {column}: {number}")));
    row.opt_i64(column)?.map(read).transpose()
}

const ON_OLDER_VERSIONS: Statement = Statement::new(
    "subscriptions.on_older_versions",
    "SELECT s.org_key, o.org_id, MIN(s.plan_version) AS plan_version
     FROM subscriptions AS s
     JOIN organizations AS o ON o.org_key = s.org_key
     WHERE s.plan_code = $1 AND s.plan_version < $2 AND s.status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
     GROUP BY s.org_key, o.org_id
     ORDER BY s.org_key
     LIMIT 100000",
);

/// The orgs with a live subscription to an older version of a plan, with that version.
pub(super) async fn on_older_versions(
    connection: &mut Connection,
    code: &PlanCode,
    version: u32,
) -> Result<Vec<(OrgRef, u32)>, Error> {
    let rows = connection.all(&ON_OLDER_VERSIONS, &[code.as_str().into(), version.into()]).await?;
    let read = |row: &Row| {
        let id = OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))?;
        let org = OrgRef { key: OrgKey(row.i64("org_key")?), id };
        Ok((org, u32::try_from(row.i64("plan_version")?).unwrap_or(0)))
    };
    rows.iter().map(read).collect()
}
