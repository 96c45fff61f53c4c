//! Asks for a new password: a letter with a link, and nothing that tells whether the address has an account.

use secrecy::{ExposeSecret, SecretString};

use tollgate_connectors::mail::Letter;

use super::sql::{self, NewCode};
use super::{Error, address};
use crate::db::Lane;
use crate::engine::Engine;
use crate::{mail, secrets};

/// What codes of reset links begin with.
pub(super) const CODE_PREFIX: &str = "tgp_";

/// Sends a link to the address; to one without an account, a letter that says so.
///
/// # Errors
/// [`Error::Invalid`]; never whether the address is known.
pub async fn forgot(engine: &Engine, email: &str, corr_id: &str) -> Result<(), Error> {
    let email = address(email)?;
    let (task, corr_id) = (engine.clone(), corr_id.to_owned());
    let write = async move {
        let now = task.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        let user = sql::by_email(&mut tx, &email).await?;
        let since = now.minus(task.limits().people.address_letters_within);
        if sql::codes_since(&mut tx, &email, "reset", since).await? >= task.limits().people.address_letters_max {
            return Ok::<_, Error>(());
        }
        let code = secrets::generate(CODE_PREFIX, &task.clock().entropy);
        let new = NewCode {
            code_hash: &secrets::stored(&code),
            purpose: "reset",
            email: &email,
            user_id: user.as_ref().map(|found| &found.user.user_id),
            name: None,
            password_hash: None,
            created_at: now,
            expires_at: now.plus(task.limits().people.reset_life),
        };
        sql::insert_code(&mut tx, &new).await?;
        let letter = if user.is_some() { reset_letter(&task, &code) } else { unknown_letter() };
        let queued = mail::Queued { to: &email, org_key: None, letter: &letter, corr_id: &corr_id };
        mail::queue(&task, &mut tx, &queued).await?;
        tx.commit().await?;
        Ok(())
    };
    engine.db().detached(write).await?;
    engine.wake_workers();
    Ok(())
}

fn reset_letter(engine: &Engine, code: &SecretString) -> Letter {
    Letter::new("Choose a new password")
        .line(format!("Somebody, probably you, asked for a new password at {}.", engine.public_base_url()))
        .line(
            "Enter this code there with the new password. It works once, within an hour, and signs you out everywhere.",
        )
        .code(code.expose_secret())
        .closing("If you did not ask for this, do nothing: your password stays as it is.")
}

fn unknown_letter() -> Letter {
    Letter::new("There is no account with this address")
        .line("Somebody, perhaps you, asked for a new password for this e-mail address. It has no account: try another address, or sign up.")
        .closing("If it was not you, you need not do anything.")
}
