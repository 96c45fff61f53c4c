//! Confirms an address: the account begins.

use serde_json::json;

use tollgate_rules::ids::UserId;

use super::{Error, User, sign_up, sql};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::{audit, secrets};

/// Uses the code up and makes the account.
///
/// # Errors
/// [`Error::InvalidCode`].
pub async fn verify_email(engine: &Engine, code: &str, corr_id: &str) -> Result<User, Error> {
    if !secrets::well_formed(sign_up::CODE_PREFIX, code) {
        return Err(Error::InvalidCode);
    }
    let hash = crate::clock::hex(&secrets::fingerprint(code));
    let (task, corr_id) = (engine.clone(), corr_id.to_owned());
    let write = async move {
        let now = task.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        let used = sql::use_code(&mut tx, &hash, "verify", now).await?.ok_or(Error::InvalidCode)?;
        let (Some(name), Some(password_hash)) = (used.name, used.password_hash) else { return Err(Error::InvalidCode) };
        let user_id = UserId::parse(&task.new_id("user_")).map_err(|error| db::Error::Bug(error.to_string()))?;
        let user = User { user_id, email: used.email, name, mfa: false, created_at: now };
        if !sql::insert(&mut tx, &user, &password_hash).await? {
            return Err(Error::InvalidCode);
        }
        sql::void_codes(&mut tx, &user.email, "verify", now).await?;
        let entry = audit::Entry::by_user(&user.user_id, "accounts.create", user.user_id.as_str()).corr_id(&corr_id);
        audit::append(&task, &mut tx, entry.after(json!({ "userId": user.user_id }))).await?;
        tx.commit().await?;
        Ok::<_, Error>(user)
    };
    engine.db().detached(write).await
}
