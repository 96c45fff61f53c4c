//! Statements about users, memberships and invitations that follow somebody else's.

use tollgate_connectors::identity::{InvitationFact, InvitationState, MembershipFact, UserFact};
use tollgate_rules::ids::UserId;
use tollgate_rules::time::Timestamp;

use crate::access::OrgScope;
use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &MARK,
    &IS_GONE,
    &IS_THERE,
    &MARK_GONE_ABOUT,
    &PUT_USER,
    &CLOSE_USER,
    &REMOVE_EVERYWHERE,
    &RENAME_ORG,
    &PUT_MEMBERSHIP,
    &REMOVE_MEMBERSHIP,
    &MEMBERS_BEFORE,
    &PUT_INVITATION,
];

/// How new what is told is.
#[derive(Debug)]
pub(super) struct Mark<'a> {
    pub(super) kind: &'static str,
    pub(super) object_id: &'a str,
    pub(super) about: &'a str,
    pub(super) updated_at: Timestamp,
    pub(super) gone: bool,
}

const MARK: Statement = Statement::new(
    "identity.mark",
    "INSERT INTO identity_marks (kind, object_id, about, updated_at, gone)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (kind, object_id) DO UPDATE
     SET updated_at = excluded.updated_at, gone = excluded.gone
     WHERE identity_marks.gone = 0 AND (excluded.gone = 1 OR identity_marks.updated_at < excluded.updated_at)",
);

/// Remembers what is told; false when it is not newer than what we know, or the object is gone.
pub(super) async fn mark(tx: &mut Tx, mark: &Mark<'_>) -> Result<bool, Error> {
    let args = [mark.kind.into(), mark.object_id.into(), mark.about.into(), mark.updated_at.into(), mark.gone.into()];
    Ok(tx.execute(&MARK, &args).await? == 1)
}

const IS_GONE: Statement = Statement::new(
    "identity.is_gone",
    "SELECT COUNT(*) AS found FROM identity_marks WHERE kind = $1 AND object_id = $2 AND gone = 1",
);

pub(super) async fn is_gone(connection: &mut Connection, kind: &'static str, id: &str) -> Result<bool, Error> {
    Ok(connection.one(&IS_GONE, &[kind.into(), id.into()]).await?.i64("found")? > 0)
}

const IS_THERE: Statement = Statement::new(
    "identity.is_there",
    "SELECT COUNT(*) AS found FROM identity_marks WHERE kind = $1 AND about = $2 AND gone = 0",
);

/// Whether something else that is not gone is about the same.
pub(super) async fn is_there(connection: &mut Connection, kind: &'static str, about: &str) -> Result<bool, Error> {
    Ok(connection.one(&IS_THERE, &[kind.into(), about.into()]).await?.i64("found")? > 0)
}

const MARK_GONE_ABOUT: Statement = Statement::new(
    "identity.mark_gone_about",
    "UPDATE identity_marks SET gone = 1 WHERE kind = 'membership' AND about = $1 AND gone = 0",
);

pub(super) async fn mark_gone_about(tx: &mut Tx, about: &str) -> Result<(), Error> {
    tx.execute(&MARK_GONE_ABOUT, &[about.into()]).await.map(|_| ())
}

const PUT_USER: Statement = Statement::new(
    "identity.put_user",
    "INSERT INTO users (user_id, source, status, email, name, created_at, updated_at)
     VALUES ($1, 'clerk', 'active',
       CASE WHEN EXISTS (SELECT 1 FROM users o WHERE o.email = $2 AND o.user_id <> $1) THEN NULL ELSE $2 END,
       $3, $4, $4)
     ON CONFLICT (user_id) DO UPDATE
     SET email = excluded.email, name = excluded.name, updated_at = excluded.updated_at
     WHERE users.status = 'active'",
);

/// Writes the user; an address that another account has stays with that one.
pub(super) async fn put_user(tx: &mut Tx, user: &UserFact) -> Result<(), Error> {
    let args = [
        user.user_id.as_str().into(),
        user.email.as_deref().into(),
        user.name.as_deref().into(),
        user.updated_at.into(),
    ];
    tx.execute(&PUT_USER, &args).await.map(|_| ())
}

const CLOSE_USER: Statement = Statement::new(
    "identity.close_user",
    "UPDATE users SET status = 'closed', closed_at = $2, updated_at = $2 WHERE user_id = $1 AND status = 'active'",
);

pub(super) async fn close_user(tx: &mut Tx, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&CLOSE_USER, &[user_id.as_str().into(), at.into()]).await.map(|_| ())
}

const REMOVE_EVERYWHERE: Statement = Statement::new(
    "identity.remove_everywhere",
    "UPDATE memberships SET removed_at = $2, updated_at = $2 WHERE user_id = $1 AND removed_at IS NULL",
);

/// A user who is gone is no member anywhere: the one change that goes over all orgs.
pub(super) async fn remove_everywhere(tx: &mut Tx, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&REMOVE_EVERYWHERE, &[user_id.as_str().into(), at.into()]).await.map(|_| ())
}

const RENAME_ORG: Statement = Statement::new(
    "identity.rename_org",
    "UPDATE organizations SET name = $2, updated_at = $3 WHERE org_key = $1 AND status <> 'closed' AND name <> $2",
);

pub(super) async fn rename_org(tx: &mut Tx, scope: &OrgScope, name: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&RENAME_ORG, &[scope.org_key().0.into(), name.into(), at.into()]).await? == 1)
}

const PUT_MEMBERSHIP: Statement = Statement::new(
    "identity.put_membership",
    "INSERT INTO memberships (org_key, user_id, role, joined_at, updated_at)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (org_key, user_id) DO UPDATE
     SET role = excluded.role, updated_at = excluded.updated_at, removed_at = NULL,
       joined_at = CASE WHEN memberships.removed_at IS NULL THEN memberships.joined_at ELSE excluded.joined_at END
     WHERE memberships.role <> excluded.role OR memberships.removed_at IS NOT NULL",
);

/// Writes the membership; false when it was so already.
pub(super) async fn put_membership(
    tx: &mut Tx,
    scope: &OrgScope,
    membership: &MembershipFact,
    now: Timestamp,
) -> Result<bool, Error> {
    let args = [
        scope.org_key().0.into(),
        membership.user_id.as_str().into(),
        membership.role.as_str().into(),
        membership.created_at.into(),
        now.into(),
    ];
    Ok(tx.execute(&PUT_MEMBERSHIP, &args).await? == 1)
}

const REMOVE_MEMBERSHIP: Statement = Statement::new(
    "identity.remove_membership",
    "UPDATE memberships
     SET removed_at = $3, updated_at = $3
     WHERE org_key = $1 AND user_id = $2 AND removed_at IS NULL",
);

pub(super) async fn remove_membership(
    tx: &mut Tx,
    scope: &OrgScope,
    user_id: &UserId,
    at: Timestamp,
) -> Result<bool, Error> {
    let args = [scope.org_key().0.into(), user_id.as_str().into(), at.into()];
    Ok(tx.execute(&REMOVE_MEMBERSHIP, &args).await? == 1)
}

const MEMBERS_BEFORE: Statement = Statement::new(
    "identity.members_before",
    "SELECT user_id
     FROM memberships
     WHERE org_key = $1 AND removed_at IS NULL AND updated_at < $2
     ORDER BY user_id
     LIMIT 100000",
);

pub(super) async fn members_before(
    connection: &mut Connection,
    scope: &OrgScope,
    before: Timestamp,
) -> Result<Vec<UserId>, Error> {
    let rows = connection.all(&MEMBERS_BEFORE, &[scope.org_key().0.into(), before.into()]).await?;
    let read = |row: &crate::db::Row| {
        UserId::parse(&row.text("user_id")?).map_err(|error| Error::Bug(format!("a stored member: {error}")))
    };
    rows.iter().map(read).collect()
}

const PUT_INVITATION: Statement = Statement::new(
    "identity.put_invitation",
    "INSERT INTO invitations (org_key, invitation_id, email, role, code_hash, invited_by, created_at, expires_at,
       accepted_at, accepted_by, revoked_at)
     SELECT $1, $2, $3, $4, $5, 'system:clerk', $6, $7, $8, $9, $10
     WHERE CAST($8 AS BIGINT) IS NOT NULL OR CAST($10 AS BIGINT) IS NOT NULL OR NOT EXISTS (
       SELECT 1 FROM invitations o
       WHERE o.org_key = $1 AND o.email = $3 AND o.invitation_id <> $2 AND o.accepted_at IS NULL AND o.revoked_at IS NULL)
     ON CONFLICT (org_key, invitation_id) DO UPDATE
     SET role = excluded.role, expires_at = excluded.expires_at, accepted_at = excluded.accepted_at,
       accepted_by = excluded.accepted_by, revoked_at = excluded.revoked_at",
);

/// Writes the invitation; its code is not ours, so what stands for it opens nothing. A second one that waits for the same address is left out.
pub(super) async fn put_invitation(
    tx: &mut Tx,
    scope: &OrgScope,
    told: &InvitationFact,
    now: Timestamp,
) -> Result<(), Error> {
    let accepted_at = (told.state == InvitationState::Accepted).then_some(now);
    let revoked_at = (told.state == InvitationState::Revoked).then_some(now);
    let args = [
        scope.org_key().0.into(),
        told.invitation_id.as_str().into(),
        told.email.as_str().into(),
        told.role.as_str().into(),
        format!("clerk:{}", told.invitation_id).into(),
        told.created_at.into(),
        told.expires_at.into(),
        accepted_at.into(),
        told.user_id.as_ref().map(UserId::as_str).into(),
        revoked_at.into(),
    ];
    tx.execute(&PUT_INVITATION, &args).await.map(|_| ())
}
