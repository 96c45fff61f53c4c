//! From a bearer credential to a caller. Warm keys cost one hash and one look-up, no I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::credentials::KnownKey;
use super::{Caller, CallerKind};
use crate::db::{self, Kind};
use crate::engine::Engine;
use crate::keys;
use crate::secrets::{self, Fingerprint};
use crate::tokens::{self, dpop::Proof};

/// Why a credential is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown, altered, revoked, expired, or of another environment: all the same to the caller.
    #[error("this credential is not valid")]
    Invalid,
    /// The proof of possession needs a nonce of ours: send it again with one.
    #[error("the proof of possession needs a nonce of this server")]
    NonceNeeded,
    /// Cannot know: the database does not answer.
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] db::Error),
}

/// Finds the caller behind a bearer credential (`tgo_…`, `tg_live_…`, `tg_test_…`).
///
/// A revocation counts at once in this process, and within five seconds on every other node.
///
/// # Errors
/// [`AuthError::Invalid`] for every credential that is not good now, [`AuthError::Unavailable`] when that cannot be known.
pub async fn authenticate(engine: &Engine, bearer: &str) -> Result<Caller, AuthError> {
    if tokens::looks_like(bearer) {
        return super::token::admit(engine, bearer, None).await;
    }
    let fingerprint = secrets::fingerprint(bearer);
    let credentials = engine.credentials();
    if bearer.starts_with("tgo_") && credentials.is_configured_operator(&fingerprint) {
        return Ok(Caller::new(CallerKind::Operator { label: "configured".to_owned(), session: None }));
    }
    if let Some(key) = credentials.known(&fingerprint) {
        match freshness(engine, &key) {
            Freshness::Fresh => return admit(engine, &key),
            Freshness::Ageing => {
                refresh_behind(engine, fingerprint, &key);
                return admit(engine, &key);
            }
            Freshness::Stale => {}
        }
    }
    let prefix = if bearer.starts_with("tgo_") { "tgo_" } else { engine.key_environment().prefix() };
    if !secrets::well_formed(prefix, bearer) {
        return Err(AuthError::Invalid);
    }
    match load(engine, fingerprint).await.map_err(AuthError::Unavailable)? {
        Some(key) => admit(engine, &key),
        None => Err(AuthError::Invalid),
    }
}

/// Finds the caller behind an access token that is bound to a key, with the proof that the caller holds it.
///
/// # Errors
/// As [`authenticate`]; a credential that is bound to no key is refused too.
pub async fn authenticate_proven(engine: &Engine, token: &str, proof: &Proof) -> Result<Caller, AuthError> {
    if !tokens::looks_like(token) {
        return Err(AuthError::Invalid);
    }
    super::token::admit(engine, token, Some(proof)).await
}

enum Freshness {
    Fresh,
    Ageing,
    Stale,
}

/// The embedded database has one process, which hears every revocation itself: what it knows does not age.
fn freshness(engine: &Engine, key: &KnownKey) -> Freshness {
    if engine.db().kind() == Kind::Sqlite {
        return Freshness::Fresh;
    }
    let age: Duration = engine.clock().monotonic.now().saturating_sub(key.read_at);
    let ttl = engine.limits().key_cache_ttl;
    if age < ttl / 2 {
        Freshness::Fresh
    } else if age < ttl {
        Freshness::Ageing
    } else {
        Freshness::Stale
    }
}

fn admit(engine: &Engine, key: &KnownKey) -> Result<Caller, AuthError> {
    let now = engine.now();
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(AuthError::Invalid);
    }
    key.used_at.store(now.as_micros(), Ordering::Relaxed);
    Ok(Caller::new(key.kind.clone()))
}

/// Reads an ageing key again beside the call, one reader at a time, so that busy keys never wait for a read.
fn refresh_behind(engine: &Engine, fingerprint: Fingerprint, key: &Arc<KnownKey>) {
    if key.refreshing.swap(true, Ordering::AcqRel) {
        return;
    }
    let (engine, key) = (engine.clone(), Arc::clone(key));
    tokio::spawn(async move {
        if let Err(error) = load(&engine, fingerprint).await {
            key.refreshing.store(false, Ordering::Release);
            tracing::warn!(%error, "reading a credential again failed; it is valid until its time in memory ends");
        }
    });
}

async fn load(engine: &Engine, fingerprint: Fingerprint) -> Result<Option<Arc<KnownKey>>, db::Error> {
    let credentials = engine.credentials();
    let generation = credentials.generation();
    let read_at = engine.clock().monotonic.now();
    let mut connection = engine.db().read().await?;
    let Some(found) = keys::sql::key_by_fingerprint(&mut connection, &fingerprint).await? else {
        credentials.forget(&fingerprint);
        return Ok(None);
    };
    let key = KnownKey {
        kind: found.kind,
        key_id: found.key_id,
        expires_at: found.expires_at,
        read_at,
        refreshing: AtomicBool::new(false),
        used_at: AtomicI64::new(0),
    };
    Ok(Some(credentials.remember(fingerprint, key, generation, engine.limits().key_cache_entries_max)))
}
