//! Statements about orgs.

use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{OrgId, OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use super::{Filter, Org};
use crate::access::OrgScope;
use crate::db::{Connection, Error, Row, Statement, Tx};
use crate::paging::Paging;

/// Every statement here.
pub(crate) const ALL: &[&Statement] =
    &[&ORG_KEY, &ORG_ID, &BY_ID, &BY_KEY, &LOCK, &SET_OWNER, &INSERT, &UPDATE, &RELINK, &LIST, &KEYS_AFTER];

const ORG_KEY: Statement = Statement::new("orgs.key_by_id", "SELECT org_key FROM organizations WHERE org_id = $1");

pub(crate) async fn org_key(connection: &mut Connection, org_id: &OrgId) -> Result<Option<OrgKey>, Error> {
    let row = connection.optional(&ORG_KEY, &[org_id.as_str().into()]).await?;
    row.map(|row| row.i64("org_key").map(OrgKey)).transpose()
}

const ORG_ID: Statement = Statement::new("orgs.id_by_key", "SELECT org_id FROM organizations WHERE org_key = $1");

pub(crate) async fn org_id(connection: &mut Connection, org_key: OrgKey) -> Result<OrgId, Error> {
    let row = connection.one(&ORG_ID, &[org_key.0.into()]).await?;
    OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))
}

const BY_ID: Statement = Statement::new(
    "orgs.by_id",
    "SELECT org_key, org_id, name, owner_user_id, email, timezone, status, mfa_required, closed_at, created_at, updated_at
     FROM organizations
     WHERE org_id = $1",
);

pub(super) async fn by_id(connection: &mut Connection, org_id: &OrgId) -> Result<Option<Org>, Error> {
    let row = connection.optional(&BY_ID, &[org_id.as_str().into()]).await?;
    row.as_ref().map(org).transpose()
}

const BY_KEY: Statement = Statement::new(
    "orgs.by_key",
    "SELECT org_key, org_id, name, owner_user_id, email, timezone, status, mfa_required, closed_at, created_at, updated_at
     FROM organizations
     WHERE org_key = $1",
);

pub(super) async fn by_key(connection: &mut Connection, scope: &OrgScope) -> Result<Option<Org>, Error> {
    let row = connection.optional(&BY_KEY, &[scope.org_key().0.into()]).await?;
    row.as_ref().map(org).transpose()
}

const LOCK: Statement = Statement::split(
    "orgs.lock",
    "SELECT org_key, org_id, name, owner_user_id, email, timezone, status, mfa_required, closed_at, created_at, updated_at
     FROM organizations
     WHERE org_key = $1",
    "SELECT org_key, org_id, name, owner_user_id, email, timezone, status, mfa_required, closed_at, created_at, updated_at
     FROM organizations
     WHERE org_key = $1
     FOR UPDATE",
);

/// The org, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, scope: &OrgScope) -> Result<Option<Org>, Error> {
    let row = tx.optional(&LOCK, &[scope.org_key().0.into()]).await?;
    row.as_ref().map(org).transpose()
}

const INSERT: Statement = Statement::new(
    "orgs.insert",
    "INSERT INTO organizations (org_id, name, owner_user_id, email, timezone, status, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
     ON CONFLICT (org_id) DO NOTHING
     RETURNING org_key",
);

/// The new org's key; none when the id is taken.
pub(crate) async fn insert(tx: &mut Tx, org: &Org) -> Result<Option<OrgKey>, Error> {
    let args = [
        org.org_id.as_str().into(),
        org.name.as_str().into(),
        org.owner_user_id.as_str().into(),
        org.email.as_deref().into(),
        org.timezone.as_str().into(),
        org.status.as_str().into(),
        org.created_at.into(),
    ];
    let row = tx.optional(&INSERT, &args).await?;
    row.map(|row| row.i64("org_key").map(OrgKey)).transpose()
}

const UPDATE: Statement = Statement::new(
    "orgs.update",
    "UPDATE organizations
     SET name = $2, email = $3, timezone = $4, status = $5, mfa_required = $6, closed_at = $7, updated_at = $8
     WHERE org_key = $1",
);

pub(super) async fn update(tx: &mut Tx, scope: &OrgScope, org: &Org) -> Result<(), Error> {
    let args = [
        scope.org_key().0.into(),
        org.name.as_str().into(),
        org.email.as_deref().into(),
        org.timezone.as_str().into(),
        org.status.as_str().into(),
        org.mfa_required.into(),
        org.closed_at.into(),
        org.updated_at.into(),
    ];
    tx.execute(&UPDATE, &args).await.map(|_| ())
}

const RELINK: Statement =
    Statement::new("orgs.relink", "UPDATE organizations SET org_id = $2, updated_at = $3 WHERE org_key = $1");

pub(super) async fn relink(tx: &mut Tx, scope: &OrgScope, org: &Org) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), org.org_id.as_str().into(), org.updated_at.into()];
    tx.execute(&RELINK, &args).await.map(|_| ())
}

const SET_OWNER: Statement =
    Statement::new("orgs.set_owner", "UPDATE organizations SET owner_user_id = $2, updated_at = $3 WHERE org_key = $1");

/// Another owner by name; memberships are written beside it.
pub(crate) async fn set_owner(tx: &mut Tx, scope: &OrgScope, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SET_OWNER, &[scope.org_key().0.into(), user_id.as_str().into(), at.into()]).await.map(|_| ())
}

const LIST: Statement = Statement::new(
    "orgs.list",
    "SELECT org_key, org_id, name, owner_user_id, email, timezone, status, mfa_required, closed_at, created_at, updated_at
     FROM organizations
     WHERE org_key < $1
       AND (CAST($2 AS TEXT) IS NULL OR status = $2)
       AND (CAST($3 AS TEXT) IS NULL OR LOWER(name) LIKE $3 ESCAPE '\\' OR LOWER(org_id) LIKE $3 ESCAPE '\\')
     ORDER BY org_key DESC
     LIMIT $4",
);

pub(super) async fn list(
    connection: &mut Connection,
    filter: &Filter,
    before_key: i64,
    paging: &Paging,
) -> Result<Vec<Org>, Error> {
    let pattern = filter.search.as_deref().map(|text| format!("%{}%", escaped(&text.to_ascii_lowercase())));
    let args = [before_key.into(), filter.status.map(OrgStatus::as_str).into(), pattern.into(), paging.fetch().into()];
    let rows = connection.all(&LIST, &args).await?;
    rows.iter().map(org).collect()
}

const KEYS_AFTER: Statement =
    Statement::new("orgs.keys_after", "SELECT org_key FROM organizations WHERE org_key > $1 ORDER BY org_key LIMIT $2");

/// A page of all orgs, for workers that go over them.
pub(crate) async fn keys_after(connection: &mut Connection, after: OrgKey, limit: i64) -> Result<Vec<OrgKey>, Error> {
    let rows = connection.all(&KEYS_AFTER, &[after.0.into(), limit.into()]).await?;
    rows.iter().map(|row| row.i64("org_key").map(OrgKey)).collect()
}

/// Takes the meaning from the wildcards of `LIKE`.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn org(row: &Row) -> Result<Org, Error> {
    let bad = |what: &str| Error::Bug(format!("a stored org has an unreadable {what}"));
    Ok(Org {
        org_key: OrgKey(row.i64("org_key")?),
        org_id: OrgId::parse(&row.text("org_id")?).map_err(|_| bad("id"))?,
        name: row.text("name")?,
        owner_user_id: UserId::parse(&row.text("owner_user_id")?).map_err(|_| bad("owner"))?,
        email: row.opt_text("email")?,
        timezone: row.text("timezone")?,
        status: OrgStatus::parse(&row.text("status")?).ok_or_else(|| bad("status"))?,
        mfa_required: row.bool("mfa_required")?,
        closed_at: row.opt_time("closed_at")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
