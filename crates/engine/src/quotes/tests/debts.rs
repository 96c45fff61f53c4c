//! Upgrading, burning and going back: what is owed is shown before it is chosen, and taken off the periods that follow, exactly once.

use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::quantity::Units;

use super::*;
use crate::ledger::{self, Outcome, Record};
use crate::{inbox, jobs};

const STARTER: i64 = 10_000;
const GROWTH: i64 = 100_000;
const MINUTE: Duration = Duration::from_mins(1);

/// Uses units; whether they fitted.
async fn burn(stage: &Stage, scope: &OrgScope, units: i64) -> bool {
    let record = Record {
        request_id: RequestId::parse(&stage.engine.new_id("burn_")).unwrap(),
        items: vec![ledger::Item { metric: Metric::parse("api_call").unwrap(), units: Units::new(units).unwrap() }],
        occurred_at: None,
        source: "api".to_owned(),
        force: None,
    };
    matches!(ledger::record(stage, scope, record).await.unwrap().answer, Outcome::Allowed(_))
}

async fn included(stage: &Stage, scope: &OrgScope) -> i64 {
    now(stage, scope).await.metric("api_call").unwrap().included.unwrap()
}

/// What a preview says about the included units then, and about what is owed now and then.
async fn shown(stage: &Stage, scope: &OrgScope, plan: &str) -> (i64, i64, i64) {
    let quote = preview(stage, scope, &wanted(plan)).await.unwrap();
    let effect = quote.effects.iter().find(|effect| effect.metric.as_str() == "api_call").unwrap();
    let told = quote.warnings().iter().any(|warning| warning.contains("more than was paid for"));
    assert_eq!(told, effect.owed_after > 0, "{:?}", quote.warnings());
    (effect.included_after.unwrap(), effect.owed_before, effect.owed_after)
}

/// Moves to a moment; what fell due by then has happened at Stripe and here.
async fn live_until(stage: &Stage, at: tollgate_rules::time::Timestamp) {
    stage.move_to(at).await;
    inbox::reconcile::reconcile(stage).await.unwrap();
    ledger::sweep(stage).await.unwrap();
    jobs::run_due(stage).await.unwrap();
}

/// On the last day of the running period: up to growth, `units` burned, and back to starter; what is owed then.
async fn spree(stage: &Stage, scope: &OrgScope, units: i64) -> i64 {
    let end = now(stage, scope).await.period.unwrap().end;
    live_until(stage, end.minus(Duration::from_hours(24))).await;
    let (fits, owed, after) = shown(stage, scope, "growth").await;
    assert_eq!((fits, after), (GROWTH - owed.min(GROWTH), owed), "an upgrade leaves what is owed in its period");
    upgrade(stage, scope, &to("growth")).await.unwrap();
    assert_eq!(included(stage, scope).await, fits);
    assert!(burn(stage, scope, units).await);
    let (then, before, after) = shown(stage, scope, "starter").await;
    assert_eq!((then, before), (STARTER - after.min(STARTER), owed));
    schedule_downgrade(stage, scope, &wanted("starter")).await.unwrap();
    live_until(stage, end.plus(MINUTE)).await;
    assert_eq!((plan(stage, scope).await.as_str(), included(stage, scope).await), ("starter", then), "as it was shown");
    after
}

/// Lets periods pass unused until less than a whole one is owed; what is.
async fn wait_off(stage: &Stage, scope: &OrgScope, mut owed: i64) -> i64 {
    while owed >= STARTER {
        owed -= STARTER;
        let end = now(stage, scope).await.period.unwrap().end;
        live_until(stage, end.plus(MINUTE)).await;
    }
    assert_eq!(included(stage, scope).await, STARTER - owed, "{owed} are owed");
    owed
}

/// Burns what every period brings until nothing is owed any more; how many periods that took, and what was had.
async fn work_off(stage: &Stage, scope: &OrgScope, mut owed: i64) -> (i64, i64) {
    let (mut periods, mut had) = (0, 0);
    while owed > 0 {
        let brings = included(stage, scope).await;
        assert_eq!(brings, STARTER - owed.min(STARTER), "{owed} are owed");
        assert!(brings == 0 || burn(stage, scope, brings).await);
        assert!(!burn(stage, scope, 1).await, "no unit more");
        (periods, had, owed) = (periods + 1, had + brings, owed - owed.min(STARTER));
        let end = now(stage, scope).await.period.unwrap().end;
        live_until(stage, end.plus(MINUTE)).await;
    }
    assert_eq!(included(stage, scope).await, STARTER, "all is worked off");
    (periods, had)
}

on_stage! {
    async fn never_more_included_units_than_were_paid_for(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let first = spree(&stage, &scope, 60_000).await;
        // One of 31 days on growth and the others on starter, a begun unit in full; then one of 28.
        assert!((12_903..=12_905).contains(&(60_000 - first)), "{first}");
        assert!(!burn(&stage, &scope, 1).await, "the period that follows is owed as a whole");
        let second = spree(&stage, &scope, GROWTH - first).await;
        assert!((13_214..=13_216).contains(&(GROWTH - second)), "{second}");
        let paid = (60_000 - first) + (GROWTH - second);
        let (periods, had) = work_off(&stage, &scope, second).await;
        let got = 60_000 + (GROWTH - first) + had;
        assert_eq!(got, paid + periods * STARTER, "after {periods} periods every unit that was had is paid for");
    }

    async fn a_period_that_is_cut_short_works_off_what_was_paid_of_it(stage: Stage) {
        for (burned, left) in [(1_000, 1_000), (5_000, 0)] {
            let scope = paying(&stage, "starter").await;
            let owed = spree(&stage, &scope, 60_000).await;
            let owed = wait_off(&stage, &scope, owed).await;
            let period = now(&stage, &scope).await.period.unwrap();
            let half = period.start.plus(period.end.since(period.start) / 2);
            live_until(&stage, half).await;
            assert!(burn(&stage, &scope, burned.min(STARTER - owed)).await);
            let used = burned.min(STARTER - owed);
            let yearly = Upgrade { interval: Some(Interval::Year), ..to("starter") };
            upgrade(&stage, &scope, &yearly).await.unwrap();
            let expected = if left > 0 { owed + used - STARTER / 2 } else { 0 };
            let after = STARTER - included(&stage, &scope).await;
            assert!((after - expected).abs() <= 2, "{owed} owed, {used} used: {after} and not {expected} are owed after");
        }
    }

    async fn periods_that_pass_while_the_server_sleeps_work_off_what_is_owed_too(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let owed = spree(&stage, &scope, 45_000).await;
        assert!(owed > 3 * STARTER, "{owed}");
        let mut end = now(&stage, &scope).await.period.unwrap().end;
        for _ in 0..2 {
            end = tollgate_rules::period::month_step(end, 1);
        }
        stage.move_to(end.plus(MINUTE)).await;
        ledger::sweep(&stage).await.unwrap();
        let left = owed - 3 * STARTER;
        assert_eq!(included(&stage, &scope).await, STARTER - left, "three periods passed unseen");
    }
}
