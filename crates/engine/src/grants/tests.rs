//! What holds for grants: the ledger's own numbers, on real orgs.

use std::time::Duration;

use tollgate_rules::catalog::{Included, Rollover};
use tollgate_rules::ids::Metric;
use tollgate_rules::ledger::Outcome;
use tollgate_rules::quantity::Units;
use tollgate_rules::time::Timestamp;

use super::{Create, Error, Lasts, create, list, revoke};
use crate::access::OrgScope;
use crate::ledger::tests::stage::{operator, org, record, recorded, rights};
use crate::on_both;
use crate::paging::Paging;
use crate::subscriptions::entitlements;
use crate::subscriptions::tests::stage::on_stage;
use crate::testing::{START, TestEngine};
use crate::{ledger, plans};

fn of(units: i64, priority: i64, lasts: Lasts) -> Create {
    Create {
        metric: Metric::parse("api_call").unwrap(),
        units: Units::new(units).unwrap(),
        priority,
        starts_at: None,
        lasts,
        reason: "a present".to_owned(),
    }
}

fn days(days: u64) -> Timestamp {
    START.plus(Duration::from_secs(days * 86_400))
}

async fn denied(engine: &TestEngine, scope: &OrgScope, id: &str, units: i64) -> bool {
    matches!(record(engine, scope, id, units).await.unwrap(), Outcome::Denied(_))
}

/// What is used of every grant, oldest first.
async fn used(engine: &TestEngine) -> Vec<i64> {
    let mut all = list(engine, &operator(), None, &Paging::new(Some(200), None).unwrap()).await.unwrap().items;
    all.sort_by(|a, b| (a.created_at, &a.grant_id).cmp(&(b.created_at, &b.grant_id)));
    all.iter().map(|grant| grant.used).collect()
}

on_both! {
    async fn included_units_are_used_first_then_grants_by_priority_and_expiry(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(10))).await;
        for (units, priority, lasts) in [(5, 1, Lasts::ForGood), (4, 0, Lasts::Until(days(20))), (3, 0, Lasts::Until(days(10)))] {
            create(&engine, &scope, of(units, priority, lasts)).await.unwrap();
        }
        assert_eq!(recorded(&engine, &scope, "a", 15).await.items[0].numbers.remaining, Some(7));
        assert_eq!(used(&engine).await, [0, 2, 3]);
        assert_eq!(recorded(&engine, &scope, "b", 7).await.items[0].numbers.remaining, Some(0));
        assert_eq!(used(&engine).await, [5, 4, 3]);
        assert!(denied(&engine, &scope, "c", 1).await);
    }

    async fn a_grant_ends_at_the_very_moment_and_what_was_drawn_stays(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(10))).await;
        create(&engine, &scope, of(10, 0, Lasts::Until(days(3)))).await.unwrap();
        recorded(&engine, &scope, "a", 14).await;
        engine.set_now(days(3).minus(Duration::from_micros(1)));
        assert_eq!(recorded(&engine, &scope, "b", 1).await.items[0].numbers.remaining, Some(5));
        engine.set_now(days(3));
        assert!(denied(&engine, &scope, "c", 1).await);
        let standing = crate::ledger::standing(&engine, &scope).await.unwrap();
        let counter = standing.counters.iter().find(|counter| counter.metric.as_str() == "api_call").unwrap();
        assert_eq!((counter.limit.granted, counter.used), (5, 15), "the five that were drawn in time stay granted");
        assert_eq!(used(&engine).await, [5]);
    }

    async fn what_one_period_used_of_a_grant_is_gone_in_the_next(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(10))).await;
        create(&engine, &scope, of(10, 0, Lasts::ForGood)).await.unwrap();
        create(&engine, &scope, of(100, 9, Lasts::ThisPeriod)).await.unwrap();
        recorded(&engine, &scope, "a", 16).await;
        engine.set_now(days(40));
        assert_eq!(recorded(&engine, &scope, "b", 14).await.items[0].numbers.remaining, Some(0));
        assert!(denied(&engine, &scope, "c", 1).await);
        assert_eq!(used(&engine).await, [10, 0]);
        engine.set_now(days(70));
        assert_eq!(recorded(&engine, &scope, "d", 10).await.items[0].numbers.remaining, Some(0));
        assert!(denied(&engine, &scope, "e", 1).await);
    }

    async fn a_revoked_grant_gives_nothing_more(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(10))).await;
        let made = create(&engine, &scope, of(10, 0, Lasts::ForGood)).await.unwrap();
        recorded(&engine, &scope, "a", 13).await;
        let ended = revoke(&engine, &scope, &made.grant_id, "a mistake").await.unwrap();
        assert_eq!((ended.units, ended.used), (10, 3));
        assert!(denied(&engine, &scope, "b", 1).await);
        assert!(matches!(revoke(&engine, &scope, &made.grant_id, "again").await, Err(Error::NotFound)));
    }

    async fn records_that_race_with_grants_never_take_more_than_was_given(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(20))).await;
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..6 {
            let (engine, scope) = (engine.engine.clone(), scope.clone());
            tasks.spawn(async move {
                let mut taken = 0;
                for no in 0..15 {
                    let answer = record(&engine, &scope, &format!("r{worker}_{no}"), 1).await.unwrap();
                    taken += i64::from(matches!(answer, Outcome::Allowed(_)));
                }
                taken
            });
        }
        for round in 0..5 {
            create(&engine, &scope, of(8, round, Lasts::Until(days(2)))).await.unwrap();
        }
        let mut taken = 0;
        while let Some(of_one) = tasks.join_next().await {
            taken += of_one.unwrap();
        }
        assert!(taken <= 60, "{taken} of 20 included and 40 granted");
        assert_eq!(used(&engine).await.iter().sum::<i64>(), (taken - 20).max(0));
        while !denied(&engine, &scope, &format!("rest_{taken}"), 1).await {
            taken += 1;
        }
        assert_eq!(taken, 60, "not one unit less either");
        engine.set_now(days(2));
        assert!(denied(&engine, &scope, "late", 1).await);
        assert_eq!(used(&engine).await.iter().sum::<i64>(), 40);
    }
}

on_stage! {
    async fn unused_units_are_carried_over_once_as_far_as_the_plan_says(stage: Stage) {
        let mut catalog = (*plans::catalog(&stage)).clone();
        for plan in catalog.plans.iter_mut().filter(|plan| plan.code.as_str() == "starter") {
            for allowance in plan.allowances.values_mut() {
                allowance.rollover = Some(Rollover { max: 4_000, periods: 1 });
            }
        }
        plans::publish(&stage, &stage.operator(), catalog).await.unwrap();
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        let next = async || {
            let end = entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
            stage.move_to(end.plus(Duration::from_secs(3 * 3_600))).await;
            for _ in 0..2 {
                ledger::sweep(&stage).await.unwrap();
            }
            let read = entitlements(&stage, &scope, None).await.unwrap();
            let calls = read.metric("api_call").unwrap();
            (calls.included, calls.granted)
        };
        assert_eq!(next().await, (Some(10_000), 0), "a trial carries nothing over");
        recorded(&stage, &scope, "a", 3_000).await;
        assert_eq!(next().await, (Some(10_000), 4_000), "7,000 are unused, 4,000 are carried over");
        recorded(&stage, &scope, "b", 13_000).await;
        assert_eq!(next().await, (Some(10_000), 0), "what was carried over lasts one period, and nothing was left");
        assert_eq!(next().await, (Some(10_000), 4_000));
    }
}
