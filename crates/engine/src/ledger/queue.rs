//! What waits for the writer: a bounded queue per org, served round robin, so that one org cannot starve the others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::{Answer, Command};

use super::Error;
use crate::access::OrgScope;
use crate::limits::Limits;

/// The answers to the commands of one entry, in their order.
pub(super) type Answers = Vec<Result<Answer, Error>>;

/// Commands of one caller for one org that are decided one after another.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whose ledger.
    pub(super) org_key: OrgKey,
    /// Who asks, for the event rows and the audit journal; nobody: the ledger itself.
    pub(super) scope: Option<OrgScope>,
    /// What is asked; empty: only look (open what is due, free what expired).
    pub(super) commands: Vec<Command>,
}

/// An entry and the one who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) reply: oneshot::Sender<Answers>,
}

impl Entry {
    /// The commands of a caller.
    pub(super) fn of(scope: &OrgScope, commands: Vec<Command>) -> Entry {
        Entry { org_key: scope.org_key(), scope: Some(scope.clone()), commands }
    }

    /// No command: bring the org's books up to date.
    pub(super) fn look(org_key: OrgKey) -> Entry {
        Entry { org_key, scope: None, commands: Vec::new() }
    }

    /// The name of who asks.
    pub(super) fn actor(&self) -> &str {
        self.scope.as_ref().map_or("system:ledger", OrgScope::actor)
    }

    /// How much of a group it takes.
    pub(super) fn weight(&self) -> usize {
        self.commands.len().max(1)
    }
}

/// The queues of all orgs.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    entries_per_org_max: usize,
    commands_max: usize,
}

#[derive(Debug, Default)]
struct State {
    by_org: HashMap<OrgKey, VecDeque<Waiting>>,
    /// The orgs that have something waiting, in the order they are served.
    turn: VecDeque<OrgKey>,
    commands: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: &Limits) -> Queue {
        Queue {
            state: Mutex::new(State::default()),
            wake: Notify::new(),
            entries_per_org_max: limits.ledger_entries_per_org_max,
            commands_max: limits.ledger_commands_waiting_max,
        }
    }

    /// Lets an entry wait for the writer.
    ///
    /// # Errors
    /// [`Error::Overloaded`] at the door when the org's queue or all of them are full; [`Error::Unavailable`] after [`Queue::close`].
    pub(super) fn push(&self, entry: Entry) -> Result<oneshot::Receiver<Answers>, Error> {
        let (reply, receiver) = oneshot::channel();
        let weight = entry.weight();
        let org_key = entry.org_key;
        {
            let mut state = self.lock();
            if state.closed {
                return Err(Error::Unavailable("the server is stopping".to_owned()));
            }
            if state.commands.saturating_add(weight) > self.commands_max {
                return Err(Error::Overloaded);
            }
            let queue = state.by_org.entry(org_key).or_default();
            if queue.len() >= self.entries_per_org_max {
                return Err(Error::Overloaded);
            }
            let first = queue.is_empty();
            queue.push_back(Waiting { entry, reply });
            if first {
                state.turn.push_back(org_key);
            }
            state.commands += weight;
        }
        self.wake.notify_one();
        Ok(receiver)
    }

    /// Waits until something is there; `false` when the queue was closed and is empty.
    pub(super) async fn filled(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.turn.is_empty() {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Takes up to about `commands` commands, one entry per org in turn.
    pub(super) fn take(&self, commands: usize) -> Vec<Waiting> {
        let mut taken = Vec::new();
        let mut weight = 0_usize;
        let mut state = self.lock();
        while weight < commands {
            let Some(org_key) = state.turn.pop_front() else { break };
            let Some(queue) = state.by_org.get_mut(&org_key) else { continue };
            let next = queue.pop_front();
            if queue.is_empty() {
                state.by_org.remove(&org_key);
            } else {
                state.turn.push_back(org_key);
            }
            if let Some(waiting) = next {
                weight += waiting.entry.weight();
                state.commands = state.commands.saturating_sub(waiting.entry.weight());
                taken.push(waiting);
            }
        }
        taken
    }

    /// Takes nothing more in; what waits is still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
