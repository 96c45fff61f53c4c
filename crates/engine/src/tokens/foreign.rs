//! A foreign issuer's public keys in memory: fresh for five minutes, believed for a day when the issuer cannot be reached, and
//! asked for again at most every thirty seconds, by one caller at a time, whatever key ids strangers send.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::DecodingKey;
use tokio::sync::Mutex;

use tollgate_connectors::identity::PublicKey;

use super::Refusal;
use crate::engine::Engine;

/// How long keys are used without a look.
const FRESH: Duration = Duration::from_secs(300);
/// How long keys are used when the issuer cannot be reached.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often the issuer is asked at most.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// The keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    held: ArcSwap<Held>,
    /// Monotonic time of the last time the issuer was asked; whoever holds it asks.
    asked_at: Arc<Mutex<Option<Duration>>>,
}

#[derive(Debug, Default)]
struct Held {
    by_kid: HashMap<String, Arc<DecodingKey>>,
    fetched_at: Option<Duration>,
}

impl Keys {
    /// The key with this id. Asks the issuer only when it is not known, or what is known is a day old.
    pub(super) async fn key(&self, engine: &Engine, kid: &str) -> Result<Arc<DecodingKey>, Refusal> {
        let now = engine.clock().monotonic.now();
        let held = self.held.load_full();
        let age = held.fetched_at.map_or(Duration::MAX, |at| now.saturating_sub(at));
        if let Some(key) = held.by_kid.get(kid).filter(|_| age < STALE_MAX) {
            if age >= FRESH {
                self.ask_behind(engine);
            }
            return Ok(Arc::clone(key));
        }
        ask(engine, self, now).await;
        let held = self.held.load_full();
        let believed = held.fetched_at.is_some_and(|at| now.saturating_sub(at) < STALE_MAX);
        match held.by_kid.get(kid) {
            Some(key) if believed => Ok(Arc::clone(key)),
            None if believed => Err(Refusal::UnknownKey),
            Some(_) | None => Err(Refusal::Unavailable("the issuer's keys cannot be had".to_owned())),
        }
    }

    /// Asks beside the call, unless somebody does already.
    fn ask_behind(&self, engine: &Engine) {
        if self.asked_at.try_lock().is_err() {
            return;
        }
        let engine = engine.clone();
        tokio::spawn(async move {
            let now = engine.clock().monotonic.now();
            if let Some(issuer) = engine.tokens().foreign() {
                ask(&engine, &issuer.keys, now).await;
            }
        });
    }

    /// Takes a set of keys as fetched now.
    pub(super) fn set(&self, keys: Vec<PublicKey>, now: Duration) {
        let read = |key: PublicKey| {
            let decoding = DecodingKey::from_rsa_components(&key.modulus, &key.exponent).ok()?;
            Some((key.kid, Arc::new(decoding)))
        };
        let by_kid = keys.into_iter().filter_map(read).collect();
        self.held.store(Arc::new(Held { by_kid, fetched_at: Some(now) }));
    }
}

/// Asks the issuer for its keys, unless it was asked a moment ago.
async fn ask(engine: &Engine, keys: &Keys, now: Duration) {
    let mut asked_at = keys.asked_at.lock().await;
    if asked_at.is_some_and(|before| now.saturating_sub(before) < ASKED_EVERY) {
        return;
    }
    *asked_at = Some(now);
    match engine.identity().public_keys().await {
        Ok(set) => keys.set(set, engine.clock().monotonic.now()),
        Err(error) => {
            tracing::warn!(%error, "the issuer's keys could not be fetched; known ones are believed for a day")
        }
    }
}
