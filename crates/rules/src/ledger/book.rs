//! One org's ledger while a batch is decided.

use crate::catalog::DenyStatus;
use crate::ids::{HoldId, Metric, PlanCode, RequestId};
use crate::ledger::{Counter, Denial, Event, Hold, HoldState, Reason, Rule, Slice, Standing, slice};
use crate::period::{Period, PeriodKey};
use crate::subscription::Access;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::Range;

/// What applies to a whole org: the one row that is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether it may use anything.
    pub access: Access,
    /// The plan in force.
    pub plan_code: Option<PlanCode>,
    /// Its version.
    pub plan_version: Option<u32>,
    /// In a trial, the plan being tried.
    pub trial_of: Option<PlanCode>,
    /// The status of a quota denial.
    pub deny_status: DenyStatus,
    /// Whether quota denials are enforced; `false` is shadow mode.
    pub strict: bool,
    /// The open period; nothing without access.
    pub period: Option<OpenPeriod>,
    /// The most that overage may cost in a period.
    pub spend_cap: Option<SpendCap>,
    /// Until when this holds unless something is changed.
    pub valid_until: Timestamp,
    /// What the org is called.
    pub org_name: String,
    /// Whether keys of it have slices.
    pub sliced: bool,
}

/// The most that an org lets overage cost in a quota period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendCap {
    /// In minor units of the plan's currency.
    pub minor: i64,
}

/// A quota period of one org.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenPeriod {
    /// Counts the org's periods from 1.
    pub no: i64,
    /// Its label.
    pub key: PeriodKey,
    /// Its span.
    pub period: Period,
}

/// Everything that is needed to decide a batch of one org's commands, and what they lead to.
#[derive(Clone, Debug)]
pub struct Book {
    /// What applies to the whole org.
    pub head: Head,
    /// Earlier periods that commands of the batch reach into.
    pub past: Vec<OpenPeriod>,
    /// The counters of the open period and of `past`.
    pub counters: Vec<Counter>,
    /// The slices of keys in the periods of `counters`.
    pub slices: Vec<Slice>,
    /// The holds that commands name, and every hold whose time ran out.
    pub holds: BTreeMap<HoldId, Hold>,
    /// New events in the order they were decided.
    pub appended: Vec<Event>,
    known: BTreeMap<RequestId, Known>,
}

/// Where the events of an accepted id are.
#[derive(Clone, Debug)]
enum Known {
    Stored(Vec<Event>),
    Appended(Range<usize>),
}

impl Book {
    /// A book with this head and these counters.
    pub fn new(head: Head, counters: Vec<Counter>) -> Self {
        Self {
            head,
            past: Vec::new(),
            counters,
            slices: Vec::new(),
            holds: BTreeMap::new(),
            appended: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// Adds a stored event of an id that a command names. Lines of one id come in their order.
    pub fn know(&mut self, event: Event) {
        let stored = self.known.entry(event.request_id.clone()).or_insert_with(|| Known::Stored(Vec::new()));
        if let Known::Stored(events) = stored {
            events.push(event);
        }
    }

    /// The accepted events of an id; empty when it is new.
    pub fn known(&self, request_id: &RequestId) -> &[Event] {
        match self.known.get(request_id) {
            Some(Known::Stored(events)) => events,
            Some(Known::Appended(range)) => self.appended.get(range.clone()).unwrap_or_default(),
            None => &[],
        }
    }

    /// The periods that stored events of known ids were counted in.
    pub fn known_periods(&self) -> impl Iterator<Item = i64> + '_ {
        self.known
            .values()
            .flat_map(|known| match known {
                Known::Stored(events) => events.as_slice(),
                Known::Appended(_) => &[],
            })
            .map(|event| event.period_no)
    }

    /// Appends the events of one command and remembers its id.
    pub(crate) fn append(&mut self, request_id: &RequestId, events: impl IntoIterator<Item = Event>) -> &[Event] {
        let from = self.appended.len();
        self.appended.extend(events);
        let range = from..self.appended.len();
        self.known.insert(request_id.clone(), Known::Appended(range.clone()));
        self.appended.get(range).unwrap_or_default()
    }

    /// Appends a line to an id that is known already (a settle to its reserve).
    pub(crate) fn append_line(&mut self, event: Event) {
        self.appended.push(event);
    }

    /// The moment that decides: never before the open period, so that a slow clock cannot write into a closed one.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        self.head.period.map_or(clock, |open| clock.max(open.period.start))
    }

    /// Frees the units of every loaded hold whose time has run out.
    pub fn expire_holds(&mut self, now: Timestamp) {
        for hold in self.holds.values_mut() {
            if hold.state == HoldState::Open && hold.expires_at <= now {
                hold.state = HoldState::Expired;
                hold.changed = true;
                free(&mut self.counters, &mut self.slices, hold);
            }
        }
    }

    /// The counter of a metric in a period.
    pub fn counter(&self, period_no: i64, metric: &Metric) -> Option<(usize, &Counter)> {
        self.counters
            .iter()
            .enumerate()
            .find(|(_, counter)| counter.period_no == period_no && counter.metric == *metric)
    }

    /// The open or an earlier period by its number.
    pub fn period(&self, no: i64) -> Option<OpenPeriod> {
        self.head.period.iter().chain(&self.past).find(|open| open.no == no).copied()
    }

    /// Whether anything must be written.
    pub fn changed(&self) -> bool {
        !self.appended.is_empty()
            || self.counters.iter().any(|counter| counter.changed)
            || self.holds.values().any(|hold| hold.changed)
    }

    /// The open period, or the denial of an org without access.
    pub(crate) fn open_period(
        &self,
        metric: &Metric,
        requested: i64,
        now: Timestamp,
    ) -> Result<OpenPeriod, Box<Denial>> {
        let reason = match (self.head.access, self.head.period) {
            (Access::Allowed, Some(open)) => return Ok(open),
            (Access::Allowed | Access::NoSubscription, _) => Reason::NoSubscription,
            (Access::PastDue, _) => Reason::PastDue,
            (Access::OrgSuspended, _) => Reason::OrgSuspended,
        };
        Err(self.head.denial(reason, metric, requested, now))
    }

    /// What is left, for answers from memory. `holds_until` is when the next open hold expires.
    pub fn standing(&self, holds_until: Timestamp) -> Standing {
        let open = self.head.period.map(|open| open.no);
        let current = self.counters.iter().filter(|counter| Some(counter.period_no) == open);
        Standing {
            head: self.head.clone(),
            counters: current.cloned().collect(),
            slices: self.slices.iter().filter(|slice| Some(slice.period_no) == open).cloned().collect(),
            valid_until: self.head.valid_until.min(holds_until),
        }
    }
}

impl Head {
    /// A denial of this org, without numbers.
    pub(crate) fn denial(&self, reason: Reason, metric: &Metric, requested: i64, now: Timestamp) -> Box<Denial> {
        Box::new(Denial {
            reason,
            rule: Rule::Allowance,
            metric: metric.clone(),
            requested,
            numbers: None,
            deny_status: self.deny_status,
            org_name: self.org_name.clone(),
            plan_code: self.plan_code.clone(),
            decided_at: now,
        })
    }
}

/// Gives the units of an open hold back to its counter, and to the slice they were taken from.
pub(crate) fn free(counters: &mut [Counter], slices: &mut [Slice], hold: &Hold) {
    slice::free(slices, hold);
    let counter =
        counters.iter_mut().find(|counter| counter.period_no == hold.period_no && counter.metric == hold.metric);
    if let Some(counter) = counter {
        counter.held = counter.held.saturating_sub(hold.units);
        counter.changed = true;
    }
}
