//! Statements about the journal.

use tollgate_rules::time::Timestamp;

use super::digest::Fields;
use super::list::Filter;
use crate::db::{Arg, Columns, Connection, Error, Row, Statement, Tx};
use crate::paging::Paging;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT,
    &UNSEALED_ORGS,
    &ENSURE_HEAD,
    &LOCK_HEAD,
    &UNSEALED,
    &SEAL,
    &MOVE_HEAD,
    &HEADS,
    &UNSEALED_COUNT,
    &CHAIN,
    &LIST,
    &WITH_VALUES,
    &MENTIONING,
    &ERASE,
    &BY_ACTOR,
];

/// An entry to be written.
pub(super) struct NewEntry {
    pub(super) org_key: i64,
    pub(super) entry_id: String,
    pub(super) occurred_at: Timestamp,
    pub(super) action: &'static str,
    pub(super) corr_id: String,
    pub(super) digests: String,
    pub(super) fields: Fields,
    pub(super) salts: String,
}

const INSERT: Statement = Statement::new(
    "audit.insert",
    "INSERT INTO audit_journal
       (org_key, entry_id, occurred_at, actor, action, entity, before_json, after_json, corr_id, salts, digests)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
);

pub(super) async fn insert(tx: &mut Tx, entry: &NewEntry) -> Result<(), Error> {
    let args = [
        entry.org_key.into(),
        entry.entry_id.as_str().into(),
        entry.occurred_at.into(),
        entry.fields.actor.as_deref().into(),
        entry.action.into(),
        entry.fields.entity.as_deref().into(),
        entry.fields.before.as_deref().into(),
        entry.fields.after.as_deref().into(),
        entry.corr_id.as_str().into(),
        entry.salts.as_str().into(),
        entry.digests.as_str().into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const UNSEALED_ORGS: Statement = Statement::new(
    "audit.unsealed_orgs",
    "SELECT DISTINCT org_key
     FROM audit_journal
     WHERE chain_no IS NULL
     ORDER BY org_key
     LIMIT $1",
);

pub(super) async fn unsealed_orgs(connection: &mut Connection, limit: i64) -> Result<Vec<i64>, Error> {
    let rows = connection.all(&UNSEALED_ORGS, &[limit.into()]).await?;
    rows.iter().map(|row| row.i64("org_key")).collect()
}

const ENSURE_HEAD: Statement = Statement::new(
    "audit.ensure_head",
    "INSERT INTO audit_heads (org_key, chain_no, hash) VALUES ($1, 0, '') ON CONFLICT (org_key) DO NOTHING",
);
const LOCK_HEAD: Statement = Statement::split(
    "audit.lock_head",
    "SELECT chain_no, hash FROM audit_heads WHERE org_key = $1",
    "SELECT chain_no, hash FROM audit_heads WHERE org_key = $1 FOR UPDATE",
);

/// The end of an org's chain; no other sealer touches it until this transaction ends.
pub(super) async fn lock_head(tx: &mut Tx, org_key: i64) -> Result<(i64, String), Error> {
    tx.execute(&ENSURE_HEAD, &[org_key.into()]).await?;
    let row = tx.one(&LOCK_HEAD, &[org_key.into()]).await?;
    Ok((row.i64("chain_no")?, row.text("hash")?))
}

const UNSEALED: Statement = Statement::new(
    "audit.unsealed",
    "SELECT seq, org_key, entry_id, occurred_at, action, corr_id, digests
     FROM audit_journal
     WHERE org_key = $1 AND chain_no IS NULL
     ORDER BY seq
     LIMIT $2",
);

pub(super) async fn unsealed(tx: &mut Tx, org_key: i64, limit: i64) -> Result<Vec<Row>, Error> {
    tx.all(&UNSEALED, &[org_key.into(), limit.into()]).await
}

/// An entry with its place in the chain.
pub(super) struct Sealed {
    pub(super) seq: i64,
    pub(super) chain_no: i64,
    pub(super) prev_hash: String,
    pub(super) hash: String,
}

const SEAL: Statement = Statement::split(
    "audit.seal",
    "UPDATE audit_journal
     SET chain_no = s.chain_no, prev_hash = s.prev_hash, hash = s.hash
     FROM (SELECT value ->> 0 AS seq, value ->> 1 AS chain_no, value ->> 2 AS prev_hash, value ->> 3 AS hash FROM json_each($1)) AS s
     WHERE audit_journal.seq = s.seq AND audit_journal.chain_no IS NULL",
    "UPDATE audit_journal
     SET chain_no = s.chain_no, prev_hash = s.prev_hash, hash = s.hash
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[]) AS s (seq, chain_no, prev_hash, hash)
     WHERE audit_journal.seq = s.seq AND audit_journal.chain_no IS NULL",
);
const MOVE_HEAD: Statement =
    Statement::new("audit.move_head", "UPDATE audit_heads SET chain_no = $2, hash = $3 WHERE org_key = $1");

pub(super) async fn seal(tx: &mut Tx, org_key: i64, sealed: &[Sealed]) -> Result<u64, Error> {
    let Some(last) = sealed.last() else { return Ok(0) };
    let columns = Columns::new()
        .numbers(sealed.iter().map(|row| Some(row.seq)).collect())
        .numbers(sealed.iter().map(|row| Some(row.chain_no)).collect())
        .texts(sealed.iter().map(|row| Some(row.prev_hash.clone())).collect())
        .texts(sealed.iter().map(|row| Some(row.hash.clone())).collect());
    let args: Vec<Arg> = columns.into_args(tx.kind());
    let touched = tx.execute(&SEAL, &args).await?;
    tx.execute(&MOVE_HEAD, &[org_key.into(), last.chain_no.into(), last.hash.as_str().into()]).await?;
    Ok(touched)
}

const HEADS: Statement = Statement::new(
    "audit.heads",
    "SELECT org_key, chain_no, hash
     FROM audit_heads
     WHERE org_key > $1 AND ($2 = -1 OR org_key = $2)
     ORDER BY org_key
     LIMIT $3",
);

pub(super) async fn heads(connection: &mut Connection, after: i64, only: Option<i64>) -> Result<Vec<Row>, Error> {
    connection.all(&HEADS, &[after.into(), only.unwrap_or(-1).into(), 200_i64.into()]).await
}

const UNSEALED_COUNT: Statement = Statement::new(
    "audit.unsealed_count",
    "SELECT COUNT(*) AS found FROM audit_journal WHERE chain_no IS NULL AND ($1 = -1 OR org_key = $1)",
);

pub(super) async fn unsealed_count(connection: &mut Connection, only: Option<i64>) -> Result<i64, Error> {
    connection.one(&UNSEALED_COUNT, &[only.unwrap_or(-1).into()]).await?.i64("found")
}

const CHAIN: Statement = Statement::new(
    "audit.chain",
    "SELECT seq, org_key, entry_id, occurred_at, actor, action, entity, before_json, after_json, corr_id, salts, digests,
            chain_no, prev_hash, hash
     FROM audit_journal
     WHERE org_key = $1 AND chain_no > $2
     ORDER BY chain_no
     LIMIT $3",
);

pub(super) async fn chain(
    connection: &mut Connection,
    org_key: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<Row>, Error> {
    connection.all(&CHAIN, &[org_key.into(), after.into(), limit.into()]).await
}

const LIST: Statement = Statement::new(
    "audit.list",
    "SELECT j.seq, j.entry_id, j.occurred_at, j.actor, j.action, j.entity, j.before_json, j.after_json, j.corr_id, j.hash,
            j.prev_hash, o.org_id
     FROM audit_journal j
     LEFT JOIN organizations o ON o.org_key = j.org_key
     WHERE j.seq < $1
       AND (CAST($2 AS TEXT) IS NULL OR o.org_id = $2)
       AND (CAST($3 AS TEXT) IS NULL OR j.actor = $3)
       AND (CAST($4 AS TEXT) IS NULL OR j.action = $4)
       AND (CAST($5 AS TEXT) IS NULL OR j.entity = $5)
       AND (CAST($6 AS BIGINT) IS NULL OR j.occurred_at >= $6)
       AND (CAST($7 AS BIGINT) IS NULL OR j.occurred_at < $7)
       AND (CAST($8 AS TEXT) IS NULL OR j.corr_id = $8)
     ORDER BY j.seq DESC
     LIMIT $9",
);

pub(super) async fn list(
    connection: &mut Connection,
    filter: &Filter,
    before_seq: i64,
    paging: &Paging,
) -> Result<Vec<Row>, Error> {
    let args = [
        before_seq.into(),
        filter.org_id.as_ref().map(|id| id.as_str()).into(),
        filter.actor.as_deref().into(),
        filter.action.as_deref().into(),
        filter.entity.as_deref().into(),
        filter.from.into(),
        filter.to.into(),
        filter.corr_id.as_deref().into(),
        paging.fetch().into(),
    ];
    connection.all(&LIST, &args).await
}

const WITH_VALUES: Statement = Statement::new(
    "audit.with_values",
    "SELECT seq, entity, salts
     FROM audit_journal
     WHERE org_key = $1 AND (before_json IS NOT NULL OR after_json IS NOT NULL OR entity IS NOT NULL)
     ORDER BY seq
     LIMIT $2",
);

/// Entries of an org that hold values.
pub(super) async fn with_values(tx: &mut Tx, org_key: i64, rows: i64) -> Result<Vec<Row>, Error> {
    tx.all(&WITH_VALUES, &[org_key.into(), rows.into()]).await
}

const MENTIONING: Statement = Statement::new(
    "audit.mentioning",
    "SELECT seq, entity, salts
     FROM audit_journal
     WHERE REPLACE(before_json, $1, '') <> before_json OR REPLACE(after_json, $1, '') <> after_json
        OR REPLACE(entity, $1, '') <> entity
     ORDER BY seq
     LIMIT $2",
);

/// Entries that hold this text, of whatever org.
pub(super) async fn mentioning(tx: &mut Tx, text: &str, rows: i64) -> Result<Vec<Row>, Error> {
    tx.all(&MENTIONING, &[text.into(), rows.into()]).await
}

const ERASE: Statement = Statement::new(
    "audit.erase",
    "UPDATE audit_journal
     SET before_json = NULL, after_json = NULL, entity = CASE WHEN $3 = 1 THEN NULL ELSE entity END, salts = $2
     WHERE seq = $1",
);

/// Erases an entry's values, and its entity where that is told.
pub(super) async fn erase(tx: &mut Tx, seq: i64, salts: &str, entity: bool) -> Result<u64, Error> {
    tx.execute(&ERASE, &[seq.into(), salts.into(), i64::from(entity).into()]).await
}

const BY_ACTOR: Statement = Statement::new(
    "audit.by_actor",
    "SELECT occurred_at, action, entity
     FROM audit_journal
     WHERE actor = $1
     ORDER BY seq DESC
     LIMIT $2",
);

/// What somebody did, newest first.
pub(super) async fn by_actor(connection: &mut Connection, actor: &str, rows: i64) -> Result<Vec<Row>, Error> {
    connection.all(&BY_ACTOR, &[actor.into(), rows.into()]).await
}
