//! Statements about accounts.

pub(crate) mod sessions;

use std::time::Duration;

use tollgate_rules::ids::UserId;
use tollgate_rules::time::Timestamp;

use super::User;
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &BY_EMAIL,
    &BY_ID,
    &LOCK,
    &INSERT,
    &SET_PASSWORD,
    &SET_TOTP,
    &CONFIRM_TOTP,
    &USE_STEP,
    &FORGET_RECOVERY_CODES,
    &ADD_RECOVERY_CODE,
    &USE_RECOVERY_CODE,
    &VERIFIED_EMAIL,
    &INSERT_CODE,
    &CODES_SINCE,
    &WAITING_CODE,
    &USE_CODE,
    &VOID_CODES,
    &DELETE_OLD_CODES,
    &BLOCKED_UNTIL,
    &COUNT_ATTEMPT,
    &UNCOUNT_ATTEMPT,
    &CLEAR_ATTEMPTS,
    &DELETE_OLD_ATTEMPTS,
    &STATE,
    &CLOSE,
    &OPEN_AGAIN,
];

/// An account with what is needed to check who signs in.
pub(crate) struct Found {
    pub(crate) user: User,
    pub(crate) password_hash: Option<String>,
    pub(crate) totp_sealed: Option<String>,
}

const BY_EMAIL: Statement = Statement::new(
    "accounts.by_email",
    "SELECT user_id, email, name, password_hash, totp_sealed, totp_confirmed_at, created_at
     FROM users
     WHERE email = $1 AND status = 'active'",
);

pub(crate) async fn by_email(connection: &mut Connection, email: &str) -> Result<Option<Found>, Error> {
    let row = connection.optional(&BY_EMAIL, &[email.into()]).await?;
    row.as_ref().map(found).transpose()
}

const BY_ID: Statement = Statement::new(
    "accounts.by_id",
    "SELECT user_id, email, name, password_hash, totp_sealed, totp_confirmed_at, created_at
     FROM users
     WHERE user_id = $1 AND status = 'active'",
);

pub(crate) async fn by_id(connection: &mut Connection, user_id: &UserId) -> Result<Option<Found>, Error> {
    let row = connection.optional(&BY_ID, &[user_id.as_str().into()]).await?;
    row.as_ref().map(found).transpose()
}

const LOCK: Statement = Statement::split(
    "accounts.lock",
    "SELECT user_id, email, name, password_hash, totp_sealed, totp_confirmed_at, created_at
     FROM users
     WHERE user_id = $1 AND status = 'active'",
    "SELECT user_id, email, name, password_hash, totp_sealed, totp_confirmed_at, created_at
     FROM users
     WHERE user_id = $1 AND status = 'active'
     FOR UPDATE",
);

/// The account, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, user_id: &UserId) -> Result<Option<Found>, Error> {
    let row = tx.optional(&LOCK, &[user_id.as_str().into()]).await?;
    row.as_ref().map(found).transpose()
}

const INSERT: Statement = Statement::new(
    "accounts.insert",
    "INSERT INTO users (user_id, source, status, email, name, password_hash, created_at, updated_at)
     VALUES ($1, 'builtin', 'active', $2, $3, $4, $5, $5)
     ON CONFLICT (email) DO NOTHING",
);

/// Whether the account could be made: not when the address has one.
pub(crate) async fn insert(tx: &mut Tx, user: &User, password_hash: &str) -> Result<bool, Error> {
    let args = [
        user.user_id.as_str().into(),
        user.email.as_str().into(),
        user.name.as_str().into(),
        password_hash.into(),
        user.created_at.into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

/// Where an account stands.
pub(super) struct State {
    pub(super) status: String,
    pub(super) source: String,
    pub(super) email: Option<String>,
    pub(super) closed_at: Option<Timestamp>,
}

const STATE: Statement = Statement::split(
    "accounts.state",
    "SELECT status, source, email, closed_at FROM users WHERE user_id = $1",
    "SELECT status, source, email, closed_at FROM users WHERE user_id = $1 FOR UPDATE",
);

/// The account whatever its status, locked until the transaction ends.
pub(super) async fn state(tx: &mut Tx, user_id: &UserId) -> Result<Option<State>, Error> {
    let Some(row) = tx.optional(&STATE, &[user_id.as_str().into()]).await? else { return Ok(None) };
    Ok(Some(State {
        status: row.text("status")?,
        source: row.text("source")?,
        email: row.opt_text("email")?,
        closed_at: row.opt_time("closed_at")?,
    }))
}

const CLOSE: Statement = Statement::new(
    "accounts.close",
    "UPDATE users SET status = 'closed', closed_at = $2, updated_at = $2 WHERE user_id = $1 AND status = 'active'",
);

pub(super) async fn close(tx: &mut Tx, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&CLOSE, &[user_id.as_str().into(), at.into()]).await.map(|_| ())
}

const OPEN_AGAIN: Statement = Statement::new(
    "accounts.open_again",
    "UPDATE users SET status = 'active', closed_at = NULL, updated_at = $2 WHERE user_id = $1 AND status = 'closed'",
);

pub(super) async fn open_again(tx: &mut Tx, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&OPEN_AGAIN, &[user_id.as_str().into(), at.into()]).await.map(|_| ())
}

const SET_PASSWORD: Statement =
    Statement::new("accounts.set_password", "UPDATE users SET password_hash = $2, updated_at = $3 WHERE user_id = $1");

pub(crate) async fn set_password(tx: &mut Tx, user_id: &UserId, hash: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SET_PASSWORD, &[user_id.as_str().into(), hash.into(), at.into()]).await.map(|_| ())
}

const SET_TOTP: Statement = Statement::new(
    "accounts.set_totp",
    "UPDATE users
     SET totp_sealed = $2, totp_confirmed_at = NULL, totp_last_step = NULL, updated_at = $3
     WHERE user_id = $1",
);

/// Another second factor that does not count yet, or none.
pub(crate) async fn set_totp(tx: &mut Tx, user_id: &UserId, sealed: Option<&str>, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SET_TOTP, &[user_id.as_str().into(), sealed.into(), at.into()]).await.map(|_| ())
}

const CONFIRM_TOTP: Statement = Statement::new(
    "accounts.confirm_totp",
    "UPDATE users SET totp_confirmed_at = $3, totp_last_step = $2, updated_at = $3 WHERE user_id = $1",
);

pub(crate) async fn confirm_totp(tx: &mut Tx, user_id: &UserId, step: i64, at: Timestamp) -> Result<(), Error> {
    tx.execute(&CONFIRM_TOTP, &[user_id.as_str().into(), step.into(), at.into()]).await.map(|_| ())
}

const USE_STEP: Statement = Statement::new(
    "accounts.use_step",
    "UPDATE users SET totp_last_step = $2 WHERE user_id = $1 AND (totp_last_step IS NULL OR totp_last_step < $2)",
);

/// Whether the step was not used before.
pub(crate) async fn use_step(tx: &mut Tx, user_id: &UserId, step: i64) -> Result<bool, Error> {
    Ok(tx.execute(&USE_STEP, &[user_id.as_str().into(), step.into()]).await? == 1)
}

const FORGET_RECOVERY_CODES: Statement =
    Statement::new("accounts.forget_recovery_codes", "DELETE FROM user_recovery_codes WHERE user_id = $1");
const ADD_RECOVERY_CODE: Statement = Statement::new(
    "accounts.add_recovery_code",
    "INSERT INTO user_recovery_codes (user_id, code_hash, created_at) VALUES ($1, $2, $3)",
);

/// Other recovery codes in place of those before.
pub(crate) async fn replace_recovery_codes(
    tx: &mut Tx,
    user_id: &UserId,
    hashes: &[String],
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute(&FORGET_RECOVERY_CODES, &[user_id.as_str().into()]).await?;
    for hash in hashes {
        tx.execute(&ADD_RECOVERY_CODE, &[user_id.as_str().into(), hash.into(), at.into()]).await?;
    }
    Ok(())
}

const USE_RECOVERY_CODE: Statement = Statement::new(
    "accounts.use_recovery_code",
    "UPDATE user_recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
);

/// Whether the code was there and not used before.
pub(crate) async fn use_recovery_code(tx: &mut Tx, user_id: &UserId, hash: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&USE_RECOVERY_CODE, &[user_id.as_str().into(), hash.into(), at.into()]).await? == 1)
}

const VERIFIED_EMAIL: Statement =
    Statement::new("accounts.verified_email", "SELECT email FROM users WHERE user_id = $1 AND status = 'active'");

/// The address an active account was verified with.
pub(crate) async fn verified_email(connection: &mut Connection, user_id: &UserId) -> Result<Option<String>, Error> {
    let Some(row) = connection.optional(&VERIFIED_EMAIL, &[user_id.as_str().into()]).await? else { return Ok(None) };
    row.opt_text("email")
}

const INSERT_CODE: Statement = Statement::new(
    "accounts.insert_code",
    "INSERT INTO account_codes (code_hash, purpose, email, user_id, name, password_hash, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);

/// A code on its way in a letter.
pub(crate) struct NewCode<'a> {
    pub(crate) code_hash: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) email: &'a str,
    pub(crate) user_id: Option<&'a UserId>,
    pub(crate) name: Option<&'a str>,
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

pub(crate) async fn insert_code(tx: &mut Tx, code: &NewCode<'_>) -> Result<(), Error> {
    let args = [
        code.code_hash.into(),
        code.purpose.into(),
        code.email.into(),
        code.user_id.map(UserId::as_str).into(),
        code.name.into(),
        code.password_hash.into(),
        code.created_at.into(),
        code.expires_at.into(),
    ];
    tx.execute(&INSERT_CODE, &args).await.map(|_| ())
}

const CODES_SINCE: Statement = Statement::new(
    "accounts.codes_since",
    "SELECT COUNT(*) AS found FROM account_codes WHERE email = $1 AND purpose = $2 AND created_at > $3",
);

/// How many letters of this purpose the address was sent since then.
pub(crate) async fn codes_since(
    connection: &mut Connection,
    email: &str,
    purpose: &str,
    since: Timestamp,
) -> Result<i64, Error> {
    connection.one(&CODES_SINCE, &[email.into(), purpose.into(), since.into()]).await?.i64("found")
}

const WAITING_CODE: Statement = Statement::new(
    "accounts.waiting_code",
    "SELECT email FROM account_codes WHERE code_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3",
);

/// The address of a code that was not used yet.
pub(crate) async fn waiting_code(
    connection: &mut Connection,
    code_hash: &str,
    purpose: &str,
    now: Timestamp,
) -> Result<Option<String>, Error> {
    let row = connection.optional(&WAITING_CODE, &[code_hash.into(), purpose.into(), now.into()]).await?;
    row.map(|row| row.text("email")).transpose()
}

const USE_CODE: Statement = Statement::new(
    "accounts.use_code",
    "UPDATE account_codes SET used_at = $3
     WHERE code_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3
     RETURNING email, user_id, name, password_hash",
);

/// What waited beside a code.
pub(crate) struct UsedCode {
    pub(crate) email: String,
    pub(crate) user_id: Option<UserId>,
    pub(crate) name: Option<String>,
    pub(crate) password_hash: Option<String>,
}

/// Uses a code up: of many callers, one gets something.
pub(crate) async fn use_code(
    tx: &mut Tx,
    code_hash: &str,
    purpose: &str,
    now: Timestamp,
) -> Result<Option<UsedCode>, Error> {
    let Some(row) = tx.optional(&USE_CODE, &[code_hash.into(), purpose.into(), now.into()]).await? else {
        return Ok(None);
    };
    let user_id = row.opt_text("user_id")?.map(|id| user_id(&id)).transpose()?;
    Ok(Some(UsedCode {
        email: row.text("email")?,
        user_id,
        name: row.opt_text("name")?,
        password_hash: row.opt_text("password_hash")?,
    }))
}

const VOID_CODES: Statement = Statement::new(
    "accounts.void_codes",
    "UPDATE account_codes SET used_at = $3, password_hash = NULL WHERE email = $1 AND purpose = $2",
);

/// Every other code of this purpose for the address is void, and the passwords that waited are erased.
pub(crate) async fn void_codes(tx: &mut Tx, email: &str, purpose: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&VOID_CODES, &[email.into(), purpose.into(), at.into()]).await.map(|_| ())
}

const DELETE_OLD_CODES: Statement = Statement::new(
    "accounts.delete_old_codes",
    "DELETE FROM account_codes WHERE code_hash IN (
       SELECT code_hash FROM account_codes WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
);

/// Forgets codes made before `before`.
pub(crate) async fn delete_old_codes(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD_CODES, &[before.into(), rows.into()]).await
}

const BLOCKED_UNTIL: Statement =
    Statement::new("accounts.blocked_until", "SELECT blocked_until FROM sign_in_attempts WHERE subject = $1");

/// Until when nobody may try, known subject or not.
pub(super) async fn blocked_until(connection: &mut Connection, subject: &str) -> Result<Timestamp, Error> {
    let row = connection.optional(&BLOCKED_UNTIL, &[subject.into()]).await?;
    row.map_or(Ok(Timestamp::from_micros(0)), |row| row.time("blocked_until"))
}

/// How long failures are waited for: not at all for the first (at least one), then a second, doubled each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) free: i64,
    pub(super) max: Duration,
}

// One statement decides and counts: whoever comes at the same moment waits for the row and finds the count.
const COUNT_ATTEMPT: Statement = Statement::new(
    "accounts.count_attempt",
    "INSERT INTO sign_in_attempts (subject, failures, blocked_until, updated_at) VALUES ($1, 1, 0, $2)
     ON CONFLICT (subject) DO UPDATE
     SET failures = sign_in_attempts.failures + 1,
         blocked_until = CASE
           WHEN sign_in_attempts.failures < $3 THEN 0
           WHEN sign_in_attempts.failures - $3 >= $5 THEN $2 + $4
           ELSE $2 + (CAST(1000000 AS BIGINT) << CAST(sign_in_attempts.failures - $3 AS INTEGER))
         END,
         updated_at = excluded.updated_at
     WHERE sign_in_attempts.blocked_until <= $2
     RETURNING failures",
);

/// Counts an attempt, which counts as failed from now on; which one it is, or none where nobody may try now.
pub(super) async fn count_attempt(
    tx: &mut Tx,
    subject: &str,
    waits: Waits,
    at: Timestamp,
) -> Result<Option<i64>, Error> {
    // The first doubling that comes to the longest wait.
    let doublings = i64::from(waits.max.as_secs().max(1).next_power_of_two().trailing_zeros());
    let max = i64::try_from(waits.max.as_micros()).unwrap_or(i64::MAX);
    let args = [subject.into(), at.into(), waits.free.into(), max.into(), doublings.into()];
    tx.optional(&COUNT_ATTEMPT, &args).await?.map(|row| row.i64("failures")).transpose()
}

const UNCOUNT_ATTEMPT: Statement = Statement::new(
    "accounts.uncount_attempt",
    "UPDATE sign_in_attempts
     SET failures = failures - 1, blocked_until = CASE WHEN failures = $2 THEN 0 ELSE blocked_until END
     WHERE subject = $1 AND failures > 0",
);

/// Takes an attempt back, with the wait that it began.
pub(super) async fn uncount_attempt(tx: &mut Tx, subject: &str, number: i64) -> Result<(), Error> {
    tx.execute(&UNCOUNT_ATTEMPT, &[subject.into(), number.into()]).await.map(|_| ())
}

const CLEAR_ATTEMPTS: Statement =
    Statement::new("accounts.clear_attempts", "DELETE FROM sign_in_attempts WHERE subject = $1");

pub(crate) async fn clear_attempts(tx: &mut Tx, subject: &str) -> Result<(), Error> {
    tx.execute(&CLEAR_ATTEMPTS, &[subject.into()]).await.map(|_| ())
}

const DELETE_OLD_ATTEMPTS: Statement = Statement::new(
    "accounts.delete_old_attempts",
    "DELETE FROM sign_in_attempts WHERE subject IN (
       SELECT subject FROM sign_in_attempts WHERE updated_at < $1 ORDER BY updated_at LIMIT $2)",
);

/// Forgets failures noted before `before`.
pub(crate) async fn delete_old_attempts(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD_ATTEMPTS, &[before.into(), rows.into()]).await
}

fn user_id(text: &str) -> Result<UserId, Error> {
    UserId::parse(text).map_err(|error| Error::Bug(format!("a stored user: {error}")))
}

fn found(row: &Row) -> Result<Found, Error> {
    let totp_sealed = row.opt_text("totp_sealed")?;
    Ok(Found {
        user: User {
            user_id: user_id(&row.text("user_id")?)?,
            email: row.opt_text("email")?.unwrap_or_default(),
            name: row.opt_text("name")?.unwrap_or_default(),
            mfa: totp_sealed.is_some() && row.opt_time("totp_confirmed_at")?.is_some(),
            created_at: row.time("created_at")?,
        },
        password_hash: row.opt_text("password_hash")?,
        totp_sealed,
    })
}
