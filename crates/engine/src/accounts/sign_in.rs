//! Signs in.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use tollgate_rules::time::Timestamp;

use super::sql::{self, Found, sessions};
use super::{Error, Tokens, User, address, refresh, second_factor};
use crate::access::COOKIE_PREFIX;
use crate::db::Lane;
use crate::engine::Engine;
use crate::{audit, secrets};

/// How the session is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In a cookie.
    Cookie,
    /// As an access token and a refresh token.
    Token,
}

/// Who signs in with what.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The address.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// A code of the second factor, or a recovery code.
    pub code: Option<String>,
    /// How the session is carried.
    pub mode: Mode,
    /// The device as it names itself.
    pub device: String,
    /// Where from.
    pub from: Option<IpAddr>,
    /// The trace id.
    pub corr_id: String,
}

/// A session that began.
#[derive(Debug)]
pub struct SignedIn {
    /// Whose.
    pub user: User,
    /// Names the session.
    pub session_id: String,
    /// Wall time at which it is over whatever is done.
    pub expires_at: Timestamp,
    /// What the cookie carries, in cookie mode.
    pub cookie: Option<SecretString>,
    /// The tokens, in token mode.
    pub tokens: Option<Tokens>,
}

/// Begins a new session. A known and an unknown address cost the same hash and the same statements, and are answered alike.
///
/// # Errors
/// [`Error::Credentials`], [`Error::SecondFactorNeeded`], [`Error::WrongCode`], [`Error::Slow`], [`Error::Overloaded`].
pub async fn sign_in(engine: &Engine, sign_in: SignIn) -> Result<SignedIn, Error> {
    let email = address(&sign_in.email)?;
    let budget = &engine.accounts().budget;
    budget.check(engine, sign_in.from)?;
    let subject = engine.sealer().mac("sign-in", &email);
    let wall = engine.clock().wall.now();
    let (attempts, found) = {
        let mut connection = engine.db().read().await?;
        (sql::attempts(&mut connection, &subject).await?, sql::by_email(&mut connection, &email).await?)
    };
    if attempts.blocked_until > wall {
        return Err(Error::Slow(attempts.blocked_until.since(wall)));
    }
    let hash = found.as_ref().and_then(|found| found.password_hash.as_deref());
    if !engine.accounts().hashing.verify(&sign_in.password, hash).await? {
        budget.failed(engine, sign_in.from);
        note_failure(engine, subject, attempts.failures).await?;
        return Err(Error::Credentials);
    }
    let found = found.ok_or(Error::Credentials)?;
    if found.user.mfa && sign_in.code.is_none() {
        return Err(Error::SecondFactorNeeded);
    }
    let from = sign_in.from;
    let (task, of) = (engine.clone(), subject.clone());
    let begun = engine.db().detached(async move { begin(&task, found, sign_in, &of).await }).await;
    if matches!(begun, Err(Error::WrongCode)) {
        budget.failed(engine, from);
        note_failure(engine, subject, attempts.failures).await?;
    }
    begun
}

/// The first failures are free; then each doubles the wait, up to a minute: a guesser is slowed, the owner never shut out.
pub(super) async fn note_failure(engine: &Engine, subject: String, before: i64) -> Result<(), Error> {
    let limits = engine.limits();
    let beyond = (before + 1).saturating_sub(limits.people.sign_in_failures_free);
    let wait = match u32::try_from(beyond) {
        Ok(beyond @ 1..) => {
            Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(beyond - 1)).min(limits.people.sign_in_wait_max)
        }
        _ => Duration::ZERO,
    };
    let wall = engine.clock().wall.now();
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::note_failure(&mut tx, &subject, wall.plus(wait), wall).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    engine.db().detached(write).await
}

async fn begin(engine: &Engine, found: Found, sign_in: SignIn, subject: &str) -> Result<SignedIn, Error> {
    let wall = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let user = found.user;
    let second = match (&sign_in.code, user.mfa) {
        (Some(code), true) => {
            second_factor::spend(engine, &mut tx, &user.user_id, code).await?;
            Some(wall)
        }
        _ => None,
    };
    let session_id = engine.new_id("sess_");
    let cookie = match sign_in.mode {
        Mode::Cookie => Some(secrets::generate(COOKIE_PREFIX, &engine.clock().entropy)),
        Mode::Token => None,
    };
    let new = sessions::New {
        session_id: &session_id,
        user_id: &user.user_id,
        kind: if cookie.is_some() { "cookie" } else { "token" },
        secret_hash: cookie.as_ref().map(secrets::stored),
        device: short(&sign_in.device),
        second_factor_at: second,
        at: wall,
        expires_at: wall.plus(engine.limits().people.session_life),
    };
    sessions::insert(&mut tx, &new).await?;
    sessions::end_oldest(&mut tx, &user.user_id, engine.limits().people.sessions_per_user_max, wall).await?;
    sql::clear_attempts(&mut tx, subject).await?;
    let entry = audit::Entry::by_user(&user.user_id, "accounts.sign-in", session_id.as_str()).corr_id(&sign_in.corr_id);
    audit::append(engine, &mut tx, entry.after(json!({ "kind": new.kind, "secondFactor": second.is_some() }))).await?;
    let tokens = match sign_in.mode {
        Mode::Cookie => None,
        Mode::Token => Some(refresh::pair(engine, &refresh::Of::begun(&user.user_id, &session_id, second, wall))?),
    };
    let expires_at = new.expires_at;
    tx.commit().await?;
    Ok(SignedIn { user, session_id, expires_at, cookie, tokens })
}

/// What a device says about itself is kept short and printable.
fn short(device: &str) -> String {
    device.chars().filter(|c| !c.is_control()).take(200).collect()
}
