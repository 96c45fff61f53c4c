//! Sessions of operators.

use std::time::Duration;

use serde_json::json;

use tollgate_rules::time::Timestamp;

use super::{Error, sql};
use crate::access::{AuthError, Caller, CallerKind, OperatorScope, Session};
use crate::audit;
use crate::db::Lane;
use crate::engine::Engine;
use crate::secrets;

/// What the secret of a session begins with.
pub(crate) const PREFIX: &str = "tgp_";
/// How long a session lives whatever is done.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);
/// How long it lives without a call.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How often calls are written down.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A session of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSession {
    /// Names it; never a secret.
    pub session_id: String,
    /// The operator, as in the audit journal.
    pub label: String,
    /// Their verified address, where the provider told one.
    pub email: Option<String>,
    /// When they proved who they are, as far as the provider says so.
    pub authenticated_at: Timestamp,
    /// When it is over whatever is done.
    pub expires_at: Timestamp,
}

/// The operator behind the secret of a session's cookie. Operators are few: each call reads the session.
///
/// # Errors
/// [`AuthError::Invalid`] for a session that is unknown or over.
pub(crate) async fn admit(engine: &Engine, secret: &str) -> Result<Caller, AuthError> {
    let found = session(engine, secret).await?;
    let proof = Session {
        session_id: found.session_id,
        authenticated_at: found.authenticated_at,
        second_factor_at: None,
        active_org: None,
    };
    Ok(Caller::new(CallerKind::Operator { label: found.label, session: Some(proof) }))
}

/// The session of a cookie.
///
/// # Errors
/// As for every credential: [`AuthError::Invalid`], [`AuthError::Unavailable`].
pub async fn session(engine: &Engine, secret: &str) -> Result<OperatorSession, AuthError> {
    if engine.operator_sign_in().is_none() || !secrets::well_formed(PREFIX, secret) {
        return Err(AuthError::Invalid);
    }
    let hash = crate::clock::hex(&secrets::fingerprint(secret));
    let mut connection = engine.db().read().await.map_err(AuthError::Unavailable)?;
    let found = sql::live(&mut connection, &hash).await.map_err(AuthError::Unavailable)?;
    drop(connection);
    let now = engine.clock().wall.now();
    let (found, seen) = found.ok_or(AuthError::Invalid)?;
    if now >= found.expires_at || now >= seen.plus(IDLE) {
        return Err(AuthError::Invalid);
    }
    if now >= seen.plus(SEEN_EVERY) {
        let (task, id) = (engine.clone(), found.session_id.clone());
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            sql::set_seen(&mut tx, &id, now).await?;
            tx.commit().await
        };
        engine.db().detached(write).await.map_err(AuthError::Unavailable)?;
    }
    Ok(found)
}

/// Ends the session of a cookie; one that is over already stays so.
///
/// # Errors
/// The database's.
pub async fn sign_out(engine: &Engine, scope: &OperatorScope, secret: &str) -> Result<(), Error> {
    let hash = crate::clock::hex(&secrets::fingerprint(secret));
    let (task, of, now) = (engine.clone(), scope.clone(), engine.clock().wall.now());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if let Some(session_id) = sql::end(&mut tx, &hash, now).await? {
            let entry = audit::Entry::server(&of, "operators.sign_out", session_id).after(json!({ "endedAt": now }));
            audit::append(&task, &mut tx, entry).await?;
        }
        tx.commit().await
    };
    Ok(engine.db().detached(write).await?)
}

/// What a form of an operator's page carries, so that no other page can send it.
#[must_use]
pub fn form_token(engine: &Engine, session: &OperatorSession) -> String {
    engine.sealer().mac("operator forms", &session.session_id)
}

/// Whether a form was ours.
#[must_use]
pub fn form_token_fits(engine: &Engine, session: &OperatorSession, sent: &str) -> bool {
    secrets::same(&secrets::fingerprint(sent), &secrets::fingerprint(&form_token(engine, session)))
}
