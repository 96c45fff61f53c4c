//! Statements about signing keys and revocations.

use tollgate_rules::time::Timestamp;

use super::ring::Stored;
use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &SIGNING_KEYS,
    &INSERT_SIGNING_KEY,
    &SIGN_FROM,
    &FORGET_SIGNING_KEYS,
    &INSERT_REFUSAL,
    &REFUSALS_SINCE,
    &FORGET_REFUSALS,
    &USE_PROOF,
    &FORGET_PROOFS,
];

const SIGNING_KEYS: Statement = Statement::new(
    "tokens.signing_keys",
    "SELECT generation, kid, public_key, sealed_private, signs_from
     FROM signing_keys
     ORDER BY generation
     LIMIT 100",
);

pub(super) async fn signing_keys(connection: &mut Connection) -> Result<Vec<Stored>, Error> {
    let rows = connection.all(&SIGNING_KEYS, &[]).await?;
    let read = |row: &crate::db::Row| {
        Ok(Stored {
            generation: row.i64("generation")?,
            kid: row.text("kid")?,
            public_key: row.text("public_key")?,
            sealed_private: row.text("sealed_private")?,
            signs_from: row.time("signs_from")?,
        })
    };
    rows.iter().map(read).collect()
}

const INSERT_SIGNING_KEY: Statement = Statement::new(
    "tokens.insert_signing_key",
    "INSERT INTO signing_keys (generation, kid, public_key, sealed_private, signs_from, created_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (generation) DO NOTHING",
);

/// Writes a key unless another node has made this generation.
pub(super) async fn insert_signing_key(tx: &mut Tx, key: &Stored, now: Timestamp) -> Result<(), Error> {
    let args = [
        key.generation.into(),
        key.kid.as_str().into(),
        key.public_key.as_str().into(),
        key.sealed_private.as_str().into(),
        key.signs_from.into(),
        now.into(),
    ];
    tx.execute(&INSERT_SIGNING_KEY, &args).await.map(|_| ())
}

const SIGN_FROM: Statement = Statement::new(
    "tokens.sign_from",
    "UPDATE signing_keys SET signs_from = $2 WHERE generation = $1 AND signs_from > $2",
);

pub(super) async fn sign_from(tx: &mut Tx, generation: i64, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SIGN_FROM, &[generation.into(), at.into()]).await.map(|_| ())
}

const FORGET_SIGNING_KEYS: Statement =
    Statement::new("tokens.forget_signing_keys", "DELETE FROM signing_keys WHERE generation < $1");

pub(super) async fn forget_signing_keys(tx: &mut Tx, before: i64) -> Result<(), Error> {
    tx.execute(&FORGET_SIGNING_KEYS, &[before.into()]).await.map(|_| ())
}

const INSERT_REFUSAL: Statement = Statement::new(
    "tokens.insert_refusal",
    "INSERT INTO token_revocations (subject, revoked_at) VALUES ($1, $2)
     ON CONFLICT (subject) DO UPDATE SET revoked_at = excluded.revoked_at",
);

pub(super) async fn insert_refusal(tx: &mut Tx, subject: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&INSERT_REFUSAL, &[subject.into(), at.into()]).await.map(|_| ())
}

const REFUSALS_SINCE: Statement = Statement::new(
    "tokens.refusals_since",
    "SELECT subject, revoked_at
     FROM token_revocations
     WHERE revoked_at >= $1
     ORDER BY revoked_at
     LIMIT 100000",
);

pub(super) async fn refusals_since(
    connection: &mut Connection,
    since: Timestamp,
) -> Result<Vec<(String, Timestamp)>, Error> {
    let rows = connection.all(&REFUSALS_SINCE, &[since.into()]).await?;
    rows.iter().map(|row| Ok((row.text("subject")?, row.time("revoked_at")?))).collect()
}

const FORGET_REFUSALS: Statement =
    Statement::new("tokens.forget_refusals", "DELETE FROM token_revocations WHERE revoked_at < $1");

pub(super) async fn forget_refusals(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    tx.execute(&FORGET_REFUSALS, &[before.into()]).await.map(|_| ())
}

const USE_PROOF: Statement = Statement::new(
    "tokens.use_proof",
    "INSERT INTO dpop_proofs (proof_hash, used_at) VALUES ($1, $2) ON CONFLICT (proof_hash) DO NOTHING",
);

/// Remembers a proof of possession; false when it was used before.
pub(super) async fn use_proof(tx: &mut Tx, proof_hash: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&USE_PROOF, &[proof_hash.into(), at.into()]).await? == 1)
}

const FORGET_PROOFS: Statement = Statement::new(
    "tokens.forget_proofs",
    "DELETE FROM dpop_proofs WHERE proof_hash IN (
       SELECT proof_hash FROM dpop_proofs WHERE used_at < $1 ORDER BY used_at LIMIT $2)",
);

pub(crate) async fn forget_proofs(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_PROOFS, &[before.into(), rows.into()]).await
}
