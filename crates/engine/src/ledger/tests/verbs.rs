//! Check, force, holds, shadow mode, metered and unlimited allowances, and what makes no sense.

use tollgate_rules::catalog::{Included, OveragePolicy};
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{HoldId, Metric};
use tollgate_rules::ledger::{Check, Extend, HoldTtl, Refusal, Release, Settle};
use tollgate_rules::quantity::Units;

use super::stage::{
    at, calls, change_rights, metric, new_hold, operator, org, org_with, record, recorded, recount, reserved, rights,
    rights_under, units, usage, used,
};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::ledger::{self, Error, Item, Outcome, Reason};
use crate::on_both;
use crate::testing::{START, TestEngine};

on_both! {
    async fn a_check_says_what_a_record_would_and_changes_nothing(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        assert!(allowed(&engine, &scope, 10).await);
        recorded(&engine, &scope, "a", 7).await;
        assert!(allowed(&engine, &scope, 3).await);
        assert!(!allowed(&engine, &scope, 4).await);
        assert_eq!(used(&engine, &scope).await, 7);
    }

    async fn a_check_knows_that_a_period_or_a_hold_has_ended(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        ledger::reserve(&engine, &scope, new_hold("h", 10, 60)).await.unwrap();
        assert!(!allowed(&engine, &scope, 1).await);
        engine.set_now(START.plus(std::time::Duration::from_secs(60)));
        assert!(allowed(&engine, &scope, 10).await);
        recorded(&engine, &scope, "a", 10).await;
        assert!(!allowed(&engine, &scope, 1).await);
        engine.set_now(at(31));
        assert!(allowed(&engine, &scope, 10).await);
        recount(&engine).await;
    }

    async fn force_counts_past_the_limit_and_is_kept_apart(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let forced = ledger::Record { force: Some("a call that had begun".to_owned()), ..usage("a", 15) };
        let Outcome::Allowed(answer) = ledger::record(&engine, &scope, forced).await.unwrap().answer else { panic!() };
        let numbers = answer.items[0].numbers;
        assert_eq!((numbers.used, numbers.remaining, numbers.overrun), (15, Some(0), 5));
        assert!(matches!(record(&engine, &scope, "b", 1).await.unwrap(), Outcome::Denied(_)));
        assert_eq!(used(&engine, &scope).await, 15);
    }

    async fn several_metrics_are_counted_together_or_not_at_all(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let both = |name: &str, tokens: i64| {
            let items = vec![Item { metric: calls(), units: units(1) }, Item { metric: metric("tokens"), units: units(tokens) }];
            ledger::Record { items, ..usage(name, 1) }
        };
        assert!(matches!(ledger::record(&engine, &scope, both("a", 8)).await.unwrap().answer, Outcome::Allowed(_)));
        let Outcome::Denied(denial) = ledger::record(&engine, &scope, both("b", 3)).await.unwrap().answer else { panic!() };
        assert_eq!((denial.metric, denial.requested), (metric("tokens"), 3));
        assert_eq!(used(&engine, &scope).await, 1);
    }

    async fn a_hold_is_charged_once_and_frees_the_rest(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let hold = reserved(&engine, &scope, "a", 6).await;
        assert_eq!(hold.numbers.remaining, Some(4));
        assert_eq!(reserved(&engine, &scope, "a", 6).await.hold_id, hold.hold_id);
        let settle = |of: i64| Settle { hold_id: hold.hold_id.clone(), units: units(of) };
        let first = ledger::settle(&engine, &scope, settle(4)).await.unwrap();
        assert_eq!((first.answer.numbers.used, first.answer.numbers.held, first.answer.numbers.remaining), (4, 0, Some(6)));
        recorded(&engine, &scope, "b", 1).await;
        let again = ledger::settle(&engine, &scope, settle(4)).await.unwrap();
        assert_eq!((again.answer.numbers, again.answer.repeat, again.receipt), (first.answer.numbers, true, first.receipt));
        ended(ledger::settle(&engine, &scope, settle(5)).await.map(|signed| signed.answer));
        ended(ledger::release(&engine, &scope, Release { hold_id: hold.hold_id.clone() }).await.map(|signed| signed.answer));
        assert_eq!(used(&engine, &scope).await, 5);
    }

    async fn a_released_hold_frees_all_and_cannot_be_charged(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let hold = reserved(&engine, &scope, "a", 10).await;
        let release = Release { hold_id: hold.hold_id.clone() };
        let first = ledger::release(&engine, &scope, release.clone()).await.unwrap().answer;
        assert_eq!((first.numbers.held, first.numbers.remaining), (0, Some(10)));
        recorded(&engine, &scope, "b", 3).await;
        assert_eq!(ledger::release(&engine, &scope, release).await.unwrap().answer.numbers, first.numbers);
        ended(ledger::settle(&engine, &scope, Settle { hold_id: hold.hold_id, units: units(1) }).await.map(|signed| signed.answer));
        assert_eq!(used(&engine, &scope).await, 3);
    }

    async fn an_expired_hold_is_free_again_but_late_work_is_still_charged(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let hold = reserved(&engine, &scope, "a", 10).await;
        let extend = Extend { hold_id: hold.hold_id.clone(), ttl: HoldTtl::from_seconds(120).unwrap() };
        let extended = ledger::extend(&engine, &scope, extend.clone()).await.unwrap().answer;
        assert_eq!(extended.expires_at, START.plus(std::time::Duration::from_secs(120)));
        engine.set_now(extended.expires_at);
        ended(ledger::extend(&engine, &scope, extend).await.map(|signed| signed.answer));
        recorded(&engine, &scope, "b", 10).await;
        let late = ledger::settle(&engine, &scope, Settle { hold_id: hold.hold_id, units: units(4) }).await.unwrap().answer;
        assert_eq!((late.numbers.used, late.numbers.overrun, late.numbers.held), (14, 4, 0));
        assert_eq!(used(&engine, &scope).await, 14);
    }

    async fn the_sweeper_frees_expired_holds(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        reserved(&engine, &scope, "a", 10).await;
        engine.set_now(at(1));
        assert_eq!(ledger::sweep(&engine).await.unwrap().orgs, 1);
        assert_eq!(ledger::sweep(&engine).await.unwrap().orgs, 0);
        let standing = ledger::standing(&engine, &scope).await.unwrap();
        assert!(standing.counters.iter().all(|counter| counter.held == 0));
        recount(&engine).await;
    }

    async fn shadow_mode_lets_pass_and_says_what_it_would_have_denied(engine: TestEngine) {
        let mut facts = rights(Included::Units(3));
        facts.strict_quota = false;
        let scope = org(&engine, "acme", facts).await;
        assert!(!recorded(&engine, &scope, "a", 3).await.items[0].would_deny);
        let beyond = recorded(&engine, &scope, "b", 2).await;
        assert!(beyond.items[0].would_deny);
        assert_eq!(beyond.items[0].numbers.overrun, 2);
        change_rights(&engine, &scope, rights(Included::Units(3))).await;
        assert!(matches!(record(&engine, &scope, "c", 1).await.unwrap(), Outcome::Denied(_)));
        assert_eq!(used(&engine, &scope).await, 5);
    }

    async fn a_metered_allowance_never_refuses_and_counts_its_overage(engine: TestEngine) {
        let policy = OveragePolicy::Metered { amount_minor: 300, per_units: 1_000 };
        let scope = org(&engine, "acme", rights_under(Included::Units(10), policy)).await;
        let numbers = recorded(&engine, &scope, "a", 25).await.items[0].numbers;
        assert_eq!((numbers.remaining, numbers.overage, numbers.overrun), (Some(0), 15, 0));
        assert!(allowed(&engine, &scope, 1_000_000).await);
        assert_eq!(used(&engine, &scope).await, 25);
    }

    async fn no_limit_has_nothing_left_to_count_down(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Unlimited)).await;
        let numbers = recorded(&engine, &scope, "a", 25).await.items[0].numbers;
        assert_eq!((numbers.included, numbers.remaining, numbers.used), (None, None, 25));
    }

    async fn a_sum_beyond_what_can_be_counted_is_refused_and_never_wraps(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Unlimited)).await;
        recorded(&engine, &scope, "a", Units::MAX.get()).await;
        let refused = record(&engine, &scope, "b", 1).await.unwrap_err();
        assert_eq!(refused, Error::Refused(Refusal::TotalTooLarge(calls())));
        assert_eq!(used(&engine, &scope).await, Units::MAX.get());
    }

    async fn what_makes_no_sense_is_refused_and_nothing_changes(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 1).await;
        let nothing = metric("nothing");
        let unknown = ledger::Record { items: vec![Item { metric: nothing.clone(), units: units(1) }], ..usage("b", 1) };
        refused(ledger::record(&engine, &scope, unknown).await, Refusal::UnknownMetric(nothing.clone()));
        refused(check(&engine, &scope, nothing.clone(), 1).await, Refusal::UnknownMetric(nothing));
        let old = ledger::Record { occurred_at: Some(START.minus(std::time::Duration::from_hours(36 * 24))), ..usage("c", 1) };
        refused(ledger::record(&engine, &scope, old).await, Refusal::OccurredAtOutOfRange);
        let ahead = ledger::Record { occurred_at: Some(START.plus(std::time::Duration::from_mins(6))), ..usage("d", 1) };
        refused(ledger::record(&engine, &scope, ahead).await, Refusal::OccurredAtOutOfRange);
        let missing = Release { hold_id: HoldId::parse("hold_missing").unwrap() };
        refused(ledger::release(&engine, &scope, missing).await, Refusal::HoldNotFound);
        assert_eq!(used(&engine, &scope).await, 1);
    }

    async fn a_suspended_org_may_do_nothing(engine: TestEngine) {
        let mut facts = rights(Included::Units(10));
        facts.org_status = OrgStatus::Suspended;
        let scope = org(&engine, "acme", facts).await;
        let Outcome::Denied(denial) = record(&engine, &scope, "a", 1).await.unwrap() else { panic!() };
        assert_eq!((denial.reason, denial.numbers), (Reason::OrgSuspended, None));
        assert!(!allowed(&engine, &scope, 1).await);
    }

    async fn another_orgs_hold_does_not_exist(engine: TestEngine) {
        let first = org_with(&engine, 10).await;
        let second = org(&engine, "other", rights(Included::Units(10))).await;
        let hold = reserved(&engine, &first, "a", 5).await;
        let settle = Settle { hold_id: hold.hold_id.clone(), units: units(5) };
        refused(ledger::settle(&engine, &second, settle).await, Refusal::HoldNotFound);
        let found = ledger::org_of_hold(&engine, &operator(), &hold.hold_id).await.unwrap();
        assert_eq!(found, *first.org_id());
        recount(&engine).await;
    }
}

async fn check(
    engine: &Engine,
    scope: &OrgScope,
    metric: Metric,
    of: i64,
) -> Result<ledger::Signed<Outcome<ledger::Checked>>, Error> {
    ledger::check(engine, scope, Check { metric, units: units(of) }).await
}

async fn allowed(engine: &Engine, scope: &OrgScope, of: i64) -> bool {
    matches!(check(engine, scope, calls(), of).await.unwrap().answer, Outcome::Allowed(_))
}

fn ended<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert_eq!(answer.unwrap_err(), Error::Refused(Refusal::HoldEnded));
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, why: Refusal) {
    assert_eq!(answer.unwrap_err(), Error::Refused(why));
}
