//! Statements about keys.

pub(crate) mod quotas;

use std::collections::BTreeMap;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use super::{Key, OperatorKey};
use crate::access::{CallerKind, OrgRef, OrgScope};
use crate::clock::hex;
use crate::db::{Columns, Connection, Error, Row, Statement, Tx};
use crate::paging::Paging;
use crate::secrets::Fingerprint;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &KEY_BY_HASH,
    &OPERATOR_KEY_BY_HASH,
    &INSERT,
    &BY_ID,
    &ORG_OF,
    &LIVE_COUNT,
    &LIST,
    &REVOKE,
    &REVOKE_ALL,
    &REVIVE_ALL,
    &SET_ROTATED,
    &END_OTHERS,
    &SET_LAST_USED,
    &SET_OPERATOR_LAST_USED,
    &INSERT_OPERATOR,
    &LIST_OPERATORS,
    &OPERATOR_EXISTS,
    &REVOKE_OPERATOR,
];

const KEY_BY_HASH: Statement = Statement::new(
    "keys.by_hash",
    "SELECT k.key_id, k.scopes, k.expires_at, o.org_key, o.org_id,
       (SELECT MIN(q.key_id) FROM key_quotas q WHERE q.org_key = k.org_key AND q.key_id = k.line) AS slice
     FROM api_keys k
     JOIN organizations o ON o.org_key = k.org_key
     WHERE k.secret_hash = $1 AND k.revoked_at IS NULL AND o.status <> 'closed'",
);
const OPERATOR_KEY_BY_HASH: Statement = Statement::new(
    "keys.operator_by_hash",
    "SELECT key_id, label, expires_at
     FROM operator_keys
     WHERE secret_hash = $1 AND revoked_at IS NULL",
);

/// A credential that is not revoked.
pub(crate) struct FoundKey {
    pub(crate) kind: CallerKind,
    pub(crate) key_id: String,
    pub(crate) expires_at: Option<Timestamp>,
}

/// The one look-up without an org: it finds out which org a credential belongs to.
pub(crate) async fn key_by_fingerprint(
    connection: &mut Connection,
    fingerprint: &Fingerprint,
) -> Result<Option<FoundKey>, Error> {
    let hash = hex(fingerprint);
    if let Some(row) = connection.optional(&KEY_BY_HASH, &[hash.as_str().into()]).await? {
        let key_id = row.text("key_id")?;
        let org = OrgRef { key: OrgKey(row.i64("org_key")?), id: parsed(OrgId::parse(&row.text("org_id")?))? };
        let slice = row.opt_text("slice")?.map(|id| parsed(KeyId::parse(&id))).transpose()?;
        let scopes = scopes(&row.text("scopes")?);
        let kind = CallerKind::Key { org, key_id: parsed(KeyId::parse(&key_id))?, scopes, slice };
        return Ok(Some(FoundKey { kind, key_id, expires_at: row.opt_time("expires_at")? }));
    }
    let Some(row) = connection.optional(&OPERATOR_KEY_BY_HASH, &[hash.into()]).await? else { return Ok(None) };
    let kind = CallerKind::Operator { label: row.text("label")?, session: None };
    Ok(Some(FoundKey { kind, key_id: row.text("key_id")?, expires_at: row.opt_time("expires_at")? }))
}

const INSERT: Statement = Statement::new(
    "keys.insert",
    "INSERT INTO api_keys (org_key, key_id, name, secret_hash, secret_hint, scopes, created_at, created_by, expires_at, line)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);

pub(super) async fn insert(tx: &mut Tx, scope: &OrgScope, key: &Key, hash: &str) -> Result<(), Error> {
    let words: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let args = [
        scope.org_key().0.into(),
        key.key_id.as_str().into(),
        key.name.as_str().into(),
        hash.into(),
        key.hint.as_str().into(),
        words.join(" ").into(),
        key.created_at.into(),
        scope.actor().into(),
        key.expires_at.into(),
        key.line.as_str().into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const BY_ID: Statement = Statement::new(
    "keys.by_id",
    "SELECT key_id, name, secret_hint, scopes, created_at, expires_at, revoked_at, rotated_to, last_used_at,
       COALESCE(line, key_id) AS line
     FROM api_keys
     WHERE org_key = $1 AND key_id = $2",
);

pub(super) async fn by_id(connection: &mut Connection, scope: &OrgScope, key_id: &KeyId) -> Result<Option<Key>, Error> {
    let row = connection.optional(&BY_ID, &[scope.org_key().0.into(), key_id.as_str().into()]).await?;
    row.as_ref().map(key).transpose()
}

const ORG_OF: Statement = Statement::new(
    "keys.org_of",
    "SELECT o.org_id FROM api_keys k JOIN organizations o ON o.org_key = k.org_key WHERE k.key_id = $1",
);

/// Whose key this is.
pub(super) async fn org_of(connection: &mut Connection, key_id: &KeyId) -> Result<Option<OrgId>, Error> {
    let row = connection.optional(&ORG_OF, &[key_id.as_str().into()]).await?;
    row.map(|row| parsed(OrgId::parse(&row.text("org_id")?))).transpose()
}

const LIVE_COUNT: Statement = Statement::new(
    "keys.live_count",
    "SELECT COUNT(*) AS found
     FROM api_keys
     WHERE org_key = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
);

pub(super) async fn live_count(connection: &mut Connection, scope: &OrgScope, now: Timestamp) -> Result<i64, Error> {
    connection.one(&LIVE_COUNT, &[scope.org_key().0.into(), now.into()]).await?.i64("found")
}

const LIST: Statement = Statement::new(
    "keys.list",
    "SELECT key_id, name, secret_hint, scopes, created_at, expires_at, revoked_at, rotated_to, last_used_at,
       COALESCE(line, key_id) AS line
     FROM api_keys
     WHERE org_key = $1 AND (CAST($2 AS TEXT) IS NULL OR key_id < $2)
     ORDER BY key_id DESC
     LIMIT $3",
);

pub(super) async fn list(connection: &mut Connection, scope: &OrgScope, paging: &Paging) -> Result<Vec<Key>, Error> {
    let rows = connection.all(&LIST, &[scope.org_key().0.into(), paging.after().into(), paging.fetch().into()]).await?;
    rows.iter().map(key).collect()
}

const REVOKE: Statement = Statement::new(
    "keys.revoke",
    "UPDATE api_keys SET revoked_at = $3 WHERE org_key = $1 AND key_id = $2 AND revoked_at IS NULL",
);

pub(super) async fn revoke(tx: &mut Tx, scope: &OrgScope, key_id: &KeyId, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&REVOKE, &[scope.org_key().0.into(), key_id.as_str().into(), at.into()]).await? == 1)
}

const REVOKE_ALL: Statement =
    Statement::new("keys.revoke_all", "UPDATE api_keys SET revoked_at = $2 WHERE org_key = $1 AND revoked_at IS NULL");

pub(crate) async fn revoke_all(tx: &mut Tx, scope: &OrgScope, at: Timestamp) -> Result<u64, Error> {
    tx.execute(&REVOKE_ALL, &[scope.org_key().0.into(), at.into()]).await
}

const REVIVE_ALL: Statement =
    Statement::new("keys.revive_all", "UPDATE api_keys SET revoked_at = NULL WHERE org_key = $1 AND revoked_at = $2");

/// Gives an org back the keys that ended at this moment, with the org.
pub(crate) async fn revive_all(tx: &mut Tx, scope: &OrgScope, ended_at: Timestamp) -> Result<u64, Error> {
    tx.execute(&REVIVE_ALL, &[scope.org_key().0.into(), ended_at.into()]).await
}

const SET_ROTATED: Statement = Statement::new(
    "keys.set_rotated",
    "UPDATE api_keys SET rotated_to = $3, expires_at = $4, line = COALESCE(line, key_id) WHERE org_key = $1 AND key_id = $2",
);

pub(super) async fn set_rotated(
    tx: &mut Tx,
    scope: &OrgScope,
    old: &KeyId,
    new: &KeyId,
    end: Timestamp,
) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), old.as_str().into(), new.as_str().into(), end.into()];
    tx.execute(&SET_ROTATED, &args).await.map(|_| ())
}

const END_OTHERS: Statement = Statement::new(
    "keys.end_others",
    "UPDATE api_keys
     SET revoked_at = $4
     WHERE org_key = $1 AND line = $2 AND key_id <> $3 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)
     RETURNING key_id",
);

/// Ends the live keys of a line but one; answers which.
pub(super) async fn end_others(tx: &mut Tx, scope: &OrgScope, keep: &Key, at: Timestamp) -> Result<Vec<String>, Error> {
    let args = [scope.org_key().0.into(), keep.line.as_str().into(), keep.key_id.as_str().into(), at.into()];
    tx.all(&END_OTHERS, &args).await?.iter().map(|row| row.text("key_id")).collect()
}

const SET_LAST_USED: Statement = Statement::split(
    "keys.set_last_used",
    "UPDATE api_keys SET last_used_at = u.at
     FROM (SELECT value ->> 0 AS key_id, value ->> 1 AS at FROM json_each($1)) AS u
     WHERE api_keys.key_id = u.key_id",
    "UPDATE api_keys SET last_used_at = u.at
     FROM UNNEST($1::TEXT[], $2::BIGINT[]) AS u (key_id, at)
     WHERE api_keys.key_id = u.key_id",
);
const SET_OPERATOR_LAST_USED: Statement = Statement::split(
    "keys.set_operator_last_used",
    "UPDATE operator_keys SET last_used_at = u.at
     FROM (SELECT value ->> 0 AS key_id, value ->> 1 AS at FROM json_each($1)) AS u
     WHERE operator_keys.key_id = u.key_id",
    "UPDATE operator_keys SET last_used_at = u.at
     FROM UNNEST($1::TEXT[], $2::BIGINT[]) AS u (key_id, at)
     WHERE operator_keys.key_id = u.key_id",
);

pub(super) async fn set_last_used(tx: &mut Tx, uses: &[(String, i64)]) -> Result<(), Error> {
    let columns = Columns::new()
        .texts(uses.iter().map(|(key_id, _)| Some(key_id.clone())).collect())
        .numbers(uses.iter().map(|(_, at)| Some(*at)).collect());
    let args = columns.into_args(tx.kind());
    tx.execute(&SET_LAST_USED, &args).await?;
    tx.execute(&SET_OPERATOR_LAST_USED, &args).await.map(|_| ())
}

const INSERT_OPERATOR: Statement = Statement::new(
    "keys.insert_operator",
    "INSERT INTO operator_keys (key_id, label, secret_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
);

pub(super) async fn insert_operator(tx: &mut Tx, key: &OperatorKey, hash: &str) -> Result<(), Error> {
    let args = [
        key.key_id.as_str().into(),
        key.label.as_str().into(),
        hash.into(),
        key.created_at.into(),
        key.expires_at.into(),
    ];
    tx.execute(&INSERT_OPERATOR, &args).await.map(|_| ())
}

const LIST_OPERATORS: Statement = Statement::new(
    "keys.list_operators",
    "SELECT key_id, label, created_at, expires_at, revoked_at, last_used_at
     FROM operator_keys
     ORDER BY key_id DESC
     LIMIT 200",
);

pub(super) async fn list_operators(connection: &mut Connection) -> Result<Vec<OperatorKey>, Error> {
    let rows = connection.all(&LIST_OPERATORS, &[]).await?;
    let read = |row: &Row| {
        Ok(OperatorKey {
            key_id: row.text("key_id")?,
            label: row.text("label")?,
            created_at: row.time("created_at")?,
            expires_at: row.opt_time("expires_at")?,
            revoked_at: row.opt_time("revoked_at")?,
            last_used_at: row.opt_time("last_used_at")?,
        })
    };
    rows.iter().map(read).collect()
}

const OPERATOR_EXISTS: Statement =
    Statement::new("keys.operator_exists", "SELECT COUNT(*) AS found FROM operator_keys WHERE key_id = $1");

pub(super) async fn operator_exists(connection: &mut Connection, key_id: &str) -> Result<bool, Error> {
    Ok(connection.one(&OPERATOR_EXISTS, &[key_id.into()]).await?.i64("found")? == 1)
}

const REVOKE_OPERATOR: Statement = Statement::new(
    "keys.revoke_operator",
    "UPDATE operator_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL",
);

pub(super) async fn revoke_operator(tx: &mut Tx, key_id: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&REVOKE_OPERATOR, &[key_id.into(), at.into()]).await? == 1)
}

fn key(row: &Row) -> Result<Key, Error> {
    Ok(Key {
        key_id: parsed(KeyId::parse(&row.text("key_id")?))?,
        name: row.text("name")?,
        hint: row.text("secret_hint")?,
        scopes: scopes(&row.text("scopes")?),
        created_at: row.time("created_at")?,
        expires_at: row.opt_time("expires_at")?,
        revoked_at: row.opt_time("revoked_at")?,
        rotated_to: row.opt_text("rotated_to")?.map(|id| parsed(KeyId::parse(&id))).transpose()?,
        last_used_at: row.opt_time("last_used_at")?,
        line: parsed(KeyId::parse(&row.text("line")?))?,
        quota: BTreeMap::new(),
    })
}

/// A scope of a newer program is unknown here and grants nothing.
fn scopes(words: &str) -> Vec<Scope> {
    words.split(' ').filter_map(Scope::parse).collect()
}

fn parsed<T>(id: Result<T, tollgate_rules::ids::InvalidId>) -> Result<T, Error> {
    id.map_err(|error| Error::Bug(format!("a stored id: {error}")))
}
