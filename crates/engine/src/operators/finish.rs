//! Ends a sign-in: the browser comes back with a code.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use tollgate_rules::access::Permission;
use tollgate_rules::time::Timestamp;

use super::session::{LIFE, PREFIX};
use super::{Error, Flow, PURPOSE, is_over, redirect_uri, sql};
use crate::access::{Caller, CallerKind};
use crate::audit;
use crate::clock::hex;
use crate::db::Lane;
use crate::engine::Engine;
use crate::secrets;
use crate::tokens::Refusal;
use crate::tokens::identity_token::{self, Expected};

/// A signed-in operator.
#[derive(Debug)]
pub struct SignedIn {
    /// The session's cookie.
    pub secret: SecretString,
    /// When it is over whatever is done.
    pub expires_at: Timestamp,
    /// Where the browser goes now.
    pub next: String,
}

/// Exchanges the code and begins a session, if the person may. `flow` is the cookie of the browser.
///
/// # Errors
/// [`Error`].
pub async fn finish(engine: &Engine, flow: &str, state: &str, code: &str) -> Result<SignedIn, Error> {
    let sign_in = engine.operator_sign_in().ok_or(Error::Off)?;
    let opened = engine.sealer().open(PURPOSE, "flow", flow).ok_or(Error::OtherFlow)?;
    let flow: Flow = serde_json::from_slice(&opened).map_err(|_| Error::OtherFlow)?;
    let wall = engine.clock().wall.now();
    if !bool::from(flow.state.as_bytes().ct_eq(state.as_bytes())) || is_over(flow.began_at, wall) {
        return Err(Error::OtherFlow);
    }
    let verifier = SecretString::from(flow.verifier.clone());
    let (token, keys) = sign_in.provider.redeem(code, &verifier, &redirect_uri(engine)).await?;
    let expected = Expected {
        issuer: sign_in.provider.issuer(),
        client_id: sign_in.provider.client_id(),
        nonce: &flow.nonce,
        now: wall,
    };
    let claims = identity_token::verify(&token, &keys, &expected).map_err(Error::NotBelieved)?;
    if !sign_in.admits(&claims) {
        return Err(Error::NotAllowed);
    }
    let authenticated_at = proven_at(&claims, &flow, wall).map_err(Error::NotBelieved)?;
    let secret = secrets::generate(PREFIX, &engine.clock().entropy);
    let digest = hex(&Sha256::digest(format!("{}\n{}", expected.issuer, claims.subject)));
    let new = sql::New {
        session_id: engine.new_id("sess_"),
        secret_hash: secrets::stored(&secret),
        label: format!("oidc-{}", digest.get(..12).unwrap_or_default()),
        email: claims.verified_email,
        now: wall,
        authenticated_at,
        expires_at: wall.plus(LIFE),
    };
    let who = Caller::new(CallerKind::Operator { label: new.label.clone(), session: None });
    let scope = who.require_operator(Permission::DiagnosticsRead).map_err(|_| Error::NotAllowed)?;
    let (task, expires_at) = (engine.clone(), new.expires_at);
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::insert(&mut tx, &new).await?;
        let after = json!({ "expiresAt": new.expires_at });
        audit::append(&task, &mut tx, audit::Entry::server(&scope, "operators.sign_in", new.session_id).after(after))
            .await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    Ok(SignedIn { secret, expires_at, next: flow.next })
}

/// How far the provider's clock may be behind ours when it says that it asked again.
const LEEWAY: Duration = Duration::from_secs(30);

/// When the person proved who they are: as the provider says, never where it does not. Whoever was sent there to prove it anew has
/// to have done so.
fn proven_at(claims: &identity_token::Claims, flow: &Flow, now: Timestamp) -> Result<Timestamp, Refusal> {
    let told = claims.authenticated_at.map(|at| at.min(now));
    let began = Timestamp::from_micros(flow.began_at);
    match told {
        Some(at) if flow.anew && at < began.minus(LEEWAY) => Err(Refusal::Claim("auth_time")),
        None if flow.anew => Err(Refusal::Claim("auth_time")),
        told => Ok(told.unwrap_or(Timestamp::from_micros(0))),
    }
}
