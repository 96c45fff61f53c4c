//! Rollover: by itself, once each, under traffic, after any downtime.

use std::sync::Arc;

use tokio::task::JoinSet;

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::Included;
use tollgate_rules::entitlement::OrgFacts;
use tollgate_rules::ledger::{Refusal, Settle};
use tollgate_rules::period::{Interval, Period, PeriodKey, quota_period};
use tollgate_rules::subscription::Access;
use tollgate_rules::time::Timestamp;

use super::stage::{
    at, calls, change_rights, org, org_with, record, recorded, recount, reserved, rights, size, units, used,
};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::ledger::{self, EventFilter, Outcome, Reason};
use crate::on_both;
use crate::paging::Paging;
use crate::testing::{START, TestEngine};

on_both! {
    async fn a_new_period_begins_by_itself_and_starts_at_zero(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 10).await;
        assert!(matches!(record(&engine, &scope, "b", 1).await.unwrap(), Outcome::Denied(_)));
        engine.set_now(at(31));
        let answer = recorded(&engine, &scope, "b", 1).await;
        assert_eq!(answer.period_key.to_string(), "2026-02");
        assert_eq!((answer.items[0].numbers.used, answer.items[0].numbers.remaining), (1, Some(9)));
        assert_eq!(labels(&engine, &scope).await, ["2026-02", "2026-01"]);
    }

    async fn thirty_two_clients_over_a_boundary_open_one_period_and_lose_nothing(engine: TestEngine) {
        let scope = org_with(&engine, 1_000_000).await;
        let each = size(40, 400);
        let mut clients = JoinSet::new();
        for client in 0..32 {
            let (engine, scope) = (engine.engine.clone(), scope.clone());
            clients.spawn(async move {
                for n in 0..each {
                    recorded(&engine, &scope, &format!("{client}-{n}"), 1).await;
                    if client == 0 && n == each / 2 {
                        engine.clock().business.set(at(31));
                    }
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        let verified = recount(&engine).await;
        assert_eq!(verified.units, 32 * each);
        assert_eq!(labels(&engine, &scope).await, ["2026-02", "2026-01"]);
        assert_eq!(periods(&engine, &scope).await, 2);
        println!("PROOF: rollover under 32 recorders ({:?}): {} events, one period opened, drift 0", engine.db().kind(), verified.events);
    }

    async fn a_server_that_slept_three_periods_opens_each_of_them_once(engine: TestEngine) {
        let mut facts = rights(Included::Units(10));
        let anchor = Timestamp::parse_rfc3339("2026-01-31T00:00:00Z").unwrap();
        let subscription = facts.subscription.as_mut().unwrap();
        (subscription.anchor, subscription.item_period) = (anchor, quota_period(anchor, anchor));
        engine.set_now(anchor);
        let scope = org(&engine, "acme", facts).await;
        recorded(&engine, &scope, "a", 10).await;
        engine.set_now(Timestamp::parse_rfc3339("2026-05-02T00:00:00Z").unwrap());
        let answer = recorded(&engine, &scope, "b", 1).await;
        assert_eq!(answer.items[0].numbers.period.start.to_string(), "2026-04-30T00:00:00Z");
        assert_eq!(labels(&engine, &scope).await, ["2026-04", "2026-03", "2026-02", "2026-01"]);
        ledger::sweep(&engine).await.unwrap();
        assert_eq!(periods(&engine, &scope).await, 4);
        recount(&engine).await;
    }

    async fn the_sweeper_opens_the_period_of_an_org_that_nobody_asks_about(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 1).await;
        assert_eq!(ledger::sweep(&engine).await.unwrap().orgs, 0);
        assert_eq!(ledger::next_due(&engine).await.unwrap(), Some(at(31)));
        engine.set_now(at(31));
        assert_eq!(ledger::sweep(&engine).await.unwrap().orgs, 1);
        assert_eq!(labels(&engine, &scope).await, ["2026-02", "2026-01"]);
        assert_eq!(ledger::sweep(&engine).await.unwrap().orgs, 0);
    }

    async fn a_clock_that_goes_back_re_opens_no_period(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        engine.set_now(at(31));
        recorded(&engine, &scope, "a", 1).await;
        engine.set_now(at(3));
        let answer = recorded(&engine, &scope, "b", 1).await;
        assert_eq!(answer.items[0].numbers.period.start, at(31));
        assert_eq!(answer.recorded_at, at(31));
        assert_eq!(used(&engine, &scope).await, 2);
    }

    async fn a_trial_that_ends_unpaid_gives_nothing_although_billing_is_silent(engine: TestEngine) {
        let mut facts = on_trial();
        facts.has_default_payment_method = false;
        let scope = org(&engine, "acme", facts).await;
        recorded(&engine, &scope, "a", 1).await;
        engine.set_now(at(14));
        match record(&engine, &scope, "b", 1).await.unwrap() {
            Outcome::Denied(denial) => assert_eq!(denial.reason, Reason::NoSubscription),
            Outcome::Allowed(_) => panic!("an unpaid trial went on"),
        }
        assert_eq!(ledger::standing(&engine, &scope).await.unwrap().head.access, Access::NoSubscription);
        assert_eq!(periods(&engine, &scope).await, 1);
    }

    async fn a_trial_that_ends_paid_goes_on_in_a_second_period_of_the_month(engine: TestEngine) {
        let scope = org(&engine, "acme", on_trial()).await;
        assert_eq!(recorded(&engine, &scope, "a", 3).await.period_key.to_string(), "2026-01");
        engine.set_now(at(14));
        let answer = recorded(&engine, &scope, "b", 1).await;
        assert_eq!(answer.period_key.to_string(), "2026-01.2");
        assert_eq!(answer.items[0].numbers.used, 1);
        let asked = EventFilter { period_key: Some(PeriodKey::parse("2026-01").unwrap()), ..EventFilter::default() };
        let newest = ledger::events(&engine, &scope, &asked, &Paging::default()).await.unwrap();
        assert_eq!(newest.items.len(), 1, "a plain month means its newest period");
        recount(&engine).await;
    }

    async fn a_hold_settles_into_the_period_it_was_taken_in(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let hold = reserved(&engine, &scope, "a", 6).await;
        engine.set_now(at(31));
        let fresh = recorded(&engine, &scope, "b", 10).await;
        assert_eq!(fresh.items[0].numbers.held, 0);
        let settle = Settle { hold_id: hold.hold_id, units: units(4) };
        let settled = ledger::settle(&engine, &scope, settle).await.unwrap().answer;
        assert_eq!((settled.numbers.period_key.to_string().as_str(), settled.numbers.used), ("2026-01", 4));
        assert_eq!(used(&engine, &scope).await, 10);
        recount(&engine).await;
    }

    async fn a_higher_limit_counts_at_once_and_a_lowered_one_deletes_nothing(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 10).await;
        change_rights(&engine, &scope, rights(Included::Units(25))).await;
        let answer = recorded(&engine, &scope, "b", 10).await;
        assert_eq!((answer.items[0].numbers.used, answer.items[0].numbers.limit_version), (20, 2));
        change_rights(&engine, &scope, rights(Included::Units(5))).await;
        let Outcome::Denied(denial) = record(&engine, &scope, "c", 1).await.unwrap() else { panic!() };
        let numbers = denial.numbers.unwrap();
        assert_eq!((numbers.remaining, numbers.used, numbers.overrun), (Some(0), 20, 15));
        // The first answer is still that of the limit it was given under.
        let again = recorded(&engine, &scope, "a", 10).await;
        assert_eq!((again.items[0].numbers.included, again.items[0].numbers.limit_version), (Some(10), 1));
        assert_eq!(periods(&engine, &scope).await, 1);
        recount(&engine).await;
    }

    async fn a_yearly_price_has_monthly_quotas(engine: TestEngine) {
        let mut facts = rights(Included::Units(10));
        let subscription = facts.subscription.as_mut().unwrap();
        subscription.interval = Interval::Year;
        subscription.item_period = Period::new(START, at(365));
        let scope = org(&engine, "acme", facts).await;
        recorded(&engine, &scope, "a", 10).await;
        engine.set_now(at(31));
        assert_eq!(recorded(&engine, &scope, "b", 10).await.period_key.to_string(), "2026-02");
        recount(&engine).await;
    }

    async fn seeding_opens_the_current_period_and_refuses_another(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let january = PeriodKey::parse("2026-01").unwrap();
        let Outcome::Allowed(seeded) = ledger::seed(&engine, &scope, calls(), Some(january)).await.unwrap() else { panic!() };
        assert_eq!((seeded.numbers.used, seeded.numbers.remaining, seeded.numbers.period_key), (0, Some(10), january));
        recorded(&engine, &scope, "a", 3).await;
        let Outcome::Allowed(again) = ledger::seed(&engine, &scope, calls(), None).await.unwrap() else { panic!() };
        assert_eq!(again.numbers.used, 3);
        let june = PeriodKey::parse("2026-06").unwrap();
        let refused = ledger::seed(&engine, &scope, calls(), Some(june)).await.unwrap_err();
        assert_eq!(refused, ledger::Error::Refused(Refusal::OtherPeriod(june)));
    }
}

/// A trial of 14 days from [`START`] on.
fn on_trial() -> OrgFacts {
    let mut facts = rights(Included::Units(10));
    let trial = Period::new(START, at(14));
    let subscription = facts.subscription.as_mut().unwrap();
    subscription.status = SubscriptionStatus::Trialing;
    (subscription.anchor, subscription.item_period, subscription.trial) = (at(14), trial, Some(trial));
    facts.trial_plan = facts.plan.as_ref().map(Arc::clone);
    facts
}

/// The labels of the org's periods, newest first.
async fn labels(engine: &Engine, scope: &OrgScope) -> Vec<String> {
    let mut tx = engine.db().begin(crate::db::Lane::Control).await.unwrap();
    let rows = ledger::sql::period_keys(&mut tx, scope.org_key()).await.unwrap();
    tx.rollback().await.unwrap();
    rows.iter().map(|row| row.text("period_key").unwrap()).collect()
}

async fn periods(engine: &Engine, scope: &OrgScope) -> usize {
    labels(engine, scope).await.len()
}
