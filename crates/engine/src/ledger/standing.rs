//! Standings: what each org has left, in memory, as of the last commit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::Standing;

use super::queue::Entry;
use super::{Error, commit, store};
use crate::access::OrgScope;
use crate::db::Kind;
use crate::engine::Engine;
use crate::limits::Limits;

const SHARDS: usize = 64;

/// Where the org stands: the same numbers that decide a check.
///
/// # Errors
/// [`Error::Unavailable`] when it is not in memory and cannot be read; [`Error::Overloaded`].
pub async fn standing(engine: &Engine, scope: &OrgScope) -> Result<Arc<Standing>, Error> {
    current(engine, scope).await
}

/// The standing from memory, or from one read that all who ask at once share.
pub(super) async fn current(engine: &Engine, scope: &OrgScope) -> Result<Arc<Standing>, Error> {
    let org_key = scope.org_key();
    let standings = engine.ledger().standings();
    if let Some(standing) = standings.fresh(engine, org_key) {
        return Ok(standing);
    }
    let turn = standings.turn(org_key);
    let _turn = turn.lock().await;
    if let Some(standing) = standings.fresh(engine, org_key) {
        return Ok(standing);
    }
    let ticket = standings.ticket();
    let mut connection = engine.db().read().await?;
    let read = store::read_standing(&mut connection, org_key, engine.now()).await?;
    drop(connection);
    if let Some(read) = read
        && engine.now() < read.valid_until
    {
        let read = Arc::new(read);
        standings.publish_read(org_key, ticket, engine.clock().monotonic.now(), Arc::clone(&read));
        return Ok(read);
    }
    // Nothing open, or something is due: the writer opens it, as it would for a record.
    commit::answers(engine.ledger().submit(Entry::look(org_key))?).await?;
    let standing = standings.any(org_key);
    standing.ok_or_else(|| Error::Unavailable("the org's standing could not be read".to_owned()))
}

/// The standings of all orgs that were asked for lately.
#[derive(Debug)]
pub(super) struct Standings {
    shards: Vec<RwLock<Shard>>,
    turns: Vec<Arc<tokio::sync::Mutex<()>>>,
    tickets: AtomicU64,
    per_shard_max: usize,
    ttl: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    known: HashMap<OrgKey, Kept>,
    /// The shard was emptied at this ticket: nothing read before it is believed.
    floor: u64,
}

/// What is known of an org. Tickets order what was read: an older read never replaces a newer standing.
#[derive(Debug)]
struct Kept {
    ticket: u64,
    /// The ticket of the last change of limits by someone else than the writer.
    forgotten: u64,
    read_at: Duration,
    standing: Option<Arc<Standing>>,
}

impl Standings {
    pub(super) fn new(limits: &Limits) -> Standings {
        Standings {
            shards: std::iter::repeat_with(|| RwLock::new(Shard::default())).take(SHARDS).collect(),
            turns: std::iter::repeat_with(|| Arc::new(tokio::sync::Mutex::new(()))).take(SHARDS).collect(),
            tickets: AtomicU64::new(1),
            per_shard_max: limits.ledger_standings_max.div_ceil(SHARDS),
            ttl: limits.ledger_standing_ttl,
        }
    }

    /// A number for a read or a commit that begins now; higher is newer.
    pub(super) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::AcqRel)
    }

    /// Keeps what a read that began at `ticket` found, unless something newer is known.
    fn publish_read(&self, org_key: OrgKey, ticket: u64, read_at: Duration, standing: Arc<Standing>) {
        let mut shard = self.write(org_key);
        let known = shard.known.get(&org_key).map_or(shard.floor, |kept| kept.ticket);
        if known <= ticket {
            let forgotten = shard.known.get(&org_key).map_or(shard.floor, |kept| kept.forgotten);
            self.insert(&mut shard, org_key, Kept { ticket, forgotten, read_at, standing: Some(standing) });
        }
    }

    /// Keeps what the writer committed, unless limits were changed since `before` the commit. It is newer than every read that began
    /// before now, whatever that read saw.
    pub(super) fn publish_committed(&self, org_key: OrgKey, before: u64, read_at: Duration, standing: Standing) {
        let mut shard = self.write(org_key);
        let forgotten = shard.known.get(&org_key).map_or(0, |kept| kept.forgotten);
        if forgotten <= before {
            let ticket = self.ticket();
            let standing = Some(Arc::new(standing));
            self.insert(&mut shard, org_key, Kept { ticket, forgotten, read_at, standing });
        }
    }

    /// Forgets an org; what was read or committed before this is not believed.
    pub(super) fn forget(&self, org_key: OrgKey) {
        let mut shard = self.write(org_key);
        let ticket = self.ticket();
        self.insert(&mut shard, org_key, Kept { ticket, forgotten: ticket, read_at: Duration::ZERO, standing: None });
    }

    fn insert(&self, shard: &mut Shard, org_key: OrgKey, kept: Kept) {
        if shard.known.len() >= self.per_shard_max && !shard.known.contains_key(&org_key) {
            // Bounded memory: the next asker reads again. Forgetting all of a shard needs no bookkeeping on every check.
            shard.known.clear();
            shard.floor = kept.ticket;
        }
        shard.known.insert(org_key, kept);
    }

    /// The standing if it still holds. On several nodes it is believed for a short time only.
    fn fresh(&self, engine: &Engine, org_key: OrgKey) -> Option<Arc<Standing>> {
        let shard = self.read(org_key);
        let kept = shard.known.get(&org_key)?;
        let standing = kept.standing.as_ref()?;
        if engine.now() >= standing.valid_until {
            return None;
        }
        let alone = engine.db().kind() == Kind::Sqlite;
        let young = || engine.clock().monotonic.now().saturating_sub(kept.read_at) < self.ttl;
        (alone || young()).then(|| Arc::clone(standing))
    }

    fn any(&self, org_key: OrgKey) -> Option<Arc<Standing>> {
        self.read(org_key).known.get(&org_key).and_then(|kept| kept.standing.clone())
    }

    /// Whose turn it is to read orgs of this shard.
    fn turn(&self, org_key: OrgKey) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.get(shard_of(org_key)).map(Arc::clone).unwrap_or_default()
    }

    fn read(&self, org_key: OrgKey) -> RwLockReadGuard<'_, Shard> {
        let shard = self.shards.get(shard_of(org_key)).expect("a shard number is below the number of shards");
        shard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, org_key: OrgKey) -> RwLockWriteGuard<'_, Shard> {
        let shard = self.shards.get(shard_of(org_key)).expect("a shard number is below the number of shards");
        shard.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shard_of(org_key: OrgKey) -> usize {
    usize::try_from(org_key.0.unsigned_abs()).unwrap_or(0) % SHARDS
}
