//! Statements about invitations.

use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use crate::access::{OrgRef, OrgScope};
use crate::db::{Connection, Error, Row, Statement, Tx};
use crate::members::Invitation;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT,
    &WITHDRAW_PENDING,
    &PENDING_COUNT,
    &PENDING,
    &PENDING_FOR,
    &WAITING_FOR,
    &BY_ID,
    &REVOKE,
    &RENEW,
    &ORG_OF_CODE,
    &ACCEPT,
    &FORGET_ADDRESSES,
];

const INSERT: Statement = Statement::new(
    "invitations.insert",
    "INSERT INTO invitations (org_key, invitation_id, email, role, code_hash, invited_by, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);

pub(in crate::members) async fn insert(
    tx: &mut Tx,
    scope: &OrgScope,
    invitation: &Invitation,
    code_hash: &str,
) -> Result<(), Error> {
    let args = [
        scope.org_key().0.into(),
        invitation.invitation_id.as_str().into(),
        invitation.email.as_str().into(),
        invitation.role.as_str().into(),
        code_hash.into(),
        invitation.invited_by.as_str().into(),
        invitation.created_at.into(),
        invitation.expires_at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const WITHDRAW_PENDING: Statement = Statement::new(
    "invitations.withdraw_pending",
    "UPDATE invitations SET revoked_at = $3
     WHERE org_key = $1 AND email = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
);

/// Withdraws what waits for this address in this org: a new invitation takes its place.
pub(in crate::members) async fn withdraw_pending(
    tx: &mut Tx,
    scope: &OrgScope,
    email: &str,
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute(&WITHDRAW_PENDING, &[scope.org_key().0.into(), email.into(), at.into()]).await.map(|_| ())
}

const PENDING_COUNT: Statement = Statement::new(
    "invitations.pending_count",
    "SELECT COUNT(*) AS found FROM invitations
     WHERE org_key = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2",
);

pub(in crate::members) async fn pending_count(
    connection: &mut Connection,
    scope: &OrgScope,
    now: Timestamp,
) -> Result<i64, Error> {
    connection.one(&PENDING_COUNT, &[scope.org_key().0.into(), now.into()]).await?.i64("found")
}

const PENDING: Statement = Statement::new(
    "invitations.pending",
    "SELECT i.invitation_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, o.org_id, o.name AS org_name
     FROM invitations i
     JOIN organizations o ON o.org_key = i.org_key
     WHERE i.org_key = $1 AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $2
       AND (CAST($3 AS TEXT) IS NULL OR i.invitation_id < $3)
     ORDER BY i.invitation_id DESC
     LIMIT $4",
);

pub(in crate::members) async fn pending(
    connection: &mut Connection,
    scope: &OrgScope,
    now: Timestamp,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Invitation>, Error> {
    let rows = connection.all(&PENDING, &[scope.org_key().0.into(), now.into(), after.into(), limit.into()]).await?;
    rows.iter().map(invitation).collect()
}

const WAITING_FOR: Statement = Statement::new(
    "invitations.waiting_for",
    "SELECT invitation_id FROM invitations
     WHERE org_key = $1 AND email = $2 AND accepted_at IS NULL AND revoked_at IS NULL
     ORDER BY invitation_id
     LIMIT 1",
);

/// The invitation to this org that waits for an address.
pub(in crate::members) async fn waiting_for(
    connection: &mut Connection,
    scope: &OrgScope,
    email: &str,
) -> Result<Option<String>, Error> {
    let row = connection.optional(&WAITING_FOR, &[scope.org_key().0.into(), email.into()]).await?;
    row.map(|row| row.text("invitation_id")).transpose()
}

const PENDING_FOR: Statement = Statement::new(
    "invitations.pending_for",
    "SELECT i.invitation_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, o.org_id, o.name AS org_name
     FROM invitations i
     JOIN organizations o ON o.org_key = i.org_key
     WHERE i.email = $1 AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $2 AND o.status <> 'closed'
     ORDER BY i.invitation_id DESC
     LIMIT $3",
);

/// What waits for the owner of this verified address, in any org.
pub(in crate::members) async fn pending_for(
    connection: &mut Connection,
    email: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Invitation>, Error> {
    let rows = connection.all(&PENDING_FOR, &[email.into(), now.into(), limit.into()]).await?;
    rows.iter().map(invitation).collect()
}

const BY_ID: Statement = Statement::new(
    "invitations.by_id",
    "SELECT i.invitation_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, o.org_id, o.name AS org_name
     FROM invitations i
     JOIN organizations o ON o.org_key = i.org_key
     WHERE i.org_key = $1 AND i.invitation_id = $2 AND i.accepted_at IS NULL AND i.revoked_at IS NULL",
);

/// An invitation that was neither accepted nor withdrawn, too old ones included.
pub(in crate::members) async fn by_id(
    connection: &mut Connection,
    scope: &OrgScope,
    invitation_id: &str,
) -> Result<Option<Invitation>, Error> {
    let row = connection.optional(&BY_ID, &[scope.org_key().0.into(), invitation_id.into()]).await?;
    row.as_ref().map(invitation).transpose()
}

const REVOKE: Statement = Statement::new(
    "invitations.revoke",
    "UPDATE invitations SET revoked_at = $3
     WHERE org_key = $1 AND invitation_id = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
);

pub(in crate::members) async fn revoke(
    tx: &mut Tx,
    scope: &OrgScope,
    invitation_id: &str,
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute(&REVOKE, &[scope.org_key().0.into(), invitation_id.into(), at.into()]).await.map(|_| ())
}

const RENEW: Statement = Statement::new(
    "invitations.renew",
    "UPDATE invitations SET code_hash = $3, expires_at = $4
     WHERE org_key = $1 AND invitation_id = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
);

/// Gives the invitation another code and another end: the code sent before is void.
pub(in crate::members) async fn renew(
    tx: &mut Tx,
    scope: &OrgScope,
    invitation_id: &str,
    code_hash: &str,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), invitation_id.into(), code_hash.into(), expires_at.into()];
    tx.execute(&RENEW, &args).await.map(|_| ())
}

const ORG_OF_CODE: Statement = Statement::new(
    "invitations.org_of_code",
    "SELECT o.org_key, o.org_id
     FROM invitations i
     JOIN organizations o ON o.org_key = i.org_key
     WHERE i.code_hash = $1",
);

/// Which org a code belongs to: found out before its row is locked, so that orgs are always locked first.
pub(in crate::members) async fn org_of_code(
    connection: &mut Connection,
    code_hash: &str,
) -> Result<Option<OrgRef>, Error> {
    let Some(row) = connection.optional(&ORG_OF_CODE, &[code_hash.into()]).await? else { return Ok(None) };
    let id = OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))?;
    Ok(Some(OrgRef { key: OrgKey(row.i64("org_key")?), id }))
}

const ACCEPT: Statement = Statement::new(
    "invitations.accept",
    "UPDATE invitations SET accepted_at = $4, accepted_by = $5
     WHERE org_key = $1 AND code_hash = $2 AND email = $3
       AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $4
     RETURNING invitation_id, role",
);

/// Uses the code up: the invitation's id and role, once, for the one it names.
pub(in crate::members) async fn accept(
    tx: &mut Tx,
    scope: &OrgScope,
    code_hash: &str,
    by: (&UserId, &str),
    at: Timestamp,
) -> Result<Option<(String, Role)>, Error> {
    let (user_id, email) = by;
    let args = [scope.org_key().0.into(), code_hash.into(), email.into(), at.into(), user_id.as_str().into()];
    let Some(row) = tx.optional(&ACCEPT, &args).await? else { return Ok(None) };
    Ok(Some((row.text("invitation_id")?, role(&row)?)))
}

const FORGET_ADDRESSES: Statement = Statement::new(
    "invitations.forget_addresses",
    "UPDATE invitations SET email = '', revoked_at = COALESCE(revoked_at, expires_at)
     WHERE code_hash IN (
       SELECT code_hash FROM invitations WHERE email <> '' AND expires_at < $1 ORDER BY expires_at LIMIT $2)",
);

/// Erases the addresses of invitations that ran out before `before`.
pub(crate) async fn forget_addresses(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_ADDRESSES, &[before.into(), rows.into()]).await
}

fn role(row: &Row) -> Result<Role, Error> {
    Role::parse(&row.text("role")?).ok_or_else(|| Error::Bug("a stored role is unreadable".to_owned()))
}

fn invitation(row: &Row) -> Result<Invitation, Error> {
    let org_id = OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))?;
    Ok(Invitation {
        invitation_id: row.text("invitation_id")?,
        org_id,
        org_name: row.text("org_name")?,
        email: row.text("email")?,
        role: role(row)?,
        invited_by: row.text("invited_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}
