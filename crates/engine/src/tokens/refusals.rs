//! What ends tokens before their time: a small set of subjects, held in memory, so that asking it costs nothing.
//!
//! A subject is a session, a line of refresh tokens, a key, a user or an org. Its tokens issued up to the moment of the
//! revocation are refused. Tokens live minutes, so entries are forgotten after a day.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tollgate_rules::time::Timestamp;

use super::{Verified, sql};
use crate::db::{self, Tx};
use crate::engine::Engine;

/// Nodes may write a revocation this much before another one can read it.
const OVERLAP: Duration = Duration::from_secs(60);

/// The set.
#[derive(Debug, Default)]
pub(crate) struct Refusals(RwLock<Set>);

#[derive(Debug, Default)]
struct Set {
    subjects: HashMap<String, Timestamp>,
    /// The newest entry that was read.
    read_up_to: Option<Timestamp>,
}

impl Refusals {
    /// Whether one of the token's subjects was revoked at or after its issue.
    pub(super) fn concern(&self, verified: &Verified) -> bool {
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if set.subjects.is_empty() {
            return false;
        }
        let ended = |subject: &str, issued_at: Timestamp| {
            set.subjects.get(subject).is_some_and(|revoked_at| issued_at <= *revoked_at)
        };
        match verified {
            Verified::Session(session) => {
                session.session_id.as_deref().is_some_and(|id| ended(id, session.issued_at))
                    || ended(session.user_id.as_str(), session.issued_at)
            }
            Verified::Site(site) => [&site.family_id, &site.site_id, &site.token_id]
                .into_iter()
                .map(String::as_str)
                .chain([site.org_id.as_str()])
                .any(|subject| ended(subject, site.issued_at)),
            Verified::Org(org) => [org.key_id.as_str(), org.token_id.as_str(), org.org_id.as_str()]
                .into_iter()
                .any(|subject| ended(subject, org.issued_at)),
        }
    }

    fn forget(&self, before: Timestamp) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        set.subjects.retain(|_, revoked_at| *revoked_at >= before);
    }

    fn add(&self, entries: impl IntoIterator<Item = (String, Timestamp)>) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (subject, at) in entries {
            set.read_up_to = set.read_up_to.max(Some(at));
            let known = set.subjects.entry(subject).or_insert(at);
            *known = at.max(*known);
        }
    }
}

/// Writes that a subject's tokens are refused from now on; call [`refuse`] once it is committed.
pub(crate) async fn refuse_stored(engine: &Engine, tx: &mut Tx, subject: &str) -> Result<(), db::Error> {
    sql::insert_refusal(tx, subject, engine.clock().wall.now()).await
}

/// Refuses a subject's tokens in this process at once.
pub(crate) fn refuse(engine: &Engine, subject: &str) {
    engine.tokens().refusals.add([(subject.to_owned(), engine.clock().wall.now())]);
}

/// Reads what other nodes revoked since the last time.
pub(crate) async fn hear(engine: &Engine) -> Result<(), db::Error> {
    let wall = engine.clock().wall.now();
    let read_up_to = {
        let set = engine.tokens().refusals.0.read().unwrap_or_else(PoisonError::into_inner);
        set.read_up_to
    };
    let since = read_up_to.unwrap_or(wall.minus(Duration::from_secs(24 * 3600))).minus(OVERLAP);
    let entries = sql::refusals_since(&mut engine.db().read().await?, since).await?;
    engine.tokens().refusals.add(entries);
    engine.tokens().refusals.forget(wall.minus(Duration::from_secs(24 * 3600)));
    Ok(())
}
