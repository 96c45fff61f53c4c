//! Statements about what orgs were told.

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::Occasion;
use crate::db::{Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &READERS, &ORG, &DELETE_OLD];

const INSERT: Statement = Statement::new(
    "notices.insert",
    "INSERT INTO billing_notices (org_key, kind, occasion, told_at)
     VALUES ($1, $2, $3, $4)
     ON CONFLICT (org_key, kind, occasion) DO NOTHING",
);

/// False when it was told already.
pub(super) async fn insert(tx: &mut Tx, org_key: OrgKey, occasion: &Occasion, at: Timestamp) -> Result<bool, Error> {
    let args = [org_key.0.into(), occasion.kind.as_str().into(), occasion.name().into(), at.into()];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

const READERS: Statement = Statement::new(
    "notices.readers",
    "SELECT u.email
     FROM memberships m
     JOIN users u ON u.user_id = m.user_id
     WHERE m.org_key = $1 AND m.removed_at IS NULL AND m.role IN ('owner', 'billing')
       AND u.email IS NOT NULL AND u.status = 'active'
     ORDER BY u.email
     LIMIT 200",
);
const ORG: Statement = Statement::new(
    "notices.org",
    "SELECT o.name, COALESCE(o.email, c.email) AS email
     FROM organizations o
     LEFT JOIN customers c ON c.org_key = o.org_key
     WHERE o.org_key = $1",
);

/// What the org is called, and who is told: its owners and billing members, else its own address, else its customer's.
pub(crate) async fn readers(tx: &mut Tx, org_key: OrgKey) -> Result<(String, Vec<String>), Error> {
    let org = tx.one(&ORG, &[org_key.0.into()]).await?;
    let rows = tx.all(&READERS, &[org_key.0.into()]).await?;
    let mut readers: Vec<String> = rows.iter().map(|row| row.text("email")).collect::<Result<_, _>>()?;
    if readers.is_empty() {
        readers.extend(org.opt_text("email")?);
    }
    Ok((org.text("name")?, readers))
}

const DELETE_OLD: Statement = Statement::split(
    "notices.delete_old",
    "DELETE FROM billing_notices WHERE rowid IN (
       SELECT rowid FROM billing_notices WHERE told_at < $1 ORDER BY told_at LIMIT $2)",
    "DELETE FROM billing_notices WHERE ctid IN (
       SELECT ctid FROM billing_notices WHERE told_at < $1 ORDER BY told_at LIMIT $2)",
);

pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), rows.into()]).await
}
