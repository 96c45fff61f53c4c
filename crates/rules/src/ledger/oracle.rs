//! A naive model of the ledger for tests: it keeps every accepted command and counts all of them again for each question.

use super::*;
use crate::catalog::OveragePolicy;
use crate::ids::{HoldId, Metric, RequestId};
use crate::time::Timestamp;

/// What was accepted, in order.
pub(super) struct Oracle {
    total: Option<i64>,
    policy: OveragePolicy,
    strict: bool,
    /// Name of the usage, what it was, and the units it added to each metric.
    accepted: Vec<Accepted>,
    holds: Vec<Taken>,
}

type Accepted = (RequestId, String, Vec<(Metric, i64)>);

struct Taken {
    hold_id: HoldId,
    metric: Metric,
    units: i64,
    until: Timestamp,
    ended: Option<End>,
}

#[derive(PartialEq, Eq)]
enum End {
    Settled(i64),
    Released,
}

/// What kind of answer it is; all the model predicts beside the counters.
pub(super) fn word(answer: &Result<Answer, Refusal>) -> &'static str {
    match answer {
        Ok(
            Answer::Recorded(Outcome::Denied(_))
            | Answer::Reserved(Outcome::Denied(_))
            | Answer::Seeded(Outcome::Denied(_)),
        ) => "denied",
        Ok(_) => "ok",
        Err(Refusal::Reused(_)) => "reused",
        Err(Refusal::HoldNotFound) => "no hold",
        Err(Refusal::HoldEnded) => "ended",
        Err(_) => "refused",
    }
}

/// An answer without the mark that it is a repeat; denials and refusals are errors.
pub(super) fn content(answer: &Result<Answer, Refusal>) -> Result<Answer, &'static str> {
    match word(answer) {
        "ok" => {}
        other => return Err(other),
    }
    let mut answer = answer.clone().map_err(|_| "refused")?;
    match &mut answer {
        Answer::Recorded(Outcome::Allowed(recorded)) => recorded.repeat = false,
        Answer::Reserved(Outcome::Allowed(reserved)) => reserved.repeat = false,
        Answer::Hold(hold) => hold.repeat = false,
        Answer::Corrected(corrected) => corrected.repeat = false,
        Answer::Recorded(_) | Answer::Reserved(_) | Answer::Seeded(_) => {}
    }
    Ok(answer)
}

impl Oracle {
    pub(super) fn new(total: Option<i64>, policy: OveragePolicy, strict: bool) -> Self {
        Self { total, policy, strict, accepted: Vec::new(), holds: Vec::new() }
    }

    pub(super) fn used(&self, metric: &Metric) -> i64 {
        let all = self.accepted.iter().flat_map(|(_, _, added)| added);
        all.filter(|(of, _)| of == metric).map(|(_, units)| units).sum()
    }

    pub(super) fn held(&self, metric: &Metric, now: Timestamp) -> i64 {
        let open = self.holds.iter().filter(|hold| hold.ended.is_none() && hold.until > now && hold.metric == *metric);
        open.map(|hold| hold.units).sum()
    }

    pub(super) fn answer(&mut self, command: &Command, now: Timestamp) -> &'static str {
        match command {
            Command::Record(record) => {
                let added: Vec<(Metric, i64)> =
                    record.items.iter().map(|item| (item.metric.clone(), item.units.get())).collect();
                let what = format!("record {added:?} {}", record.force.is_some());
                self.accept(&record.request_id, what, added, record.force.is_some(), now)
            }
            Command::Reserve(reserve) => self.reserve(reserve, now),
            Command::Settle(settle) => self.settle(settle),
            Command::Release(release) => self.release(release),
            Command::Extend(extend) => self.extend(extend, now),
            Command::Correct(correct) => self.correct(correct),
            Command::Zero(_) | Command::Seed(_) => "not modelled",
        }
    }

    fn known(&self, request_id: &RequestId) -> Option<&str> {
        self.accepted.iter().find(|(id, _, _)| id == request_id).map(|(_, what, _)| what.as_str())
    }

    fn fits(&self, metric: &Metric, units: i64, now: Timestamp) -> bool {
        let hard = self.policy == OveragePolicy::HardStop && self.strict;
        !hard || self.total.is_none_or(|total| self.used(metric) + self.held(metric, now) + units <= total)
    }

    fn accept(
        &mut self,
        id: &RequestId,
        what: String,
        added: Vec<(Metric, i64)>,
        force: bool,
        now: Timestamp,
    ) -> &'static str {
        if let Some(known) = self.known(id) {
            return if known == what { "ok" } else { "reused" };
        }
        let sum = |metric: &Metric| added.iter().filter(|(of, _)| of == metric).map(|(_, units)| units).sum::<i64>();
        if !force && added.iter().any(|(metric, _)| !self.fits(metric, sum(metric), now)) {
            return "denied";
        }
        self.accepted.push((id.clone(), what, added));
        "ok"
    }

    fn reserve(&mut self, reserve: &Reserve, now: Timestamp) -> &'static str {
        let units = reserve.units.get();
        let what = format!("reserve {} {units}", reserve.metric);
        if let Some(known) = self.known(&reserve.request_id) {
            return if known == what { "ok" } else { "reused" };
        }
        if !self.fits(&reserve.metric, units, now) {
            return "denied";
        }
        self.accepted.push((reserve.request_id.clone(), what, vec![(reserve.metric.clone(), 0)]));
        self.holds.push(Taken {
            hold_id: reserve.hold_id.clone(),
            metric: reserve.metric.clone(),
            units,
            until: now.plus(reserve.ttl.duration()),
            ended: None,
        });
        "ok"
    }

    fn settle(&mut self, settle: &Settle) -> &'static str {
        let units = settle.units.get();
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.hold_id == settle.hold_id) else { return "no hold" };
        match hold.ended {
            Some(End::Settled(charged)) if charged == units => "ok",
            Some(_) => "ended",
            None => {
                hold.ended = Some(End::Settled(units));
                let charge = vec![(hold.metric.clone(), units)];
                let name = RequestId::parse(&format!("settled {}", settle.hold_id)).expect("a fitting name");
                self.accepted.push((name, "settle".to_owned(), charge));
                "ok"
            }
        }
    }

    fn release(&mut self, release: &Release) -> &'static str {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.hold_id == release.hold_id) else { return "no hold" };
        match hold.ended {
            Some(End::Settled(_)) => "ended",
            Some(End::Released) => "ok",
            None => {
                hold.ended = Some(End::Released);
                "ok"
            }
        }
    }

    fn extend(&mut self, extend: &Extend, now: Timestamp) -> &'static str {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.hold_id == extend.hold_id) else { return "no hold" };
        if hold.ended.is_some() || hold.until <= now {
            return "ended";
        }
        hold.until = hold.until.max(now.plus(extend.ttl.duration()));
        "ok"
    }

    fn correct(&mut self, correct: &Correct) -> &'static str {
        let what = format!("correct {} {}", correct.corrects, correct.units);
        if let Some(known) = self.known(&correct.request_id) {
            return if known == what { "ok" } else { "reused" };
        }
        let Some((_, _, added)) = self.accepted.iter().find(|(id, _, _)| *id == correct.corrects) else {
            return "refused";
        };
        let Some((metric, _)) = added.first().cloned() else { return "refused" };
        let several = added.iter().any(|(other, _)| *other != metric);
        if correct.units == 0 || several || self.used(&metric) + correct.units < 0 {
            return "refused";
        }
        self.accepted.push((correct.request_id.clone(), what, vec![(metric, correct.units)]));
        "ok"
    }
}
