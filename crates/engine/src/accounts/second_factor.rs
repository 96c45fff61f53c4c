//! The second factor: time-based codes (RFC 6238: SHA-1, six digits, thirty seconds, one step either way) and recovery codes.

use std::future::Future;

use secrecy::{ExposeSecret, SecretString};
use totp_rs::{Builder, Totp};

use tollgate_rules::ids::UserId;

use super::attempt::Attempt;
use super::sql::{self, sessions};
use super::{Error, User, me};
use crate::access::Caller;
use crate::audit;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;

const PURPOSE: &str = "totp";
const RECOVERY_CODES: usize = 10;

/// A secret that is to be put into an authenticator.
#[derive(Debug)]
pub struct Enrolled {
    /// The secret in base32, for typing.
    pub secret: SecretString,
    /// The same as an `otpauth://` address, for a QR code.
    pub url: SecretString,
}

/// Begins: a new secret, which counts once a code of it was given ([`confirm`]).
///
/// # Errors
/// [`Error::Conflict`] when there is a second factor already, [`crate::access::Refused::StepUpNeeded`].
pub async fn enroll(engine: &Engine, caller: &Caller) -> Result<Enrolled, Error> {
    let (user_id, _) = me::who(caller)?;
    caller.fresh(engine)?;
    let secret = engine.clock().entropy.bytes::<20>();
    let (task, corr_id) = (engine.clone(), caller.corr_id().to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let user = sql::lock(&mut tx, &user_id).await?.ok_or(Error::NotFound)?.user;
        if user.mfa {
            return Err(Error::Conflict("there is a second factor already; switch it off first"));
        }
        let sealed = task.sealer().seal(&task.clock().entropy, PURPOSE, user_id.as_str(), &secret);
        sql::set_totp(&mut tx, &user_id, Some(&sealed), task.now()).await?;
        let entry = audit::Entry::by_user(&user_id, "accounts.totp-enroll", user_id.as_str()).corr_id(&corr_id);
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await?;
        Ok::<_, Error>(user)
    };
    let user = engine.db().detached(write).await?;
    let totp = totp(&secret, Some(&user))?;
    let url = totp.to_url().map_err(|error| db::Error::Bug(format!("an otpauth address: {error}")))?;
    let secret = totp_rs::Secret::from(secret).to_base32();
    Ok(Enrolled { secret: SecretString::from(secret), url: SecretString::from(url) })
}

/// Switches the second factor on with a code of it. The recovery codes are shown this once.
///
/// # Errors
/// [`Error::WrongCode`], [`Error::Conflict`].
pub async fn confirm(engine: &Engine, caller: &Caller, code: &str) -> Result<Vec<SecretString>, Error> {
    let (user_id, session_id) = me::who(caller)?;
    let codes: Vec<SecretString> = (0..RECOVERY_CODES).map(|_| recovery_code(engine)).collect();
    let hashes: Vec<String> = codes.iter().map(|code| hash(engine, &user_id, code.expose_secret())).collect();
    let (task, corr_id, code) = (engine.clone(), caller.corr_id().to_owned(), code.to_owned());
    let of = user_id.clone();
    let write = async move {
        let wall = task.clock().wall.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        let found = sql::lock(&mut tx, &of).await?.ok_or(Error::NotFound)?;
        let sealed = match found.totp_sealed {
            Some(_) if found.user.mfa => return Err(Error::Conflict("the second factor is on already")),
            None => return Err(Error::Conflict("enroll a second factor first")),
            Some(sealed) => sealed,
        };
        let step = step_of(&task, &of, &sealed, &code)?.ok_or(Error::WrongCode)?;
        sql::confirm_totp(&mut tx, &of, step, task.now()).await?;
        sql::replace_recovery_codes(&mut tx, &of, &hashes, wall).await?;
        sessions::set_second_factor(&mut tx, &session_id, wall).await?;
        let entry = audit::Entry::by_user(&of, "accounts.totp-confirm", of.as_str()).corr_id(&corr_id);
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    slowed(engine, &user_id, engine.db().detached(write)).await?;
    engine.credentials().forget_user(&user_id);
    Ok(codes)
}

/// Switches the second factor off, with a code of it or a recovery code.
///
/// # Errors
/// [`Error::WrongCode`], [`Error::Conflict`] when there is none, [`crate::access::Refused::StepUpNeeded`].
pub async fn disable(engine: &Engine, caller: &Caller, code: &str) -> Result<(), Error> {
    let (user_id, _) = me::who(caller)?;
    caller.fresh(engine)?;
    let (task, corr_id, code) = (engine.clone(), caller.corr_id().to_owned(), code.to_owned());
    let of = user_id.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let found = sql::lock(&mut tx, &of).await?.ok_or(Error::NotFound)?;
        if !found.user.mfa {
            return Err(Error::Conflict("there is no second factor"));
        }
        spend(&task, &mut tx, &of, &code).await?;
        sql::set_totp(&mut tx, &of, None, task.now()).await?;
        sql::replace_recovery_codes(&mut tx, &of, &[], task.clock().wall.now()).await?;
        let entry = audit::Entry::by_user(&of, "accounts.totp-disable", of.as_str()).corr_id(&corr_id);
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    slowed(engine, &user_id, engine.db().detached(write)).await?;
    engine.credentials().forget_user(&user_id);
    Ok(())
}

/// Whoever holds a session does not find the second factor by trying: wrong codes are waited for as at sign-in.
async fn slowed<T>(
    engine: &Engine,
    user_id: &UserId,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let counted = Attempt::begin(engine, engine.sealer().mac("second factor", user_id.as_str())).await?;
    let outcome = attempt.await;
    if !matches!(outcome, Err(Error::WrongCode)) {
        counted.take_back(engine).await?;
    }
    outcome
}

/// Uses a code up: a step of the authenticator that was not used before, or a recovery code.
pub(super) async fn spend(engine: &Engine, tx: &mut Tx, user_id: &UserId, code: &str) -> Result<(), Error> {
    let sealed = sql::lock(tx, user_id).await?.and_then(|found| found.totp_sealed).ok_or(Error::WrongCode)?;
    let used = match step_of(engine, user_id, &sealed, code)? {
        Some(step) => sql::use_step(tx, user_id, step).await?,
        None => sql::use_recovery_code(tx, user_id, &hash(engine, user_id, code), engine.clock().wall.now()).await?,
    };
    if used { Ok(()) } else { Err(Error::WrongCode) }
}

/// The step a code belongs to, when it is one of now.
fn step_of(engine: &Engine, user_id: &UserId, sealed: &str, code: &str) -> Result<Option<i64>, Error> {
    let opened = engine.sealer().open(PURPOSE, user_id.as_str(), sealed);
    let secret: [u8; 20] = opened.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        db::Error::Bug("a second factor cannot be opened: was TOLLGATE_SECRET_KEY changed?".to_owned())
    })?;
    let seconds = u64::try_from(engine.clock().wall.now().as_micros() / 1_000_000).unwrap_or(0);
    let code = code.trim();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    Ok(totp(&secret, None)?.check(code, seconds).and_then(|step| i64::try_from(step).ok()))
}

fn totp(secret: &[u8; 20], user: Option<&User>) -> Result<Totp, Error> {
    let account = user.map_or("account", |user| user.email.as_str()).replace(':', "");
    let built = Builder::new().with_secret(*secret).with_account_name(account).with_issuer(Some("Tollgate")).build();
    built.map_err(|error| Error::Database(db::Error::Bug(format!("a second factor: {error}"))))
}

fn recovery_code(engine: &Engine) -> SecretString {
    let text = crate::clock::hex(&engine.clock().entropy.bytes::<10>());
    let (one, rest) = text.split_at(5);
    let (two, rest) = rest.split_at(5);
    let (three, four) = rest.split_at(5);
    SecretString::from(format!("{one}-{two}-{three}-{four}"))
}

fn hash(engine: &Engine, user_id: &UserId, code: &str) -> String {
    let bare: String = code.chars().filter(char::is_ascii_hexdigit).collect();
    engine.sealer().mac("recovery code", &format!("{user_id}:{}", bare.to_ascii_lowercase()))
}

/// What an authenticator shows at a time.
#[cfg(test)]
pub(super) fn code_at(secret: &str, seconds: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).expect("base32");
    let totp = Builder::new().with_secret(secret).with_account_name("account").build().expect("a second factor");
    totp.generate(seconds).to_string()
}
