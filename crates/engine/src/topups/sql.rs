//! Statements about top-ups.

use tollgate_rules::catalog::{Topup, TopupLasts};
use tollgate_rules::ids::{InvoiceId, Metric, OrgKey, TopupCode};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::time::Timestamp;

use super::{Frozen, Pack, Purchase, State};
use crate::access::OrgScope;
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] =
    &[&SOLD, &CLEAR_SOLD, &PUT_SOLD, &INSERT, &BY_ID, &BY_INVOICE, &MARK, &PAID, &LIST];

const SOLD: Statement =
    Statement::new("topups.sold", "SELECT topup, content FROM catalog_topups ORDER BY position LIMIT 1000");
const CLEAR_SOLD: Statement = Statement::new("topups.clear_sold", "DELETE FROM catalog_topups");
const PUT_SOLD: Statement =
    Statement::new("topups.put_sold", "INSERT INTO catalog_topups (topup, position, content) VALUES ($1, $2, $3)");

/// The packs that are sold.
pub(crate) async fn sold(connection: &mut Connection) -> Result<Vec<Topup>, Error> {
    let rows = connection.all(&SOLD, &[]).await?;
    let read = |row: &Row| {
        serde_json::from_str(&row.text("content")?).map_err(|error| Error::Bug(format!("a stored top-up: {error}")))
    };
    rows.iter().map(read).collect()
}

/// Puts packs on sale in the place of those that were; says whether that changed anything.
pub(crate) async fn replace_sold(tx: &mut Tx, topups: &[Topup]) -> Result<bool, Error> {
    if sold(tx).await? == topups {
        return Ok(false);
    }
    tx.execute(&CLEAR_SOLD, &[]).await?;
    for (position, topup) in (0_i64..).zip(topups) {
        let content = serde_json::to_string(topup).map_err(|error| Error::Bug(format!("a top-up: {error}")))?;
        tx.execute(&PUT_SOLD, &[topup.code.as_str().into(), position.into(), content.into()]).await?;
    }
    Ok(true)
}

const INSERT: Statement = Statement::new(
    "topups.insert",
    "INSERT INTO topups (org_key, topup_id, topup, name, metric, units, amount_minor, currency, lasts, lasts_days, customer_id,
       invoice_id, state, actor, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'charging', $13, $14)
     ON CONFLICT (org_key, topup_id) DO NOTHING",
);

/// Writes down a purchase whose invoice is about to be charged.
pub(super) async fn insert(
    tx: &mut Tx,
    scope: &OrgScope,
    (topup_id, invoice_id): (&str, &InvoiceId),
    frozen: &Frozen,
) -> Result<(), Error> {
    let pack = &frozen.pack;
    let (lasts, days) = match pack.lasts {
        TopupLasts::Period => ("period", None),
        TopupLasts::Days(days) => ("days", Some(i64::from(days))),
        TopupLasts::ForGood => ("for_good", None),
    };
    let args: [Arg; 14] = [
        scope.org_key().0.into(),
        topup_id.into(),
        pack.code.as_str().into(),
        pack.name.as_str().into(),
        pack.metric.as_str().into(),
        pack.units.into(),
        pack.price.minor.into(),
        pack.price.currency.as_str().into(),
        lasts.into(),
        days.into(),
        frozen.customer_id.as_str().into(),
        invoice_id.as_str().into(),
        scope.actor().into(),
        frozen.at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const BY_ID: Statement = Statement::new(
    "topups.by_id",
    "SELECT t.topup_id, t.topup, t.name, t.metric, t.units, t.amount_minor, t.currency, t.lasts, t.lasts_days, t.invoice_id, t.state,
            t.grant_id, t.actor, t.created_at, t.paid_at, COALESCE(g.ends_at, p.period_end) AS expires_at
     FROM topups AS t
     LEFT JOIN grants AS g ON g.org_key = t.org_key AND g.grant_id = t.grant_id
     LEFT JOIN usage_periods AS p ON p.org_key = g.org_key AND p.period_no = g.only_period_no
     WHERE t.org_key = $1 AND t.topup_id = $2",
);

/// A purchase.
pub(super) async fn by_id(
    connection: &mut Connection,
    org_key: OrgKey,
    topup_id: &str,
) -> Result<Option<Purchase>, Error> {
    let row = connection.optional(&BY_ID, &[org_key.0.into(), topup_id.into()]).await?;
    row.as_ref().map(read).transpose()
}

const BY_INVOICE: Statement = Statement::new(
    "topups.by_invoice",
    "SELECT t.topup_id, t.topup, t.name, t.metric, t.units, t.amount_minor, t.currency, t.lasts, t.lasts_days, t.invoice_id, t.state,
            t.grant_id, t.actor, t.created_at, t.paid_at, CAST(NULL AS BIGINT) AS expires_at
     FROM topups AS t
     WHERE t.org_key = $1 AND t.invoice_id = $2",
);

/// The purchase that an invoice is for.
pub(super) async fn by_invoice(
    connection: &mut Connection,
    org_key: OrgKey,
    invoice_id: &InvoiceId,
) -> Result<Option<Purchase>, Error> {
    let row = connection.optional(&BY_INVOICE, &[org_key.0.into(), invoice_id.as_str().into()]).await?;
    row.as_ref().map(read).transpose()
}

const MARK: Statement = Statement::new(
    "topups.mark",
    "UPDATE topups SET state = $3 WHERE org_key = $1 AND topup_id = $2 AND state <> 'paid'",
);

/// Says where a purchase is; one that is paid stays paid.
pub(super) async fn mark(tx: &mut Tx, org_key: OrgKey, topup_id: &str, state: State) -> Result<(), Error> {
    tx.execute(&MARK, &[org_key.0.into(), topup_id.into(), state.as_str().into()]).await.map(|_| ())
}

const PAID: Statement = Statement::new(
    "topups.paid",
    "UPDATE topups
     SET state = 'paid', grant_id = COALESCE($3, grant_id), paid_at = $4
     WHERE org_key = $1 AND topup_id = $2",
);

/// Says that a purchase is paid, and what it gave.
pub(super) async fn paid(
    tx: &mut Tx,
    org_key: OrgKey,
    topup_id: &str,
    grant_id: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(&PAID, &[org_key.0.into(), topup_id.into(), grant_id.into(), now.into()]).await.map(|_| ())
}

const LIST: Statement = Statement::new(
    "topups.list",
    "SELECT t.topup_id, t.topup, t.name, t.metric, t.units, t.amount_minor, t.currency, t.lasts, t.lasts_days, t.invoice_id, t.state,
            t.grant_id, t.actor, t.created_at, t.paid_at, COALESCE(g.ends_at, p.period_end) AS expires_at
     FROM topups AS t
     LEFT JOIN grants AS g ON g.org_key = t.org_key AND g.grant_id = t.grant_id
     LEFT JOIN usage_periods AS p ON p.org_key = g.org_key AND p.period_no = g.only_period_no
     WHERE t.org_key = $1 AND (t.created_at < $2 OR (t.created_at = $2 AND t.topup_id < $3))
     ORDER BY t.created_at DESC, t.topup_id DESC
     LIMIT $4",
);

/// Purchases before a place, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    org_key: OrgKey,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<Purchase>, Error> {
    let (at, id) = before.unwrap_or((i64::MAX, ""));
    let rows = connection.all(&LIST, &[org_key.0.into(), at.into(), id.into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Purchase, Error> {
    let bug = |what: String| Error::Bug(format!("a stored purchase: {what}"));
    let (state, lasts) = (row.text("state")?, row.text("lasts")?);
    let days = row.opt_i64("lasts_days")?.and_then(|days| u32::try_from(days).ok());
    let lasts = match (lasts.as_str(), days) {
        ("period", _) => TopupLasts::Period,
        ("for_good", _) => TopupLasts::ForGood,
        (_, Some(days)) => TopupLasts::Days(days),
        (other, None) => return Err(bug(other.to_owned())),
    };
    let currency = Currency::parse(&row.text("currency")?).map_err(|error| bug(error.to_string()))?;
    Ok(Purchase {
        topup_id: row.text("topup_id")?,
        pack: Pack {
            code: TopupCode::parse(&row.text("topup")?).map_err(|error| bug(error.to_string()))?,
            name: row.text("name")?,
            metric: Metric::parse(&row.text("metric")?).map_err(|error| bug(error.to_string()))?,
            units: row.i64("units")?,
            price: Money::new(row.i64("amount_minor")?, currency),
            lasts,
        },
        invoice_id: InvoiceId::parse(&row.text("invoice_id")?).map_err(|error| bug(error.to_string()))?,
        state: State::parse(&state).ok_or_else(|| bug(state))?,
        grant_id: row.opt_text("grant_id")?,
        expires_at: row.opt_time("expires_at")?,
        actor: row.text("actor")?,
        created_at: row.time("created_at")?,
        paid_at: row.opt_time("paid_at")?,
    })
}
