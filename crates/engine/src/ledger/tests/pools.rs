//! Credit pools on both databases: what is drawn is stored, answered again, freed and put right with what drew it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_rules::catalog::{Allowance, Included, OveragePolicy, Plan};
use tollgate_rules::entitlement::OrgFacts;
use tollgate_rules::ledger::Rule;

use super::stage::{change_rights, id, metric, new_hold, operator, org, org_ref, recount, rights, units, usage};
use crate::access::OrgScope;
use crate::ledger::{self, Correct, Item, NewHold, Outcome, Record, Release, Settle};
use crate::on_both;
use crate::testing::TestEngine;

/// Rights to `included` credits, of which an image takes 5 and a token `token`.
fn pooled(included: i64, token: i64) -> OrgFacts {
    let facts = rights(Included::Units(0));
    let allowance = Allowance { included: Included::Units(included), policy: OveragePolicy::HardStop, rollover: None };
    let rates = BTreeMap::from([(metric("image"), 5), (metric("tokens"), token)]);
    let plan = Arc::new(Plan {
        allowances: BTreeMap::from([(metric("credit"), allowance)]),
        pools: BTreeMap::from([(metric("credit"), rates)]),
        ..(**facts.plan.as_ref().unwrap()).clone()
    });
    let metrics = [metric("credit"), metric("image"), metric("tokens")].into();
    OrgFacts { plan: Some(Arc::clone(&plan)), trial_plan: Some(plan), metrics, ..facts }
}

fn of(request_id: &str, items: &[(&str, i64)]) -> Record {
    let items = items.iter().map(|(name, of)| Item { metric: metric(name), units: units(*of) });
    Record { items: items.collect(), ..usage(request_id, 1) }
}

/// What is used and held of credits.
async fn credits(engine: &TestEngine, scope: &OrgScope) -> (i64, i64) {
    recount(engine).await;
    engine.ledger().forget(scope.org_key());
    let standing = ledger::standing(engine, scope).await.unwrap();
    let counter = standing.counters.iter().find(|counter| counter.metric == metric("credit")).unwrap();
    (counter.used, counter.held)
}

async fn record(engine: &TestEngine, scope: &OrgScope, record: Record) -> Outcome<ledger::Recorded> {
    ledger::record(engine, scope, record).await.unwrap().answer
}

fn remaining(outcome: Outcome<ledger::Recorded>) -> Vec<Option<i64>> {
    match outcome {
        Outcome::Allowed(recorded) => recorded.items.iter().map(|item| item.numbers.remaining).collect(),
        Outcome::Denied(denial) => panic!("{denial:?}"),
    }
}

on_both! {
    async fn several_metrics_draw_on_one_pool_to_the_unit(engine: TestEngine) {
        let scope = org(&engine, "pooled", pooled(100, 2)).await;
        let two = || of("a", &[("image", 4), ("tokens", 10)]);
        assert_eq!(remaining(record(&engine, &scope, two()).await), [Some(16), Some(30)]);
        assert_eq!(remaining(record(&engine, &scope, two()).await), [Some(16), Some(30)], "the first answer again");
        assert_eq!(credits(&engine, &scope).await, (40, 0));
        let Outcome::Denied(denial) = record(&engine, &scope, of("b", &[("image", 13)])).await else { panic!("denied") };
        assert_eq!((denial.metric.as_str(), denial.requested, &denial.rule), ("credit", 65, &Rule::Pool { drawn_by: metric("image") }));
        assert_eq!(remaining(record(&engine, &scope, of("c", &[("credit", 60)])).await), [Some(0)]);
        let wrong = Correct { request_id: id("fix"), corrects: id("a"), metric: Some(metric("image")), units: -3, reason: "wrong".to_owned() };
        let fixed = ledger::correct(&engine, &scope, wrong).await.unwrap().answer;
        assert_eq!(fixed.numbers.remaining, Some(3));
        assert_eq!(credits(&engine, &scope).await, (85, 0));
        let rebuilt = ledger::rebuild(&engine, &operator(), &org_ref(&scope)).await.unwrap();
        assert_eq!(rebuilt.drift, 0, "{:?}", rebuilt.drifts);
    }

    async fn a_hold_holds_the_pool_at_its_rate_until_it_ends(engine: TestEngine) {
        let scope = org(&engine, "held", pooled(100, 2)).await;
        let hold = |name: &str, of: i64| NewHold { metric: metric("tokens"), ..new_hold(name, of, 60) };
        let taken = async |name: &str, of: i64| match ledger::reserve(&engine, &scope, hold(name, of)).await.unwrap().answer {
            Outcome::Allowed(reserved) => reserved,
            Outcome::Denied(denial) => panic!("{denial:?}"),
        };
        let (one, two) = (taken("one", 20).await, taken("two", 10).await);
        assert_eq!((one.numbers.remaining, two.numbers.remaining), (Some(30), Some(20)));
        assert_eq!(credits(&engine, &scope).await, (0, 60));
        let denied = ledger::reserve(&engine, &scope, hold("three", 21)).await.unwrap().answer;
        assert!(matches!(denied, Outcome::Denied(_)));
        change_rights(&engine, &scope, pooled(100, 9)).await;
        let settle = || Settle { hold_id: one.hold_id.clone(), units: units(15) };
        let first = ledger::settle(&engine, &scope, settle()).await.unwrap().answer;
        assert_eq!(credits(&engine, &scope).await, (30, 20), "at the rate it was taken at");
        let again = ledger::settle(&engine, &scope, settle()).await.unwrap().answer;
        assert_eq!((first.numbers, again.repeat), (again.numbers, true));
        ledger::release(&engine, &scope, Release { hold_id: two.hold_id }).await.unwrap();
        assert_eq!(credits(&engine, &scope).await, (30, 0));
        let late = taken("late", 7).await;
        engine.set_now(engine.now().plus(std::time::Duration::from_secs(120)));
        assert_eq!(remaining(record(&engine, &scope, of("after", &[("image", 14)])).await), [Some(0)], "an ended hold frees the pool");
        assert_eq!(credits(&engine, &scope).await, (100, 0));
        drop(late);
    }
}
