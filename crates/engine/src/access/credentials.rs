//! What is known about credentials without a read: the configured operator key, keys seen lately, orgs seen lately.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use tollgate_rules::ids::{OrgId, OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use super::{CallerKind, KnownSession, Membership, OrgRef};
use crate::engine::OpenError;
use crate::secrets::{self, Fingerprint};

/// The memory of authentication.
#[derive(Debug)]
pub(crate) struct Credentials {
    configured: Option<Fingerprint>,
    keys: RwLock<HashMap<Fingerprint, Arc<KnownKey>>>,
    orgs: RwLock<HashMap<OrgId, (OrgRef, Duration)>>,
    sessions: RwLock<HashMap<Fingerprint, Arc<KnownSession>>>,
    members: RwLock<HashMap<UserId, Remembered>>,
    /// Counts revocations: what was read before one is not remembered after it.
    generation: AtomicU64,
}

/// Someone's memberships, and the monotonic time they were read.
type Remembered = (Arc<[Membership]>, Duration);

/// A credential that was read from the database.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) kind: CallerKind,
    pub(crate) key_id: String,
    pub(crate) expires_at: Option<Timestamp>,
    /// Monotonic time of the read.
    pub(crate) read_at: Duration,
    pub(crate) refreshing: AtomicBool,
    /// Business time of the last use in µs; 0 when it was written down already.
    pub(crate) used_at: AtomicI64,
}

impl Credentials {
    pub(crate) fn new(configured: Option<&SecretString>) -> Result<Credentials, OpenError> {
        if configured.is_some_and(|key| !strong(key.expose_secret())) {
            return Err(OpenError::WeakOperatorKey);
        }
        Ok(Credentials {
            configured: configured.map(|key| secrets::fingerprint(key.expose_secret())),
            keys: RwLock::default(),
            orgs: RwLock::default(),
            sessions: RwLock::default(),
            members: RwLock::default(),
            generation: AtomicU64::new(0),
        })
    }

    pub(crate) fn is_configured_operator(&self, fingerprint: &Fingerprint) -> bool {
        self.configured.as_ref().is_some_and(|own| secrets::same(own, fingerprint))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn known(&self, fingerprint: &Fingerprint) -> Option<Arc<KnownKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(fingerprint).cloned()
    }

    /// Remembers a key, unless something was revoked since `generation` was read. A full memory starts afresh.
    pub(crate) fn remember(
        &self,
        fingerprint: Fingerprint,
        key: KnownKey,
        generation: u64,
        entries_max: usize,
    ) -> Arc<KnownKey> {
        let key = Arc::new(key);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            if keys.len() >= entries_max {
                keys.clear();
            }
            keys.insert(fingerprint, Arc::clone(&key));
        }
        key
    }

    pub(crate) fn forget(&self, fingerprint: &Fingerprint) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(fingerprint);
    }

    /// A key was revoked, rotated or given an end: from now on nobody is let in on older knowledge of it.
    pub(crate) fn forget_key(&self, key_id: &str) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        keys.retain(|_, key| key.key_id != key_id);
    }

    /// An org got another public id, or was closed.
    pub(crate) fn forget_org(&self, org_key: OrgKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        keys.retain(|_, key| !matches!(&key.kind, CallerKind::Key { org, .. } if org.key == org_key));
        drop(keys);
        self.orgs.write().unwrap_or_else(PoisonError::into_inner).retain(|_, (org, _)| org.key != org_key);
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|_, (of, _)| of.iter().all(|membership| membership.org.key != org_key));
    }

    pub(crate) fn known_session(&self, fingerprint: &Fingerprint) -> Option<Arc<KnownSession>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(fingerprint).cloned()
    }

    /// Remembers a session, unless something was revoked since `generation` was read.
    pub(crate) fn remember_session(
        &self,
        fingerprint: Fingerprint,
        session: KnownSession,
        generation: u64,
        entries_max: usize,
    ) -> Arc<KnownSession> {
        let session = Arc::new(session);
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            if sessions.len() >= entries_max {
                sessions.clear();
            }
            sessions.insert(fingerprint, Arc::clone(&session));
        }
        session
    }

    pub(crate) fn forget_session(&self, fingerprint: &Fingerprint) {
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).remove(fingerprint);
    }

    /// Sessions with calls that are not written down yet.
    pub(crate) fn sessions_seen(&self) -> Vec<Arc<KnownSession>> {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let unwritten = |session: &&Arc<KnownSession>| {
            session.last_seen.load(Ordering::Relaxed) > session.written.load(Ordering::Relaxed)
        };
        sessions.values().filter(unwritten).cloned().collect()
    }

    pub(crate) fn known_memberships(&self, user_id: &UserId) -> Option<Remembered> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).get(user_id).cloned()
    }

    pub(crate) fn remember_memberships(
        &self,
        user_id: &UserId,
        read: &Arc<[Membership]>,
        read_at: Duration,
        generation: u64,
        entries_max: usize,
    ) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            if members.len() >= entries_max {
                members.clear();
            }
            members.insert(user_id.clone(), (Arc::clone(read), read_at));
        }
    }

    /// A session ended, a membership or an account changed: nobody is let in on older knowledge of this user.
    pub(crate) fn forget_user(&self, user_id: &UserId) {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        sessions.retain(|_, session| session.user_id != *user_id);
        drop(sessions);
        self.members.write().unwrap_or_else(PoisonError::into_inner).remove(user_id);
    }

    /// Uses of keys that were not written down yet: key id, kind and time.
    pub(crate) fn take_uses(&self) -> Vec<(Arc<KnownKey>, i64)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let used = keys.values().filter_map(|key| {
            let at = key.used_at.swap(0, Ordering::Relaxed);
            (at != 0).then(|| (Arc::clone(key), at))
        });
        used.collect()
    }

    pub(crate) fn known_org(&self, org_id: &OrgId) -> Option<(OrgRef, Duration)> {
        self.orgs.read().unwrap_or_else(PoisonError::into_inner).get(org_id).cloned()
    }

    pub(crate) fn remember_org(&self, org: &OrgRef, read_at: Duration, generation: u64, entries_max: usize) {
        let mut orgs = self.orgs.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            if orgs.len() >= entries_max {
                orgs.clear();
            }
            orgs.insert(org.id.clone(), (org.clone(), read_at));
        }
    }
}

fn strong(key: &str) -> bool {
    key.strip_prefix("tgo_").is_some_and(|rest| {
        rest.len() >= 32 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    })
}
