//! From a signed token to a caller. Warm, this costs one signature check and two look-ups, no I/O.

use super::{AuthError, Caller, CallerKind, OrgRef};
use crate::db;
use crate::engine::Engine;
use crate::orgs;
use crate::tokens::dpop::{self, Memory, Proof};
use crate::tokens::{self, Provider, Refusal, Session, Verified};
use std::time::Duration;
use tollgate_rules::ids::{OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

/// The caller behind a token.
///
/// A token that is bound to a key needs a proof of it, and a proof needs a bound token: neither is taken for the other.
pub(super) async fn admit(engine: &Engine, token: &str, proof: Option<&Proof>) -> Result<Caller, AuthError> {
    let verified = tokens::verify(engine, token).await.map_err(|refusal| refused(&refusal))?;
    let bound_to = match &verified {
        Verified::Site(site) => site.jkt.as_deref(),
        Verified::Org(_) | Verified::Session(_) => None,
    };
    match (bound_to, proof) {
        (None, None) => {}
        (Some(jkt), Some(proof)) => {
            let shown = dpop::check(engine, proof, Some(token)).map_err(|refusal| refused(&refusal))?;
            if shown.jkt != jkt {
                return Err(AuthError::Invalid);
            }
            if proof.memory == Memory::Shared {
                dpop::use_up(engine, &shown).await.map_err(|refusal| refused(&refusal))?;
            }
        }
        (Some(_), None) | (None, Some(_)) => return Err(AuthError::Invalid),
    }
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
            slice: token.slice,
        },
        Verified::Session(session) => return user(engine, session).await,
    };
    Ok(Caller::new(kind))
}

/// A signed-in user; the operator where the issuer's claim and our list say so.
async fn user(engine: &Engine, session: Session) -> Result<Caller, AuthError> {
    if session.operator {
        let proof = proof(&session, None);
        return Ok(Caller::new(CallerKind::Operator { label: session.user_id.to_string(), session: Some(proof) }));
    }
    match session.provider {
        Provider::BuiltIn => match &session.session_id {
            Some(session_id) => super::authenticate_session_id(engine, session_id).await,
            None => Err(AuthError::Invalid),
        },
        Provider::Clerk => {
            let active = match &session.org {
                Some(active) => {
                    orgs::find(engine, &active.id).await.map_err(AuthError::Unavailable)?.map(|org| org.key)
                }
                None => None,
            };
            let proof = proof(&session, active);
            super::caller_of(engine, session.user_id, proof).await
        }
    }
}

/// How freshly the issuer says that the user proved who they are; never, where it does not say.
fn proof(session: &Session, active_org: Option<OrgKey>) -> super::Session {
    let ago = |minutes: i64| {
        let minutes = u64::try_from(minutes).ok()?;
        Some(session.issued_at.minus(Duration::from_secs(minutes.saturating_mul(60))))
    };
    let (first, second) = session.factor_minutes.unwrap_or((-1, -1));
    super::Session {
        session_id: session.session_id.clone().unwrap_or_default(),
        authenticated_at: ago(first).unwrap_or(Timestamp::from_micros(0)),
        second_factor_at: ago(second),
        active_org,
    }
}

async fn org_of(engine: &Engine, org_id: &OrgId) -> Result<OrgRef, AuthError> {
    let found = orgs::find(engine, org_id).await.map_err(AuthError::Unavailable)?;
    found.ok_or(AuthError::Invalid)
}

fn refused(refusal: &Refusal) -> AuthError {
    tracing::debug!(%refusal, "a token was not believed");
    match refusal {
        Refusal::Unavailable(reason) => AuthError::Unavailable(db::Error::Unavailable(reason.clone())),
        Refusal::Nonce => AuthError::NonceNeeded,
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
        | Refusal::Proof(_)
        | Refusal::Revoked => AuthError::Invalid,
    }
}
