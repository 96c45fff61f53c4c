//! What the ledger counts about itself, for `/metrics`: decisions by verb and result, and where the writer's time goes.
//!
//! The handles are taken once: looking a counter up by name costs more than the whole decision.

use std::time::Duration;

use metrics::Counter;

use super::receipt::Facts;

/// The verbs that decide, as their receipts name them.
const VERBS: [&str; 8] = ["check", "record", "force", "reserve", "settle", "release", "extend", "correct"];
/// What a decision can say.
const RESULTS: [&str; 6] = ["allowed", "would_deny", "quota_exceeded", "no_subscription", "past_due", "org_suspended"];

/// The counters' handles.
pub(super) struct Meter {
    decisions: Vec<(&'static str, Vec<(&'static str, Counter)>)>,
    groups: Counter,
    commands: Counter,
    phases: [Counter; 4],
}

/// A part of the writer's work on one group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Waiting for the writing connection, beginning, and reading heads, counters and known ids.
    Load,
    /// The pure decisions.
    Decide,
    /// Inserting events, counters and rollups.
    Append,
    /// COMMIT: the write to disk and its sync.
    Commit,
}

impl Meter {
    pub(super) fn new() -> Meter {
        let phase = |name: &'static str| metrics::counter!("tollgate_ledger_busy_micros_total", "phase" => name);
        let of_verb = |verb: &'static str| {
            let count = |result: &'static str| {
                (result, metrics::counter!("tollgate_decisions_total", "verb" => verb, "result" => result))
            };
            (verb, RESULTS.map(count).into())
        };
        Meter {
            decisions: VERBS.map(of_verb).into(),
            groups: metrics::counter!("tollgate_ledger_groups_total"),
            commands: metrics::counter!("tollgate_ledger_commands_total"),
            phases: ["load", "decide", "append", "commit"].map(phase),
        }
    }

    /// Counts a decision.
    pub(super) fn decided(&self, facts: &Facts<'_>) {
        let of_verb = self.decisions.iter().find(|(verb, _)| *verb == facts.verb);
        let count = of_verb.and_then(|(_, counts)| counts.iter().find(|(result, _)| *result == facts.result));
        if let Some((_, count)) = count {
            count.increment(1);
        }
    }

    /// Counts a group that was committed.
    pub(super) fn committed(&self, commands: usize) {
        self.groups.increment(1);
        self.commands.increment(u64::try_from(commands).unwrap_or(u64::MAX));
    }

    /// Adds to the time a phase took.
    pub(super) fn spent(&self, phase: Phase, time: Duration) {
        let [load, decide, append, commit] = &self.phases;
        let counter = match phase {
            Phase::Load => load,
            Phase::Decide => decide,
            Phase::Append => append,
            Phase::Commit => commit,
        };
        counter.increment(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Meter")
    }
}
