//! Explain: a decision in words, from its receipt alone.

use tollgate_rules::catalog::OveragePolicy;
use tollgate_rules::ledger::{Numbers, Reason};
use tollgate_rules::time::Timestamp;

use super::Error;
use super::receipt::{self as receipts, Facts, SliceFacts};
use crate::access::{Caller, OrgScope};
use crate::engine::Engine;

/// A decision, its numbers and the rule that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// For whom it was decided.
    pub org_id: String,
    /// What was asked (`check`, `record`, …).
    pub verb: String,
    /// Whether it passed.
    pub allowed: bool,
    /// Whether only shadow mode let it pass.
    pub would_deny: bool,
    /// The error code of a denial.
    pub reason: Option<String>,
    /// Of what.
    pub metric: String,
    /// How many units; signed for a correction.
    pub units: i64,
    /// When.
    pub decided_at: Timestamp,
    /// The plan, where it is known.
    pub plan_code: Option<String>,
    /// Where the org stood right after it; nothing where it had no access.
    pub numbers: Option<Numbers>,
    /// The rule in words.
    pub rule: String,
}

/// Explains a receipt of this server. Whoever holds a receipt was given it; an org's credential reads only its own.
///
/// # Errors
/// [`Error::BadReceipt`] for anything this server did not sign; [`Error::NotFound`] for another org's.
pub fn explain(engine: &Engine, scope: &OrgScope, receipt: &str) -> Result<Explained, Error> {
    let facts = engine.ledger().signer().open(receipt)?;
    if !scope.is_operator() && facts.org_id != scope.org_id().as_str() {
        return Err(Error::NotFound("receipt"));
    }
    Ok(explained(facts))
}

/// Explains a receipt to the operator, whichever org it is of.
///
/// # Errors
/// [`Error::BadReceipt`]; [`Error::NotFound`] when the caller is not the operator and the receipt not of its own org, or altered.
pub fn explain_to(engine: &Engine, caller: &Caller, receipt: &str) -> Result<Explained, Error> {
    let facts = match engine.ledger().signer().open(receipt) {
        // Another org's looks like one that was never given: only its giver tells them apart.
        Err(Error::BadReceipt) if !caller.is_operator() && receipts::is_whole(receipt) => {
            return Err(Error::NotFound("receipt"));
        }
        opened => opened?,
    };
    let own = caller.own_org().is_some_and(|org| org.id.as_str() == facts.org_id);
    if own || caller.is_operator() { Ok(explained(facts)) } else { Err(Error::NotFound("receipt")) }
}

fn explained(facts: Facts<'_>) -> Explained {
    let rule = rule(&facts);
    let would_deny = facts.result == "would_deny";
    let allowed = would_deny || facts.result == "allowed";
    Explained {
        org_id: facts.org_id.into_owned(),
        verb: facts.verb.into_owned(),
        allowed,
        would_deny,
        reason: (!allowed).then(|| facts.result.into_owned()),
        metric: facts.metric.into_owned(),
        units: facts.units,
        decided_at: facts.at,
        plan_code: (!facts.plan.is_empty()).then(|| facts.plan.into_owned()),
        numbers: facts.numbers,
        rule,
    }
}

fn rule(facts: &Facts<'_>) -> String {
    let denied = |reason: Reason| facts.result == reason.as_str();
    if denied(Reason::NoSubscription) {
        return "Denied: no subscription gave access at that moment.".to_owned();
    }
    if denied(Reason::PastDue) {
        return "Denied: a payment had failed and the days of grace were over.".to_owned();
    }
    if denied(Reason::OrgSuspended) {
        return "Denied: the org was suspended or closed.".to_owned();
    }
    let Some(numbers) = &facts.numbers else { return "Decided without numbers.".to_owned() };
    let state = state(numbers, &facts.metric);
    if let Some(SliceFacts { key_id, numbers: [units, used, held] }) = &facts.slice {
        return format!(
            "Denied: {} {} asked for, and the slice of the key {key_id} had no room for it: {used} used and {held} held of {units} per period. It resets {}. The org itself: {state}",
            facts.units, facts.metric, numbers.reset_at
        );
    }
    match (&*facts.verb, &*facts.result) {
        (_, "quota_exceeded") => {
            let left = numbers.remaining.unwrap_or(0);
            format!(
                "Denied: {} {} asked for, {left} left. {state} A hard stop never lets more pass; it resets {}.",
                facts.units, facts.metric, numbers.reset_at
            )
        }
        (_, "would_deny") => {
            format!("Let pass although it did not fit: quotas of this org are in shadow mode. {state}")
        }
        ("force", _) => format!("Counted in any case: it was recorded with force. {state}"),
        ("settle", _) => format!("Charged from its hold; what was above the hold counts as forced. {state}"),
        ("release", _) => format!("The hold was freed. {state}"),
        ("extend", _) => format!("The hold was prolonged. {state}"),
        ("correct", _) => format!("Corrected by {} {}. {state}", facts.units, facts.metric),
        ("reserve", _) => format!("Held: {} {} fitted. {state}", facts.units, facts.metric),
        _ => format!("Allowed: {} {} {}. {state}", facts.units, facts.metric, why_allowed(numbers)),
    }
}

fn why_allowed(numbers: &Numbers) -> &'static str {
    match (numbers.policy, numbers.included) {
        (_, None) => "pass because there is no limit",
        (OveragePolicy::Metered { .. }, _) => "pass because the allowance is metered: what is above it is charged",
        (OveragePolicy::HardStop, Some(_)) => "fitted",
    }
}

fn state(numbers: &Numbers, metric: &str) -> String {
    let Numbers { granted, used, held, period_key, limit_version, .. } = numbers;
    match numbers.included {
        None => format!("{used} {metric} were used and {held} held in {period_key}, without a limit."),
        Some(included) => format!(
            "{used} used and {held} held of {included} included and {granted} granted {metric} in {period_key} (limit version {limit_version})."
        ),
    }
}
