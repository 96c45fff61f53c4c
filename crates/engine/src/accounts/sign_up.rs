//! Signs up: a letter with a link, and nothing that tells whether the address has an account.

use secrecy::{ExposeSecret, SecretString};

use tollgate_connectors::mail::Letter;

use super::sql::{self, NewCode};
use super::{Error, address, check_password};
use crate::db::Lane;
use crate::engine::Engine;
use crate::{mail, orgs, secrets};

/// What codes of sign-up links begin with.
pub(super) const CODE_PREFIX: &str = "tgv_";

/// Who wants an account.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// Their address.
    pub email: String,
    /// The password they choose.
    pub password: SecretString,
    /// What they are called; what stands before the `@` when left out.
    pub name: Option<String>,
    /// The trace id.
    pub corr_id: String,
}

/// Sends a link to the address. The account is made when it is followed; who has one already is told so by letter.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Overloaded`]; never whether the address is known.
pub async fn sign_up(engine: &Engine, sign_up: SignUp) -> Result<(), Error> {
    let email = address(&sign_up.email)?;
    check_password("password", sign_up.password.expose_secret(), &email)?;
    let name = sign_up.name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
    orgs::check_name("name", &name)
        .map_err(|_| Error::Invalid { field: "name", rule: "1 to 200 bytes without control characters".to_owned() })?;
    let hash = engine.accounts().hashing.hash(&engine.clock().entropy, &sign_up.password).await?;
    let task = engine.clone();
    let write = async move {
        let now = task.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        let known = sql::by_email(&mut tx, &email).await?.is_some();
        let since = now.minus(task.limits().people.address_letters_within);
        let sent = sql::codes_since(&mut tx, &email, "verify", since).await?;
        if sent >= task.limits().people.address_letters_max {
            return Ok::<_, Error>(());
        }
        let code = secrets::generate(CODE_PREFIX, &task.clock().entropy);
        let hash = if known { None } else { Some(hash) };
        let new = NewCode {
            code_hash: &secrets::stored(&code),
            purpose: "verify",
            email: &email,
            user_id: None,
            name: Some(name.trim()),
            password_hash: hash.as_deref(),
            created_at: now,
            expires_at: now.plus(task.limits().people.verify_life),
        };
        sql::insert_code(&mut tx, &new).await?;
        let letter = if known { known_letter(&task) } else { verify_letter(&task, &code) };
        let queued = mail::Queued { to: &email, org_key: None, letter: &letter, corr_id: &sign_up.corr_id };
        mail::queue(&task, &mut tx, &queued).await?;
        tx.commit().await?;
        Ok(())
    };
    engine.db().detached(write).await?;
    engine.wake_workers();
    Ok(())
}

fn verify_letter(engine: &Engine, code: &SecretString) -> Letter {
    Letter::new("Confirm your e-mail address")
        .line(format!("Somebody, probably you, signed up at {}.", engine.public_base_url()))
        .line("Enter this code there to confirm the address and finish signing up. It works once, within 24 hours.")
        .code(code.expose_secret())
        .closing("If you did not sign up, do nothing: without your confirmation there is no account.")
}

fn known_letter(engine: &Engine) -> Letter {
    Letter::new("You have an account already")
        .line("Somebody, probably you, tried to sign up with this e-mail address. It has an account already: sign in instead, or reset the password.")
        .line(format!("The server is {}.", engine.public_base_url()))
        .closing("If it was not you, you need not do anything.")
}
