//! Statements about overrides.

use tollgate_rules::catalog::OveragePolicy;
use tollgate_rules::ids::{FeatureCode, Metric, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use super::{Override, Subject};
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&OPEN, &INSERT, &CLEAR, &LIST];

const OPEN: Statement = Statement::new(
    "overrides.open",
    "SELECT v.org_key, o.org_id, v.override_id, v.metric, v.limit_kind, v.included, v.policy, v.metered_minor, v.metered_units, v.feature,
            v.value, v.starts_at, v.ends_at, v.reason, v.actor, v.created_at, v.cleared_at
     FROM overrides AS v
     JOIN organizations AS o ON o.org_key = v.org_key
     WHERE v.org_key = $1 AND v.cleared_at IS NULL
     ORDER BY v.created_at, v.override_id
     LIMIT 10000",
);

/// The overrides of an org that are not cleared, in the order they were made.
pub(crate) async fn open(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<Override>, Error> {
    let rows = connection.all(&OPEN, &[org_key.0.into()]).await?;
    rows.iter().map(read).collect()
}

const INSERT: Statement = Statement::new(
    "overrides.insert",
    "INSERT INTO overrides (org_key, override_id, metric, limit_kind, included, policy, metered_minor, metered_units, feature, value,
       starts_at, ends_at, reason, actor, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
);

/// Stores a new override.
pub(super) async fn insert(tx: &mut Tx, made: &Override) -> Result<(), Error> {
    let mut args: Vec<Arg> = vec![made.org_key.0.into(), made.override_id.as_str().into()];
    match &made.subject {
        Subject::Metric { metric, included, policy } => {
            let kind = included.map(|units| if units.is_some() { "units" } else { "unlimited" });
            let (minor, per) = match policy {
                Some(OveragePolicy::Metered { amount_minor, per_units }) => (Some(*amount_minor), Some(*per_units)),
                Some(OveragePolicy::HardStop) | None => (None, None),
            };
            args.extend([metric.as_str().into(), kind.into(), included.flatten().into()]);
            args.extend([policy.map(OveragePolicy::as_str).into(), minor.into(), per.into()]);
            args.extend([Arg::Text(None), Arg::Text(None)]);
        }
        Subject::Feature { feature, value } => {
            let value = serde_json::to_string(value).map_err(|error| Error::Bug(format!("a feature: {error}")))?;
            args.extend([Arg::Text(None), Arg::Text(None), Arg::I64(None), Arg::Text(None), Arg::I64(None)]);
            args.extend([Arg::I64(None), feature.as_str().into(), value.into()]);
        }
    }
    args.extend([made.starts_at.into(), made.ends_at.into(), made.reason.as_str().into()]);
    args.extend([made.actor.as_str().into(), made.created_at.into()]);
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const CLEAR: Statement = Statement::new(
    "overrides.clear",
    "UPDATE overrides SET cleared_at = $3 WHERE org_key = $1 AND override_id = $2 AND cleared_at IS NULL",
);

/// Takes an override back.
pub(super) async fn clear(tx: &mut Tx, org_key: OrgKey, override_id: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&CLEAR, &[org_key.0.into(), override_id.into(), at.into()]).await.map(|_| ())
}

const LIST: Statement = Statement::new(
    "overrides.list",
    "SELECT v.org_key, o.org_id, v.override_id, v.metric, v.limit_kind, v.included, v.policy, v.metered_minor, v.metered_units, v.feature,
            v.value, v.starts_at, v.ends_at, v.reason, v.actor, v.created_at, v.cleared_at
     FROM overrides AS v
     JOIN organizations AS o ON o.org_key = v.org_key
     WHERE (CAST($1 AS TEXT) IS NULL OR o.org_id = $1)
       AND (v.created_at < $2 OR (v.created_at = $2 AND v.override_id < $3))
     ORDER BY v.created_at DESC, v.override_id DESC
     LIMIT $4",
);

/// Overrides before a place, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    org: Option<&OrgId>,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<Override>, Error> {
    let (at, id) = before.unwrap_or((i64::MAX, ""));
    let args = [org.map(OrgId::as_str).into(), at.into(), id.into(), limit.into()];
    let rows = connection.all(&LIST, &args).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Override, Error> {
    let bad = |what: &str| Error::Bug(format!("a stored override: {what}"));
    let subject = match (row.opt_text("metric")?, row.opt_text("feature")?, row.opt_text("value")?) {
        (Some(metric), _, _) => Subject::Metric {
            metric: Metric::parse(&metric).map_err(|error| bad(&error.to_string()))?,
            included: row.opt_text("limit_kind")?.map(|_| row.opt_i64("included")).transpose()?,
            policy: match row.opt_text("policy")?.as_deref() {
                None => None,
                Some("METERED") => Some(OveragePolicy::Metered {
                    amount_minor: row.i64("metered_minor")?,
                    per_units: row.i64("metered_units")?,
                }),
                Some(_) => Some(OveragePolicy::HardStop),
            },
        },
        (None, Some(feature), Some(value)) => Subject::Feature {
            feature: FeatureCode::parse(&feature).map_err(|error| bad(&error.to_string()))?,
            value: serde_json::from_str(&value).map_err(|error| bad(&error.to_string()))?,
        },
        (None, _, _) => return Err(bad("it is about nothing")),
    };
    Ok(Override {
        org_key: OrgKey(row.i64("org_key")?),
        org_id: OrgId::parse(&row.text("org_id")?).map_err(|error| bad(&error.to_string()))?,
        override_id: row.text("override_id")?,
        subject,
        starts_at: row.time("starts_at")?,
        ends_at: row.opt_time("ends_at")?,
        reason: row.text("reason")?,
        actor: row.text("actor")?,
        created_at: row.time("created_at")?,
        cleared_at: row.opt_time("cleared_at")?,
    })
}
