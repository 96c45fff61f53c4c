//! Statements about members.

pub(crate) mod invitations;

use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use super::Member;
use crate::access::{Membership, OrgRef, OrgScope};
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] =
    &[&OF_USER, &PUT, &BY_USER, &OWNERS, &LIVE_COUNT, &SET_ROLE, &REMOVE, &LIST, &HAS_EMAIL, &RESTORE_ALL];

const OF_USER: Statement = Statement::new(
    "members.of_user",
    "SELECT o.org_key, o.org_id, o.mfa_required, m.role
     FROM memberships m
     JOIN organizations o ON o.org_key = m.org_key
     WHERE m.user_id = $1 AND m.removed_at IS NULL AND o.status <> 'closed'
     ORDER BY m.org_key
     LIMIT $2",
);

/// The orgs a user belongs to: the one look-up across orgs, which finds out where they may act.
pub(crate) async fn of_user(
    connection: &mut Connection,
    user_id: &UserId,
    limit: i64,
) -> Result<Vec<Membership>, Error> {
    let rows = connection.all(&OF_USER, &[user_id.as_str().into(), limit.into()]).await?;
    let read = |row: &Row| {
        let id = OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))?;
        Ok(Membership {
            org: OrgRef { key: OrgKey(row.i64("org_key")?), id },
            role: role(row)?,
            mfa_required: row.bool("mfa_required")?,
        })
    };
    rows.iter().map(read).collect()
}

const PUT: Statement = Statement::new(
    "members.put",
    "INSERT INTO memberships (org_key, user_id, role, joined_at, updated_at)
     VALUES ($1, $2, $3, $4, $4)
     ON CONFLICT (org_key, user_id)
     DO UPDATE SET role = excluded.role, joined_at = excluded.joined_at, updated_at = excluded.updated_at, removed_at = NULL",
);

/// Makes the user a member with this role, also where they were one before.
pub(crate) async fn put(
    tx: &mut Tx,
    scope: &OrgScope,
    user_id: &UserId,
    role: Role,
    at: Timestamp,
) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), user_id.as_str().into(), role.as_str().into(), at.into()];
    tx.execute(&PUT, &args).await.map(|_| ())
}

const BY_USER: Statement = Statement::new(
    "members.by_user",
    "SELECT m.user_id, m.role, m.joined_at, u.email, u.name
     FROM memberships m
     LEFT JOIN users u ON u.user_id = m.user_id
     WHERE m.org_key = $1 AND m.user_id = $2 AND m.removed_at IS NULL",
);

pub(crate) async fn by_user(
    connection: &mut Connection,
    scope: &OrgScope,
    user_id: &UserId,
) -> Result<Option<Member>, Error> {
    let row = connection.optional(&BY_USER, &[scope.org_key().0.into(), user_id.as_str().into()]).await?;
    row.as_ref().map(member).transpose()
}

const OWNERS: Statement = Statement::new(
    "members.owners",
    "SELECT COUNT(*) AS found FROM memberships WHERE org_key = $1 AND role = 'owner' AND removed_at IS NULL",
);

pub(crate) async fn owners(connection: &mut Connection, scope: &OrgScope) -> Result<i64, Error> {
    connection.one(&OWNERS, &[scope.org_key().0.into()]).await?.i64("found")
}

const LIVE_COUNT: Statement = Statement::new(
    "members.live_count",
    "SELECT COUNT(*) AS found FROM memberships WHERE org_key = $1 AND removed_at IS NULL",
);

pub(super) async fn live_count(connection: &mut Connection, scope: &OrgScope) -> Result<i64, Error> {
    connection.one(&LIVE_COUNT, &[scope.org_key().0.into()]).await?.i64("found")
}

const SET_ROLE: Statement = Statement::new(
    "members.set_role",
    "UPDATE memberships SET role = $3, updated_at = $4 WHERE org_key = $1 AND user_id = $2 AND removed_at IS NULL",
);

pub(super) async fn set_role(
    tx: &mut Tx,
    scope: &OrgScope,
    user_id: &UserId,
    role: Role,
    at: Timestamp,
) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), user_id.as_str().into(), role.as_str().into(), at.into()];
    tx.execute(&SET_ROLE, &args).await.map(|_| ())
}

const REMOVE: Statement = Statement::new(
    "members.remove",
    "UPDATE memberships SET removed_at = $3, updated_at = $3 WHERE org_key = $1 AND user_id = $2 AND removed_at IS NULL",
);

pub(crate) async fn remove(tx: &mut Tx, scope: &OrgScope, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), user_id.as_str().into(), at.into()];
    tx.execute(&REMOVE, &args).await.map(|_| ())
}

const LIST: Statement = Statement::new(
    "members.list",
    "SELECT m.user_id, m.role, m.joined_at, u.email, u.name
     FROM memberships m
     LEFT JOIN users u ON u.user_id = m.user_id
     WHERE m.org_key = $1 AND m.removed_at IS NULL
       AND (CAST($2 AS BIGINT) IS NULL OR m.joined_at < $2 OR (m.joined_at = $2 AND m.user_id < $3))
     ORDER BY m.joined_at DESC, m.user_id DESC
     LIMIT $4",
);

/// A page of members, newest first, after the one that joined at that time.
pub(super) async fn list(
    connection: &mut Connection,
    scope: &OrgScope,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Member>, Error> {
    let args = [
        scope.org_key().0.into(),
        after.map(|(at, _)| at).into(),
        after.map(|(_, user_id)| user_id).into(),
        limit.into(),
    ];
    let rows = connection.all(&LIST, &args).await?;
    rows.iter().map(member).collect()
}

const HAS_EMAIL: Statement = Statement::new(
    "members.has_email",
    "SELECT COUNT(*) AS found
     FROM memberships m
     JOIN users u ON u.user_id = m.user_id
     WHERE m.org_key = $1 AND m.removed_at IS NULL AND u.email = $2",
);

pub(super) async fn has_email(connection: &mut Connection, scope: &OrgScope, email: &str) -> Result<bool, Error> {
    let row = connection.one(&HAS_EMAIL, &[scope.org_key().0.into(), email.into()]).await?;
    Ok(row.i64("found")? > 0)
}

const RESTORE_ALL: Statement = Statement::new(
    "members.restore_all",
    "UPDATE memberships SET removed_at = NULL, updated_at = $3 WHERE user_id = $1 AND removed_at = $2",
);

/// Gives a user back the memberships that ended at this moment, with their account.
pub(crate) async fn restore_all(
    tx: &mut Tx,
    user_id: &UserId,
    ended_at: Timestamp,
    at: Timestamp,
) -> Result<u64, Error> {
    tx.execute(&RESTORE_ALL, &[user_id.as_str().into(), ended_at.into(), at.into()]).await
}

fn role(row: &Row) -> Result<Role, Error> {
    Role::parse(&row.text("role")?).ok_or_else(|| Error::Bug("a stored role is unreadable".to_owned()))
}

fn member(row: &Row) -> Result<Member, Error> {
    let user_id =
        UserId::parse(&row.text("user_id")?).map_err(|error| Error::Bug(format!("a stored user: {error}")))?;
    Ok(Member {
        user_id,
        role: role(row)?,
        email: row.opt_text("email")?,
        name: row.opt_text("name")?,
        joined_at: row.time("joined_at")?,
    })
}
