//! Statements about adjustments.

use serde_json::Value;

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::{Filter, Recorded};
use crate::access::OrgScope;
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &NEWEST, &OF_REFUND, &SET_REFUND_STATUS];

const INSERT: Statement = Statement::new(
    "adjustments.insert",
    "INSERT INTO adjustments (org_key, adjustment_id, kind, billing_id, detail, reason, actor, created_at,
                              refund_id, refund_status)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (org_key, adjustment_id) DO NOTHING",
);

/// Writes what an operation made; false when that was done before.
pub(super) async fn insert(tx: &mut Tx, scope: &OrgScope, new: &Recorded, detail: &Value) -> Result<bool, Error> {
    let detail = detail.to_string();
    let (refund_id, refund_status) = new.adjustment.refund();
    let args: [Arg; 10] = [
        scope.org_key().0.into(),
        new.adjustment_id.as_str().into(),
        new.adjustment.kind().as_str().into(),
        new.adjustment.billing_id().into(),
        detail.into(),
        new.reason.as_str().into(),
        scope.actor().into(),
        new.created_at.into(),
        refund_id.into(),
        refund_status.into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

const NEWEST: Statement = Statement::new(
    "adjustments.newest",
    "SELECT a.adjustment_id, o.org_id, a.detail, a.reason, a.actor, a.created_at, a.refund_status
     FROM adjustments a
     JOIN organizations o ON o.org_key = a.org_key
     WHERE a.kind = $1
       AND (CAST($2 AS TEXT) IS NULL OR o.org_id = $2)
       AND (CAST($3 AS BIGINT) IS NULL OR a.created_at < $3 OR (a.created_at = $3 AND a.adjustment_id < $4))
     ORDER BY a.created_at DESC, a.adjustment_id DESC
     LIMIT $5",
);

/// Adjustments that fit, newest first, after a position.
pub(super) async fn newest(
    connection: &mut Connection,
    filter: &Filter,
    before: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Row>, Error> {
    let (created, id) = before.unzip();
    let org_id = filter.org_id.as_ref().map(|org| org.as_str());
    let args = [filter.kind.as_str().into(), org_id.into(), created.into(), id.into(), limit.into()];
    connection.all(&NEWEST, &args).await
}

/// The adjustment that a refund came from.
pub(super) struct OfRefund {
    pub(super) org_key: OrgKey,
    pub(super) adjustment_id: String,
    pub(super) status: Option<String>,
}

const OF_REFUND: Statement = Statement::new(
    "adjustments.of_refund",
    "SELECT org_key, adjustment_id, refund_status
     FROM adjustments
     WHERE refund_id = $1
     ORDER BY org_key, adjustment_id
     LIMIT 1",
);

/// Finds what made a refund, by billing's id of it.
pub(super) async fn of_refund(connection: &mut Connection, refund_id: &str) -> Result<Option<OfRefund>, Error> {
    let Some(row) = connection.optional(&OF_REFUND, &[refund_id.into()]).await? else { return Ok(None) };
    Ok(Some(OfRefund {
        org_key: OrgKey(row.i64("org_key")?),
        adjustment_id: row.text("adjustment_id")?,
        status: row.opt_text("refund_status")?,
    }))
}

const SET_REFUND_STATUS: Statement = Statement::new(
    "adjustments.set_refund_status",
    "UPDATE adjustments SET refund_status = $3 WHERE org_key = $1 AND adjustment_id = $2",
);

/// Notes where a refund stands.
pub(super) async fn set_refund_status(
    tx: &mut Tx,
    (org_key, adjustment_id): (OrgKey, &str),
    status: &str,
) -> Result<u64, Error> {
    tx.execute(&SET_REFUND_STATUS, &[org_key.0.into(), adjustment_id.into(), status.into()]).await
}
