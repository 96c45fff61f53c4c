//! The built-in issuer's keys in memory: which one signs now, and the public halves of all that may have signed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use tokio::sync::Mutex;

use tollgate_rules::time::Timestamp;

use super::{Refusal, sql};
use crate::db;
use crate::engine::Engine;

/// What a sealed private key is for.
pub(super) const PURPOSE: &str = "signing keys";

/// How often strangers' unknown key ids may make us look into the table again.
const READ_AGAIN_EVERY: Duration = Duration::from_secs(5);

/// PKCS #8 (RFC 8410) of an Ed25519 private key: this, then its 32 bytes.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A key of the ring.
pub(crate) struct Key {
    pub(super) kid: String,
    pub(super) generation: i64,
    /// The public half in base64url, as in the key set.
    pub(super) x: String,
    pub(super) public: Arc<DecodingKey>,
    /// Nothing when it was sealed with another secret than this server's: then it can only check.
    pub(super) private: Option<EncodingKey>,
    pub(super) signs_from: Timestamp,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The keys, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Held {
    keys: ArcSwap<Vec<Arc<Key>>>,
    /// Monotonic time of the last look for an unknown key.
    looked_at: Mutex<Option<Duration>>,
}

impl Held {
    pub(super) fn set(&self, keys: Vec<Arc<Key>>) {
        self.keys.store(Arc::new(keys));
    }

    pub(super) fn all(&self) -> Arc<Vec<Arc<Key>>> {
        self.keys.load_full()
    }

    /// The public half of a key.
    pub(super) fn public(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.keys.load().iter().find(|key| key.kid == kid).map(|key| Arc::clone(&key.public))
    }

    /// The newest key that may sign at this time.
    pub(super) fn signer(&self, now: Timestamp) -> Option<Arc<Key>> {
        let keys = self.keys.load();
        keys.iter().rev().find(|key| key.signs_from <= now && key.private.is_some()).cloned()
    }
}

/// Reads the ring from the table.
pub(super) async fn read(engine: &Engine) -> Result<(), db::Error> {
    let rows = sql::signing_keys(&mut engine.db().read().await?).await?;
    let keys = rows.into_iter().map(|row| Arc::new(opened(engine, row))).collect();
    engine.tokens().ring.set(keys);
    Ok(())
}

/// Looks into the table for a key that is not in memory, at most every few seconds.
pub(super) async fn read_again(engine: &Engine, kid: &str) -> Result<Option<Arc<DecodingKey>>, Refusal> {
    let now = engine.clock().monotonic.now();
    let mut looked_at = engine.tokens().ring.looked_at.lock().await;
    if looked_at.is_none_or(|before| now.saturating_sub(before) >= READ_AGAIN_EVERY) {
        *looked_at = Some(now);
        read(engine).await.map_err(|error| Refusal::Unavailable(error.to_string()))?;
    }
    Ok(engine.tokens().ring.public(kid))
}

/// A row as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) generation: i64,
    pub(crate) kid: String,
    pub(crate) public_key: String,
    pub(crate) sealed_private: String,
    pub(crate) signs_from: Timestamp,
}

fn opened(engine: &Engine, row: Stored) -> Key {
    let seed = engine.sealer().open(PURPOSE, &row.kid, &row.sealed_private);
    if seed.is_none() {
        tracing::error!(kid = row.kid, "a signing key was sealed with another secret; it can check, but not sign");
    }
    let public = URL_SAFE_NO_PAD.decode(&row.public_key).unwrap_or_default();
    Key {
        generation: row.generation,
        public: Arc::new(DecodingKey::from_ed_der(&public)),
        private: seed.map(|seed| EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &seed].concat())),
        x: row.public_key,
        kid: row.kid,
        signs_from: row.signs_from,
    }
}

/// A new key that is not stored yet.
pub(super) fn made(engine: &Engine, generation: i64, signs_from: Timestamp) -> Stored {
    let seed = engine.clock().entropy.bytes::<32>();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed");
    let kid = engine.new_id("sig_");
    Stored {
        generation,
        public_key: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
        sealed_private: engine.sealer().seal(&engine.clock().entropy, PURPOSE, &kid, &seed),
        kid,
        signs_from,
    }
}
