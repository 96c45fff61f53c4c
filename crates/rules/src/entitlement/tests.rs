//! What an org may use: the access table, trials that end, periods of a server that slept, overrides and grants.

use crate::billing::SubscriptionStatus;
use crate::catalog::{Catalog, FeatureValue, OveragePolicy, Plan};
use crate::entitlement::{
    Grant, OrgFacts, OrgStatus, Override, OverrideChange, PendingPlan, Resolved, SubscriptionState, grants_in_order,
    resolve,
};
use crate::ids::{FeatureCode, Metric, SubscriptionId};
use crate::period::{Interval, Period, month_step};
use crate::subscription::{Access, access};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::sync::Arc;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn period(start: &str, end: &str) -> Period {
    Period::new(at(start), at(end))
}

fn plan(code: &str) -> Arc<Plan> {
    let mut plan = Catalog::parse(Catalog::default_text()).unwrap().plan(code).unwrap().clone();
    plan.version = 3;
    Arc::new(plan)
}

fn api_call() -> Metric {
    Metric::parse("api_call").unwrap()
}

/// An org on plan starter, paid by the month, from 15 January 2026 09:00.
fn starter() -> OrgFacts {
    OrgFacts {
        org_status: OrgStatus::Active,
        subscription: Some(SubscriptionState {
            subscription_id: SubscriptionId::parse("sub_1").unwrap(),
            status: SubscriptionStatus::Active,
            interval: Interval::Month,
            quantity: 1,
            anchor: at("2026-01-15T09:00:00Z"),
            item_period: period("2026-01-15T09:00:00Z", "2026-02-15T09:00:00Z"),
            trial: None,
            cancel_at: None,
            ended_at: None,
            past_due_since: None,
            pending: None,
        }),
        has_default_payment_method: true,
        plan: Some(plan("starter")),
        trial_plan: Some(plan("trial")),
        metrics: [api_call(), Metric::parse("tokens").unwrap()].into(),
        overrides: Vec::new(),
        grants: Vec::new(),
        debts: Vec::new(),
        spend_cap: None,
        strict_quota: true,
    }
}

/// The same org in a 14 day trial of starter.
fn trialing() -> OrgFacts {
    let mut facts = starter();
    let trial = period("2026-01-15T09:00:00Z", "2026-01-29T09:00:00Z");
    let subscription = facts.subscription.as_mut().unwrap();
    subscription.status = SubscriptionStatus::Trialing;
    subscription.trial = Some(trial);
    subscription.item_period = trial;
    subscription.anchor = trial.end;
    facts
}

fn subscription(facts: &mut OrgFacts) -> &mut SubscriptionState {
    facts.subscription.as_mut().unwrap()
}

fn resolved(facts: &OrgFacts, now: &str) -> Resolved {
    resolve(facts, at(now))
}

fn included(resolved: &Resolved) -> Option<i64> {
    resolved.limits[&api_call()].included
}

fn plan_code(resolved: &Resolved) -> &str {
    resolved.plan_code.as_ref().unwrap().as_str()
}

#[test]
fn each_status_gives_the_access_of_the_table() {
    let table = [
        (SubscriptionStatus::Trialing, Access::Allowed),
        (SubscriptionStatus::Active, Access::Allowed),
        (SubscriptionStatus::PastDue, Access::Allowed),
        (SubscriptionStatus::Unpaid, Access::NoSubscription),
        (SubscriptionStatus::Canceled, Access::NoSubscription),
        (SubscriptionStatus::Paused, Access::NoSubscription),
        (SubscriptionStatus::Incomplete, Access::NoSubscription),
        (SubscriptionStatus::IncompleteExpired, Access::NoSubscription),
    ];
    assert_eq!(table.len(), SubscriptionStatus::ALL.len());
    for (status, expected) in table {
        let mut facts = trialing();
        subscription(&mut facts).status = status;
        let resolved = resolved(&facts, "2026-01-16T00:00:00Z");
        assert_eq!(resolved.access, expected, "{status:?}");
        assert_eq!(resolved.status, Some(status));
        assert_eq!(resolved.period.is_some(), expected == Access::Allowed);
        assert_eq!(resolved.limits.is_empty(), expected != Access::Allowed);
    }
}

#[test]
fn an_org_without_a_subscription_or_without_a_known_plan_has_no_access() {
    let mut facts = starter();
    facts.subscription = None;
    assert_eq!(resolved(&facts, "2026-01-16T00:00:00Z").access, Access::NoSubscription);
    assert_eq!(resolved(&facts, "2026-01-16T00:00:00Z").status, None);
    let mut facts = starter();
    facts.plan = None;
    assert_eq!(resolved(&facts, "2026-01-16T00:00:00Z").access, Access::NoSubscription);
}

#[test]
fn a_suspended_or_closed_org_is_stopped_whatever_it_pays() {
    for status in [OrgStatus::Suspended, OrgStatus::Closed] {
        let mut facts = starter();
        facts.org_status = status;
        let resolved = resolved(&facts, "2026-01-16T00:00:00Z");
        assert_eq!((resolved.access, resolved.plan_code), (Access::OrgSuspended, None));
    }
}

#[test]
fn a_failed_payment_leaves_the_access_open_for_the_days_of_grace() {
    let mut facts = starter();
    subscription(&mut facts).status = SubscriptionStatus::PastDue;
    subscription(&mut facts).past_due_since = Some(at("2026-01-20T10:00:00Z"));
    let within = resolved(&facts, "2026-01-27T09:59:59.999999Z");
    assert_eq!((within.access, within.valid_until), (Access::Allowed, at("2026-01-27T10:00:00Z")));
    assert_eq!(resolved(&facts, "2026-01-27T10:00:00Z").access, Access::PastDue);
}

#[test]
fn a_trial_has_the_limits_of_plan_trial_and_names_the_plan_being_tried() {
    let resolved = resolved(&trialing(), "2026-01-16T00:00:00Z");
    assert_eq!((plan_code(&resolved), resolved.plan_version), ("trial", Some(3)));
    assert_eq!(resolved.trial_of.as_ref().unwrap().as_str(), "starter");
    assert_eq!(included(&resolved), Some(1_000));
    assert_eq!(resolved.period, Some(period("2026-01-15T09:00:00Z", "2026-01-29T09:00:00Z")));
    assert_eq!(resolved.valid_until, at("2026-01-29T09:00:00Z"));
}

#[test]
fn a_trial_that_ends_becomes_the_paid_plan_only_with_a_payment_method() {
    let mut facts = trialing();
    let paid = resolved(&facts, "2026-01-29T09:00:00Z");
    assert_eq!((plan_code(&paid), paid.status), ("starter", Some(SubscriptionStatus::Active)));
    assert_eq!((included(&paid), paid.trial_of.clone()), (Some(10_000), None));
    // 29 January plus a month is clamped to 28 February.
    assert_eq!(paid.period, Some(period("2026-01-29T09:00:00Z", "2026-02-28T09:00:00Z")));
    facts.has_default_payment_method = false;
    let unpaid = resolved(&facts, "2026-01-29T09:00:00Z");
    assert_eq!((unpaid.access, unpaid.status), (Access::NoSubscription, Some(SubscriptionStatus::Canceled)));
    assert_eq!((unpaid.plan_code, unpaid.period, unpaid.valid_until), (None, None, Timestamp::MAX));
}

#[test]
fn a_trial_that_ended_within_its_first_second_is_a_period_of_its_own() {
    let mut facts = starter();
    let start = at("2026-01-15T09:00:00Z");
    subscription(&mut facts).trial = Some(Period::new(start, start));
    assert_eq!(
        resolved(&facts, "2026-01-15T09:00:00.5Z").period,
        Some(period("2026-01-15T09:00:00.000001Z", "2026-02-15T09:00:00Z"))
    );
}

#[test]
fn a_server_that_slept_takes_the_steps_that_stripe_took() {
    let facts = starter();
    let label = |now: &str| resolved(&facts, now).period.unwrap();
    assert_eq!(label("2026-02-15T08:59:59Z"), period("2026-01-15T09:00:00Z", "2026-02-15T09:00:00Z"));
    assert_eq!(label("2026-02-15T09:00:00Z"), period("2026-02-15T09:00:00Z", "2026-03-15T09:00:00Z"));
    assert_eq!(label("2026-05-01T00:00:00Z"), period("2026-04-15T09:00:00Z", "2026-05-15T09:00:00Z"));
    let slept_through_a_trial = trialing();
    let period_then = resolved(&slept_through_a_trial, "2026-04-01T00:00:00Z").period;
    assert_eq!(period_then, Some(period("2026-03-29T09:00:00Z", "2026-04-29T09:00:00Z")));
}

#[test]
fn an_anchor_on_the_31st_is_clamped_from_the_original_day() {
    let mut facts = starter();
    subscription(&mut facts).anchor = at("2026-01-31T12:00:00Z");
    subscription(&mut facts).item_period = period("2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z");
    assert_eq!(
        resolved(&facts, "2026-03-01T00:00:00Z").period,
        Some(period("2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"))
    );
}

#[test]
fn a_yearly_price_has_monthly_periods_and_keeps_them_beyond_the_year() {
    let mut facts = starter();
    subscription(&mut facts).interval = Interval::Year;
    subscription(&mut facts).item_period = period("2026-01-15T09:00:00Z", "2027-01-15T09:00:00Z");
    let label = |now: &str| resolved(&facts, now).period.unwrap();
    assert_eq!(label("2026-01-15T09:00:00Z"), period("2026-01-15T09:00:00Z", "2026-02-15T09:00:00Z"));
    assert_eq!(label("2027-01-15T08:00:00Z"), period("2026-12-15T09:00:00Z", "2027-01-15T09:00:00Z"));
    assert_eq!(label("2027-03-01T00:00:00Z"), period("2027-02-15T09:00:00Z", "2027-03-15T09:00:00Z"));
    // A clock that lags behind Stripe's.
    assert_eq!(label("2026-01-15T08:59:00Z"), period("2026-01-15T09:00:00Z", "2026-02-15T09:00:00Z"));
}

#[test]
fn a_cancellation_that_comes_due_ends_the_access_before_stripe_says_so() {
    let mut facts = starter();
    subscription(&mut facts).cancel_at = Some(at("2026-02-15T09:00:00Z"));
    let before = resolved(&facts, "2026-02-15T08:59:59Z");
    let change = before.scheduled.unwrap();
    assert_eq!((change.plan_code, change.at), (None, at("2026-02-15T09:00:00Z")));
    let after = resolved(&facts, "2026-02-15T09:00:00Z");
    assert_eq!((after.access, after.status), (Access::NoSubscription, Some(SubscriptionStatus::Canceled)));
    let mut cancelled_trial = trialing();
    subscription(&mut cancelled_trial).cancel_at = Some(at("2026-01-29T09:00:00Z"));
    assert_eq!(resolved(&cancelled_trial, "2026-01-29T09:00:00Z").access, Access::NoSubscription);
}

#[test]
fn a_pending_downgrade_brings_its_own_allowance_from_its_moment_on() {
    let mut facts = starter();
    facts.plan = Some(plan("growth"));
    subscription(&mut facts).pending = Some(PendingPlan { at: at("2026-02-15T09:00:00Z"), plan: plan("starter") });
    let before = resolved(&facts, "2026-02-15T08:59:59Z");
    assert_eq!((plan_code(&before), included(&before)), ("growth", Some(100_000)));
    assert_eq!(before.scheduled.as_ref().unwrap().plan_code.as_ref().unwrap().as_str(), "starter");
    assert!(matches!(
        before.limits[&api_call()].policy,
        OveragePolicy::Metered { amount_minor: 300, per_units: 1_000 }
    ));
    let after = resolved(&facts, "2026-02-15T09:00:00Z");
    assert_eq!((plan_code(&after), included(&after), after.scheduled.clone()), ("starter", Some(10_000), None));
    assert_eq!(after.period, Some(period("2026-02-15T09:00:00Z", "2026-03-15T09:00:00Z")));
}

#[test]
fn a_metric_that_the_plan_does_not_name_is_included_with_nothing() {
    let resolved = resolved(&starter(), "2026-01-16T00:00:00Z");
    let limit = &resolved.limits[&Metric::parse("tokens").unwrap()];
    assert_eq!((limit.included, limit.granted, limit.policy), (Some(0), 0, OveragePolicy::HardStop));
}

fn exception(id: &str, change: OverrideChange, from: &str, until: Option<&str>) -> Override {
    Override { id: id.to_owned(), change, from: at(from), until: until.map(at), reason: "a deal".to_owned() }
}

#[test]
fn an_override_replaces_the_plans_number_between_its_dates_and_the_later_one_wins() {
    let of = |units| OverrideChange::Included { metric: api_call(), units };
    let mut facts = starter();
    facts.overrides = vec![
        exception("ovr_1", of(Some(50_000)), "2026-01-20T00:00:00Z", None),
        exception("ovr_2", of(None), "2026-01-25T00:00:00Z", Some("2026-01-26T00:00:00Z")),
    ];
    let limit = |now: &str| resolved(&facts, now).limits[&api_call()].clone();
    assert_eq!(
        (limit("2026-01-19T00:00:00Z").included, limit("2026-01-19T00:00:00Z").override_id),
        (Some(10_000), None)
    );
    assert_eq!(limit("2026-01-20T00:00:00Z").included, Some(50_000));
    assert_eq!(limit("2026-01-25T12:00:00Z").included, None);
    assert_eq!(limit("2026-01-25T12:00:00Z").override_id.as_deref(), Some("ovr_2"));
    assert_eq!(limit("2026-01-26T00:00:00Z").override_id.as_deref(), Some("ovr_1"));
    assert_eq!(resolved(&facts, "2026-01-19T00:00:00Z").valid_until, at("2026-01-20T00:00:00Z"));
    assert_eq!(resolved(&facts, "2026-01-25T12:00:00Z").valid_until, at("2026-01-26T00:00:00Z"));
}

#[test]
fn an_override_can_turn_a_feature_on() {
    let sso = FeatureCode::parse("sso").unwrap();
    let mut facts = starter();
    let change = OverrideChange::Feature { feature: sso.clone(), value: FeatureValue::Bool(true) };
    facts.overrides = vec![exception("ovr_1", change, "2026-01-20T00:00:00Z", None)];
    assert_eq!(resolved(&facts, "2026-01-19T00:00:00Z").features[&sso], FeatureValue::Bool(false));
    assert_eq!(resolved(&facts, "2026-01-21T00:00:00Z").features[&sso], FeatureValue::Bool(true));
}

fn grant(id: &str, units: i64, priority: i64, until: Option<&str>) -> Grant {
    let from = at("2026-01-10T00:00:00Z");
    Grant {
        id: id.to_owned(),
        metric: api_call(),
        units,
        consumed: 0,
        newest: None,
        priority,
        from,
        until: until.map(at),
        only_in: None,
    }
}

#[test]
fn grants_add_up_while_they_last_and_are_used_by_priority_then_expiry() {
    let mut facts = starter();
    facts.grants = vec![
        grant("c", 5, 1, None),
        grant("b", 30, 1, Some("2026-01-22T00:00:00Z")),
        grant("a", 200, 0, Some("2026-01-24T00:00:00Z")),
        Grant { consumed: 900, ..grant("d", 1_000, 2, None) },
        Grant { consumed: 80, ..grant("e", 70, 2, None) },
    ];
    let order: Vec<&str> =
        grants_in_order(&facts.grants, &api_call(), at("2026-01-21T00:00:00Z")).iter().map(|g| g.id.as_str()).collect();
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
    let granted = |now: &str| resolved(&facts, now).limits[&api_call()].granted;
    assert_eq!(granted("2026-01-21T00:00:00Z"), 335);
    assert_eq!(granted("2026-01-22T00:00:00Z"), 305);
    assert_eq!(granted("2026-01-24T00:00:00Z"), 105);
    assert_eq!(resolved(&facts, "2026-01-21T00:00:00Z").valid_until, at("2026-01-22T00:00:00Z"));
    assert!(grants_in_order(&facts.grants, &api_call(), at("2026-01-09T00:00:00Z")).is_empty());
}

const YEAR_2026: std::ops::Range<i64> = 1_767_225_600..1_798_761_600;

prop_compose! {
    fn any_facts()(
        status in prop::sample::select(SubscriptionStatus::ALL.as_slice()),
        created in YEAR_2026,
        (yearly, trial_days, pays) in (any::<bool>(), prop::option::of(1_u32..40), any::<bool>()),
        cancel_after in prop::option::of(0_u32..90),
        pending_after in prop::option::of(0_u32..90),
        past_due_after in prop::option::of(0_u32..40),
        dates in prop::collection::vec((0_u32..90, prop::option::of(1_u32..60), 0_i64..1_000), 0..4),
    ) -> OrgFacts {
        let created = Timestamp::from_seconds(created);
        let mut facts = starter();
        facts.has_default_payment_method = pays;
        let trial = trial_days.map(|days| Period::new(created, created.plus_days(days)));
        let state = facts.subscription.as_mut().unwrap();
        state.status = status;
        state.interval = if yearly { Interval::Year } else { Interval::Month };
        state.trial = trial;
        state.anchor = trial.map_or(created, |trial| trial.end);
        state.item_period = match trial {
            Some(trial) if status == SubscriptionStatus::Trialing => trial,
            _ => Period::new(state.anchor, month_step(state.anchor, if yearly { 12 } else { 1 })),
        };
        state.cancel_at = cancel_after.map(|days| created.plus_days(days));
        state.past_due_since = past_due_after.map(|days| created.plus_days(days));
        state.pending = pending_after.map(|days| PendingPlan { at: created.plus_days(days), plan: plan("growth") });
        facts.overrides = dates
            .iter()
            .enumerate()
            .map(|(index, (from, lasts, units))| Override {
                id: format!("ovr_{index}"),
                change: OverrideChange::Included { metric: api_call(), units: Some(*units) },
                from: created.plus_days(*from),
                until: lasts.map(|days| created.plus_days(from + days)),
                reason: "property".to_owned(),
            })
            .collect();
        facts.grants = dates
            .iter()
            .enumerate()
            .map(|(index, (from, lasts, units))| Grant {
                id: format!("grant_{index}"),
                metric: api_call(),
                units: *units,
                consumed: 0,
                newest: None,
                priority: 0,
                from: created.plus_days(from / 2),
                until: lasts.map(|days| created.plus_days(from / 2 + days)),
                only_in: None,
            })
            .collect();
        facts
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Nothing changes by itself before `valid_until`: what memory holds until then is never wrong.
    #[test]
    fn an_answer_holds_until_the_moment_it_names(facts in any_facts(), offset in -40_000_000_i64..20_000_000) {
        let anchor = facts.subscription.as_ref().unwrap().anchor.as_seconds();
        let now = Timestamp::from_seconds(anchor + offset);
        let first = resolve(&facts, now);
        prop_assert!(first.valid_until > now);
        if first.valid_until < Timestamp::MAX {
            let last_moment = first.valid_until.minus(std::time::Duration::from_micros(1));
            prop_assert_eq!(&resolve(&facts, last_moment), &first);
        }
    }

    /// Walking through time: periods follow each other, never overlap, and hold the moment they were asked for.
    #[test]
    fn periods_follow_each_other_through_any_history(facts in any_facts()) {
        let mut now = facts.subscription.as_ref().unwrap().anchor.plus_days(1);
        let mut before: Option<Period> = None;
        for _ in 0..40 {
            let resolved = resolve(&facts, now);
            if let Some(period) = resolved.period {
                let item = facts.subscription.as_ref().unwrap().item_period;
                prop_assert!(period.contains(now) || now < item.start);
                if let Some(before) = before {
                    prop_assert!(period == before || period.start >= before.end, "{before:?} then {period:?}");
                }
                before = Some(period);
            }
            if resolved.valid_until == Timestamp::MAX {
                break;
            }
            now = resolved.valid_until;
        }
    }

    /// Access and the rest of the answer never disagree.
    #[test]
    fn only_an_org_with_access_has_a_plan_a_period_and_limits(facts in any_facts(), days in 0_u32..200) {
        let now = facts.subscription.as_ref().unwrap().anchor.plus_days(days);
        let resolved = resolve(&facts, now);
        prop_assert_eq!(resolved.access, access(&facts, now));
        let allowed = resolved.access == Access::Allowed;
        prop_assert_eq!(resolved.plan_code.is_some(), allowed);
        prop_assert_eq!(resolved.period.is_some(), allowed);
        prop_assert_eq!(resolved.subscription_id.is_some(), allowed);
        prop_assert_eq!(!resolved.limits.is_empty(), allowed);
        prop_assert!(resolved.limits.values().all(|limit| limit.granted >= 0));
    }
}
