//! From a signed token to a caller. Warm, this costs one signature check and two look-ups, no I/O.

use super::{AuthError, Caller, CallerKind, OrgRef};
use crate::db;
use crate::engine::Engine;
use crate::orgs;
use crate::tokens::{self, Refusal, Session, Verified};
use tollgate_rules::ids::OrgId;

/// The caller behind a token.
pub(super) async fn admit(engine: &Engine, token: &str) -> Result<Caller, AuthError> {
    let verified = tokens::verify(engine, token).await.map_err(|refusal| refused(&refusal))?;
    let kind = match verified {
        Verified::Site(site) => CallerKind::Site {
            org: org_of(engine, &site.org_id).await?,
            site_id: site.site_id,
            site: site.site,
            scopes: site.scopes,
        },
        Verified::Org(token) => CallerKind::OrgToken {
            org: org_of(engine, &token.org_id).await?,
            key_id: token.key_id,
            scopes: token.scopes,
        },
        Verified::Session(session) => user(&session)?,
    };
    Ok(Caller::new(kind))
}

/// A signed-in user; the operator where the issuer's claim and our list say so.
fn user(session: &Session) -> Result<CallerKind, AuthError> {
    if session.operator {
        return Ok(CallerKind::Operator { label: session.user_id.to_string() });
    }
    Err(AuthError::Invalid)
}

async fn org_of(engine: &Engine, org_id: &OrgId) -> Result<OrgRef, AuthError> {
    let found = orgs::find(engine, org_id).await.map_err(AuthError::Unavailable)?;
    found.ok_or(AuthError::Invalid)
}

fn refused(refusal: &Refusal) -> AuthError {
    tracing::debug!(%refusal, "a token was not believed");
    match refusal {
        Refusal::Unavailable(reason) => AuthError::Unavailable(db::Error::Unavailable(reason.clone())),
        Refusal::Malformed
        | Refusal::Issuer
        | Refusal::Algorithm
        | Refusal::UnknownKey
        | Refusal::Signature
        | Refusal::TokenType
        | Refusal::Claim(_)
        | Refusal::Expired
        | Refusal::NotActiveYet
        | Refusal::IssuedInFuture
        | Refusal::Audience
        | Refusal::Party
        | Refusal::Pending
        | Refusal::Revoked => AuthError::Invalid,
    }
}
