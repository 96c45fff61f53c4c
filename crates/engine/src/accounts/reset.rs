//! Sets a new password with the code of a link.

use secrecy::{ExposeSecret, SecretString};

use tollgate_connectors::mail::Letter;
use tollgate_rules::ids::UserId;

use super::{Error, check_password, forgot, sql};
use crate::db::Lane;
use crate::engine::Engine;
use crate::{audit, mail, secrets};

/// Uses the code up, sets the password and ends every session of the account.
///
/// # Errors
/// [`Error::InvalidCode`], [`Error::Invalid`].
pub async fn reset(engine: &Engine, code: &str, password: &SecretString, corr_id: &str) -> Result<(), Error> {
    if !secrets::well_formed(forgot::CODE_PREFIX, code) {
        return Err(Error::InvalidCode);
    }
    let code_hash = crate::clock::hex(&secrets::fingerprint(code));
    let email = {
        let mut connection = engine.db().read().await?;
        sql::waiting_code(&mut connection, &code_hash, "reset", engine.now()).await?.ok_or(Error::InvalidCode)?
    };
    check_password("password", password.expose_secret(), &email)?;
    let hash = engine.accounts().hashing.hash(&engine.clock().entropy, password).await?;
    let (task, corr_id) = (engine.clone(), corr_id.to_owned());
    let write = async move { store(&task, &code_hash, &hash, &corr_id).await };
    let user_id = engine.db().detached(write).await?;
    engine.credentials().forget_user(&user_id);
    engine.wake_workers();
    Ok(())
}

async fn store(engine: &Engine, code_hash: &str, hash: &str, corr_id: &str) -> Result<UserId, Error> {
    let (now, wall) = (engine.now(), engine.clock().wall.now());
    let mut tx = engine.db().begin(Lane::Control).await?;
    let used = sql::use_code(&mut tx, code_hash, "reset", now).await?.ok_or(Error::InvalidCode)?;
    let user_id = used.user_id.ok_or(Error::InvalidCode)?;
    sql::set_password(&mut tx, &user_id, hash, now).await?;
    sql::sessions::end_all(&mut tx, &user_id, wall).await?;
    sql::void_codes(&mut tx, &used.email, "reset", now).await?;
    sql::clear_attempts(&mut tx, &engine.sealer().mac("sign-in", &used.email)).await?;
    let entry = audit::Entry::by_user(&user_id, "accounts.reset-password", user_id.as_str()).corr_id(corr_id);
    audit::append(engine, &mut tx, entry).await?;
    let letter = Letter::new("Your password was changed")
        .line("The password of your account was changed, and every device was signed out.")
        .closing("If it was not you, ask for a new password at once.");
    let queued = mail::Queued { to: &used.email, org_key: None, letter: &letter, corr_id };
    mail::queue(engine, &mut tx, &queued).await?;
    tx.commit().await?;
    Ok(user_id)
}
