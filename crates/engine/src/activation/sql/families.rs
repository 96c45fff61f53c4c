//! Statements about families of refresh tokens.

use tollgate_rules::time::Timestamp;

use crate::access::{OrgRef, OrgScope};
use crate::activation::redeem::org_ref;
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_FAMILY,
    &LIVE_FAMILIES,
    &LOCK_FAMILY,
    &REVOKE_FAMILY,
    &INSERT_TOKEN,
    &TOKEN_BY_HASH,
    &TOKEN_IN_FAMILY,
    &USE_TOKEN,
    &DROP_OLDER_SUCCESSORS,
    &LIVE_TOKEN,
    &MANAGERS_EMAILS,
    &FORGET_TOKENS,
    &FORGET_FAMILIES,
];

/// A family as it is stored first.
#[derive(Debug)]
pub(in crate::activation) struct NewFamily<'a> {
    pub(in crate::activation) family_id: &'a str,
    pub(in crate::activation) site_id: &'a str,
    pub(in crate::activation) scopes: &'a str,
    pub(in crate::activation) jkt: Option<&'a str>,
    pub(in crate::activation) now: Timestamp,
    pub(in crate::activation) ends_at: Timestamp,
}

const INSERT_FAMILY: Statement = Statement::new(
    "activation.insert_family",
    "INSERT INTO token_families (org_key, family_id, site_id, scopes, created_at, ends_at, jkt)
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);

pub(in crate::activation) async fn insert_family(
    tx: &mut Tx,
    scope: &OrgScope,
    new: &NewFamily<'_>,
) -> Result<(), Error> {
    let args = [
        scope.org_key().0.into(),
        new.family_id.into(),
        new.site_id.into(),
        new.scopes.into(),
        new.now.into(),
        new.ends_at.into(),
        new.jkt.into(),
    ];
    tx.execute(&INSERT_FAMILY, &args).await.map(|_| ())
}

const LIVE_FAMILIES: Statement = Statement::new(
    "activation.live_families",
    "SELECT family_id
     FROM token_families
     WHERE org_key = $1 AND site_id = $2 AND revoked_at IS NULL
     ORDER BY family_id
     LIMIT 500",
);

pub(in crate::activation) async fn live_families(
    connection: &mut Connection,
    scope: &OrgScope,
    site_id: &str,
) -> Result<Vec<String>, Error> {
    let rows = connection.all(&LIVE_FAMILIES, &[scope.org_key().0.into(), site_id.into()]).await?;
    rows.iter().map(|row| row.text("family_id")).collect()
}

/// A family under its lock.
#[derive(Debug)]
pub(in crate::activation) struct Family {
    pub(in crate::activation) domain: String,
    pub(in crate::activation) scopes: String,
    pub(in crate::activation) ends_at: Timestamp,
    pub(in crate::activation) revoked: bool,
    /// The thumbprint of the key it is bound to.
    pub(in crate::activation) jkt: Option<String>,
}

const LOCK_FAMILY: Statement = Statement::split(
    "activation.lock_family",
    "SELECT f.scopes, f.ends_at, f.revoked_at, f.jkt, s.domain
     FROM token_families f
     JOIN sites s ON s.org_key = f.org_key AND s.site_id = f.site_id
     WHERE f.org_key = $1 AND f.family_id = $2",
    "SELECT f.scopes, f.ends_at, f.revoked_at, f.jkt, s.domain
     FROM token_families f
     JOIN sites s ON s.org_key = f.org_key AND s.site_id = f.site_id
     WHERE f.org_key = $1 AND f.family_id = $2
     FOR UPDATE OF f",
);

/// The family, locked until the transaction ends.
pub(in crate::activation) async fn lock_family(
    tx: &mut Tx,
    scope: &OrgScope,
    family_id: &str,
) -> Result<Option<Family>, Error> {
    let row = tx.optional(&LOCK_FAMILY, &[scope.org_key().0.into(), family_id.into()]).await?;
    let read = |row: Row| {
        Ok(Family {
            domain: row.text("domain")?,
            scopes: row.text("scopes")?,
            ends_at: row.time("ends_at")?,
            revoked: row.opt_time("revoked_at")?.is_some(),
            jkt: row.opt_text("jkt")?,
        })
    };
    row.map(read).transpose()
}

const REVOKE_FAMILY: Statement = Statement::new(
    "activation.revoke_family",
    "UPDATE token_families
     SET revoked_at = $3, revoked_for = $4
     WHERE org_key = $1 AND family_id = $2 AND revoked_at IS NULL",
);

/// Ends a family; false when it is over already.
pub(in crate::activation) async fn revoke_family(
    tx: &mut Tx,
    scope: &OrgScope,
    family_id: &str,
    at: Timestamp,
    why: &'static str,
) -> Result<bool, Error> {
    let args = [scope.org_key().0.into(), family_id.into(), at.into(), why.into()];
    Ok(tx.execute(&REVOKE_FAMILY, &args).await? == 1)
}

/// A refresh token as it is stored first.
#[derive(Debug)]
pub(in crate::activation) struct NewToken<'a> {
    pub(in crate::activation) family_id: &'a str,
    pub(in crate::activation) generation: i64,
    pub(in crate::activation) hash: &'a str,
    pub(in crate::activation) now: Timestamp,
    pub(in crate::activation) idle_until: Timestamp,
}

const INSERT_TOKEN: Statement = Statement::new(
    "activation.insert_token",
    "INSERT INTO refresh_tokens (org_key, family_id, generation, token_hash, created_at, idle_until)
     VALUES ($1, $2, $3, $4, $5, $6)",
);

pub(in crate::activation) async fn insert_token(
    tx: &mut Tx,
    scope: &OrgScope,
    new: &NewToken<'_>,
) -> Result<(), Error> {
    let args = [
        scope.org_key().0.into(),
        new.family_id.into(),
        new.generation.into(),
        new.hash.into(),
        new.now.into(),
        new.idle_until.into(),
    ];
    tx.execute(&INSERT_TOKEN, &args).await.map(|_| ())
}

/// Where a presented token belongs.
#[derive(Debug)]
pub(in crate::activation) struct Found {
    pub(in crate::activation) org: OrgRef,
    pub(in crate::activation) family_id: String,
    pub(in crate::activation) site_id: String,
    pub(in crate::activation) generation: i64,
}

const TOKEN_BY_HASH: Statement = Statement::new(
    "activation.token_by_hash",
    "SELECT t.org_key, o.org_id, t.family_id, f.site_id, t.generation
     FROM refresh_tokens t
     JOIN token_families f ON f.org_key = t.org_key AND f.family_id = t.family_id
     JOIN organizations o ON o.org_key = t.org_key
     WHERE t.token_hash = $1",
);

/// The one look-up without an org: it finds out which one a token belongs to.
pub(in crate::activation) async fn token_by_hash(
    connection: &mut Connection,
    hash: &str,
) -> Result<Option<Found>, Error> {
    let row = connection.optional(&TOKEN_BY_HASH, &[hash.into()]).await?;
    let read = |row: Row| {
        Ok(Found {
            org: org_ref(row.i64("org_key")?, &row.text("org_id")?)?,
            family_id: row.text("family_id")?,
            site_id: row.text("site_id")?,
            generation: row.i64("generation")?,
        })
    };
    row.map(read).transpose()
}

/// What became of a token.
#[derive(Debug)]
pub(in crate::activation) struct Used {
    pub(in crate::activation) idle_until: Timestamp,
    pub(in crate::activation) used_at: Option<Timestamp>,
    pub(in crate::activation) sealed_successor: Option<String>,
    /// Whether the token after it was used too.
    pub(in crate::activation) successor_used: bool,
}

const TOKEN_IN_FAMILY: Statement = Statement::new(
    "activation.token_in_family",
    "SELECT t.idle_until, t.used_at, t.sealed_successor,
       (SELECT COUNT(*) FROM refresh_tokens n
        WHERE n.org_key = t.org_key AND n.family_id = t.family_id AND n.generation > t.generation
          AND n.used_at IS NOT NULL) AS later_uses
     FROM refresh_tokens t
     WHERE t.org_key = $1 AND t.family_id = $2 AND t.generation = $3",
);

pub(in crate::activation) async fn token_in_family(
    tx: &mut Tx,
    scope: &OrgScope,
    family_id: &str,
    generation: i64,
) -> Result<Used, Error> {
    let args = [scope.org_key().0.into(), family_id.into(), generation.into()];
    let row = tx.one(&TOKEN_IN_FAMILY, &args).await?;
    Ok(Used {
        idle_until: row.time("idle_until")?,
        used_at: row.opt_time("used_at")?,
        sealed_successor: row.opt_text("sealed_successor")?,
        successor_used: row.i64("later_uses")? > 0,
    })
}

const USE_TOKEN: Statement = Statement::new(
    "activation.use_token",
    "UPDATE refresh_tokens
     SET used_at = $4, sealed_successor = $5
     WHERE org_key = $1 AND family_id = $2 AND generation = $3 AND used_at IS NULL",
);

pub(in crate::activation) async fn use_token(
    tx: &mut Tx,
    scope: &OrgScope,
    found: &Found,
    at: Timestamp,
    sealed: &str,
) -> Result<(), Error> {
    let args =
        [scope.org_key().0.into(), found.family_id.as_str().into(), found.generation.into(), at.into(), sealed.into()];
    match tx.execute(&USE_TOKEN, &args).await? {
        1 => Ok(()),
        other => Err(Error::Bug(format!("a refresh token under its family's lock was used {other} times"))),
    }
}

const DROP_OLDER_SUCCESSORS: Statement = Statement::new(
    "activation.drop_older_successors",
    "UPDATE refresh_tokens
     SET sealed_successor = NULL
     WHERE org_key = $1 AND family_id = $2 AND generation < $3 AND sealed_successor IS NOT NULL",
);

/// A token that was used needs no copy of itself for a lost answer any more.
pub(in crate::activation) async fn drop_older_successors(
    tx: &mut Tx,
    scope: &OrgScope,
    found: &Found,
) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), found.family_id.as_str().into(), found.generation.into()];
    tx.execute(&DROP_OLDER_SUCCESSORS, &args).await.map(|_| ())
}

/// A refresh token that is valid now.
#[derive(Debug)]
pub(in crate::activation) struct Live {
    pub(in crate::activation) org: OrgRef,
    pub(in crate::activation) site_id: String,
    pub(in crate::activation) domain: String,
    pub(in crate::activation) scopes: String,
    pub(in crate::activation) created_at: Timestamp,
    pub(in crate::activation) ends_at: Timestamp,
    pub(in crate::activation) jkt: Option<String>,
}

const LIVE_TOKEN: Statement = Statement::new(
    "activation.live_token",
    "SELECT t.org_key, o.org_id, f.site_id, s.domain, f.scopes, t.created_at, t.idle_until, f.ends_at, f.jkt
     FROM refresh_tokens t
     JOIN token_families f ON f.org_key = t.org_key AND f.family_id = t.family_id
     JOIN sites s ON s.org_key = f.org_key AND s.site_id = f.site_id
     JOIN organizations o ON o.org_key = t.org_key
     WHERE t.token_hash = $1 AND t.used_at IS NULL AND t.idle_until > $2 AND f.revoked_at IS NULL AND f.ends_at > $2
       AND o.status <> 'closed'",
);

pub(in crate::activation) async fn live_token(
    connection: &mut Connection,
    hash: &str,
    now: Timestamp,
) -> Result<Option<Live>, Error> {
    let row = connection.optional(&LIVE_TOKEN, &[hash.into(), now.into()]).await?;
    let read = |row: Row| {
        Ok(Live {
            org: org_ref(row.i64("org_key")?, &row.text("org_id")?)?,
            site_id: row.text("site_id")?,
            domain: row.text("domain")?,
            scopes: row.text("scopes")?,
            created_at: row.time("created_at")?,
            ends_at: row.time("ends_at")?.min(row.time("idle_until")?),
            jkt: row.opt_text("jkt")?,
        })
    };
    row.map(read).transpose()
}

const MANAGERS_EMAILS: Statement = Statement::new(
    "activation.managers_emails",
    "SELECT u.email
     FROM memberships m
     JOIN users u ON u.user_id = m.user_id
     WHERE m.org_key = $1 AND m.removed_at IS NULL AND m.role IN ('owner', 'admin') AND u.status = 'active'
       AND u.email IS NOT NULL
     ORDER BY m.user_id
     LIMIT 20",
);

/// Where owners and admins are reached.
pub(in crate::activation) async fn managers_emails(
    connection: &mut Connection,
    scope: &OrgScope,
) -> Result<Vec<String>, Error> {
    let rows = connection.all(&MANAGERS_EMAILS, &[scope.org_key().0.into()]).await?;
    rows.iter().map(|row| row.text("email")).collect()
}

const FORGET_TOKENS: Statement = Statement::new(
    "activation.forget_tokens",
    "DELETE FROM refresh_tokens
     WHERE token_hash IN (
       SELECT t.token_hash
       FROM refresh_tokens t
       JOIN token_families f ON f.org_key = t.org_key AND f.family_id = t.family_id
       WHERE f.ends_at < $1 OR f.revoked_at < $1
       ORDER BY f.ends_at
       LIMIT $2)",
);

/// Deletes the tokens of families that ended before a moment.
pub(crate) async fn forget_tokens(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_TOKENS, &[before.into(), rows.into()]).await
}

const FORGET_FAMILIES: Statement = Statement::new(
    "activation.forget_families",
    "DELETE FROM token_families
     WHERE family_id IN (
       SELECT f.family_id
       FROM token_families f
       WHERE (f.ends_at < $1 OR f.revoked_at < $1)
         AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.org_key = f.org_key AND t.family_id = f.family_id)
       ORDER BY f.ends_at
       LIMIT $2)",
);

/// Deletes families that ended before a moment and have no tokens left.
pub(crate) async fn forget_families(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_FAMILIES, &[before.into(), rows.into()]).await
}
