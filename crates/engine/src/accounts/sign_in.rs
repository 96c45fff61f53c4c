//! Signs in.

use std::net::IpAddr;

use secrecy::SecretString;
use serde_json::json;

use tollgate_rules::time::Timestamp;

use super::attempt::Attempt;
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
    let attempt = Attempt::begin(engine, engine.sealer().mac("sign-in", &email)).await?;
    let found = sql::by_email(&mut engine.db().read().await?, &email).await?;
    let hash = found.as_ref().and_then(|found| found.password_hash.as_deref());
    let fits = match engine.accounts().hashing.verify(&sign_in.password, hash).await {
        Err(Error::Overloaded) => {
            attempt.take_back(engine).await?;
            return Err(Error::Overloaded);
        }
        answer => answer?,
    };
    let Some(found) = found.filter(|_| fits) else {
        budget.failed(engine, sign_in.from);
        return Err(Error::Credentials);
    };
    if found.user.mfa && sign_in.code.is_none() {
        attempt.take_back(engine).await?;
        return Err(Error::SecondFactorNeeded);
    }
    let (task, from) = (engine.clone(), sign_in.from);
    let begun = engine.db().detached(async move { begin(&task, found, sign_in, attempt.subject()).await }).await;
    if matches!(begun, Err(Error::WrongCode)) {
        budget.failed(engine, from);
    }
    begun
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
