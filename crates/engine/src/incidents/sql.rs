//! Statements about incidents.

use tollgate_rules::time::Timestamp;

use super::note::Seen;
use super::{Filter, Incident, Kind};
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&COUNT_UP, &INSERT, &OPEN, &CLOSE_ONE, &LIST, &FORGET_OLD];

const COUNT_UP: Statement = Statement::new(
    "incidents.count_up",
    "UPDATE incidents
     SET seen = seen + 1, last_seen_at = $4, detail = $5
     WHERE org_key = $1 AND kind = $2 AND subject = $3 AND state = 'open'",
);

/// Counts an open incident up; false when there is none.
pub(super) async fn count_up(tx: &mut Tx, seen: &Seen<'_>, now: Timestamp) -> Result<bool, Error> {
    let args = [seen.org_key.into(), seen.kind.as_str().into(), seen.subject.into(), now.into(), seen.detail.into()];
    Ok(tx.execute(&COUNT_UP, &args).await? > 0)
}

const INSERT: Statement = Statement::new(
    "incidents.insert",
    "INSERT INTO incidents (org_key, incident_id, kind, subject, detail, state, seen, opened_at, last_seen_at)
     VALUES ($1, $2, $3, $4, $5, 'open', 1, $6, $6)",
);

pub(super) async fn insert(tx: &mut Tx, incident_id: &str, seen: &Seen<'_>, now: Timestamp) -> Result<(), Error> {
    let args = [
        seen.org_key.into(),
        incident_id.into(),
        seen.kind.as_str().into(),
        seen.subject.into(),
        seen.detail.into(),
        now.into(),
    ];
    tx.execute(&INSERT, &args).await.map(drop)
}

const OPEN: Statement = Statement::new(
    "incidents.open",
    "SELECT org_key, incident_id
     FROM incidents
     WHERE kind = $1 AND subject = $2 AND state = 'open'
     ORDER BY incident_id
     LIMIT 100",
);

/// Closes what is open about a subject: org and id of each.
pub(super) async fn close(tx: &mut Tx, kind: Kind, subject: &str, now: Timestamp) -> Result<Vec<(i64, String)>, Error> {
    let rows = tx.all(&OPEN, &[kind.as_str().into(), subject.into()]).await?;
    let found = rows.iter().map(|row| Ok((row.i64("org_key")?, row.text("incident_id")?)));
    let found = found.collect::<Result<Vec<_>, Error>>()?;
    for (_, incident_id) in &found {
        close_one(tx, incident_id, now).await?;
    }
    Ok(found)
}

const CLOSE_ONE: Statement = Statement::new(
    "incidents.close_one",
    "UPDATE incidents SET state = 'closed', closed_at = $2 WHERE incident_id = $1 AND state = 'open'",
);

/// Closes one; false when it is not open.
pub(super) async fn close_one(tx: &mut Tx, incident_id: &str, now: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&CLOSE_ONE, &[incident_id.into(), now.into()]).await? > 0)
}

const LIST: Statement = Statement::new(
    "incidents.list",
    "SELECT i.incident_id, o.org_id, i.kind, i.subject, i.detail, i.state, i.seen, i.opened_at, i.last_seen_at, i.closed_at
     FROM incidents i
     LEFT JOIN organizations o ON o.org_key = i.org_key
     WHERE (CAST($1 AS TEXT) IS NULL OR i.state = $1)
       AND (CAST($2 AS TEXT) IS NULL OR i.kind = $2)
       AND (CAST($3 AS TEXT) IS NULL OR o.org_id = $3)
       AND (CAST($4 AS BIGINT) IS NULL OR i.opened_at < $4 OR (i.opened_at = $4 AND i.incident_id < $5))
     ORDER BY i.opened_at DESC, i.incident_id DESC
     LIMIT $6",
);

pub(super) async fn list(
    connection: &mut Connection,
    filter: &Filter,
    before: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Incident>, Error> {
    let (opened, id) = before.unzip();
    let args = [
        filter.state.as_deref().into(),
        filter.kind.map(Kind::as_str).into(),
        filter.org_id.as_deref().into(),
        opened.into(),
        id.into(),
        limit.into(),
    ];
    connection.all(&LIST, &args).await?.iter().map(incident).collect()
}

fn incident(row: &Row) -> Result<Incident, Error> {
    Ok(Incident {
        incident_id: row.text("incident_id")?,
        org_id: row.opt_text("org_id")?,
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        detail: row.text("detail")?,
        state: row.text("state")?,
        seen: row.i64("seen")?,
        opened_at: row.time("opened_at")?,
        last_seen_at: row.time("last_seen_at")?,
        closed_at: row.opt_i64("closed_at")?.map(Timestamp::from_micros),
    })
}

const FORGET_OLD: Statement = Statement::new(
    "incidents.forget_old",
    "DELETE FROM incidents
     WHERE incident_id IN (
       SELECT incident_id
       FROM incidents
       WHERE state = 'closed' AND closed_at < $1
       ORDER BY closed_at
       LIMIT $2)",
);

/// Deletes incidents closed before `before`; the retention of the table.
pub(crate) async fn forget_old(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_OLD, &[before.into(), limit.into()]).await
}
