//! Changes that are cut off at any point, or that Stripe answers badly: after it, one object at Stripe and the same end as undisturbed.

use std::time::Duration;

use serde_json::{Value, json};

use tollgate_rules::ids::PlanCode;
use tollgate_sandbox::Failure;

use super::stage::Stage;
use crate::access::OrgScope;
use crate::checkouts::{self, NewCheckout};
use crate::db::Kind as Database;
use crate::engine::Engine;
use crate::fault::Manner;
use crate::inbox::testing::sized;
use crate::quotes::Wanted;
use crate::subscriptions::{
    self, EndsAt, Error, NewSubscription, Upgrade, cancel, cancel_downgrade, create, ensure_customer, entitlements,
    pause, schedule_downgrade, upgrade,
};
use crate::{jobs, operations};

/// The changes, each with the points at which it may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Customer,
    Subscribe,
    Upgrade,
    /// An upgrade that the bank refuses: what was begun is taken back.
    Declined,
    Downgrade,
    KeepPlan,
    Cancel,
    CancelNow,
    Pause,
    Checkout,
}

impl Change {
    const fn points(self) -> &'static [&'static str] {
        match self {
            Change::Customer => &["customer.before_send", "customer.sent", "customer.stored", "customer.synced"],
            Change::Subscribe => &["subscribe.before_send", "subscribe.sent", "subscribe.stored", "subscribe.synced"],
            Change::Upgrade => {
                &["upgrade.begun", "upgrade.before_send", "upgrade.before_stored", "upgrade.sent", "upgrade.synced"]
            }
            Change::Declined => &["upgrade.before_send", "upgrade.before_stored", "upgrade.sent", "upgrade.voided"],
            Change::Downgrade => &[
                "downgrade.begun",
                "schedule.before_create",
                "schedule.created",
                "schedule.before_phases",
                "schedule.phases_set",
                "downgrade.synced",
            ],
            Change::KeepPlan => &["schedule.before_release", "schedule.released", "downgrade.kept"],
            Change::Cancel | Change::CancelNow => &["end.begun", "end.before_send", "end.sent", "end.synced"],
            Change::Pause => &["end.before_send", "end.sent", "end.synced"],
            Change::Checkout => &["checkout.begun", "checkout.before_send", "checkout.sent", "checkout.opened"],
        }
    }

    /// An org to which it can happen.
    async fn prepare(self, stage: &Stage) -> OrgScope {
        match self {
            Change::Customer => stage.org("Acme").await,
            Change::Subscribe | Change::Checkout => stage.customer("Acme").await,
            Change::Declined => {
                let scope = paying(stage, "starter").await;
                stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
                scope
            }
            Change::Upgrade | Change::Cancel | Change::CancelNow | Change::Pause => paying(stage, "starter").await,
            Change::Downgrade => paying(stage, "growth").await,
            Change::KeepPlan => {
                let scope = paying(stage, "growth").await;
                schedule_downgrade(stage, &scope, &to_starter()).await.unwrap();
                scope
            }
        }
    }

    async fn happen(self, engine: &Engine, scope: &OrgScope) -> Result<(), Error> {
        match self {
            Change::Customer => ensure_customer(engine, scope, "billing@example.com").await.map(drop),
            Change::Subscribe => create(engine, scope, &bought("plan_starter_m")).await.map(drop),
            Change::Upgrade | Change::Declined => upgrade(engine, scope, &onto("growth")).await.map(drop),
            Change::Downgrade => schedule_downgrade(engine, scope, &to_starter()).await.map(drop),
            Change::KeepPlan => cancel_downgrade(engine, scope).await,
            Change::Cancel => cancel(engine, scope, EndsAt::PeriodEnd).await.map(drop),
            Change::CancelNow => cancel(engine, scope, EndsAt::Now).await.map(drop),
            Change::Pause => pause(engine, scope).await.map(drop),
            Change::Checkout => checkouts::create(engine, scope, &page()).await.map(drop),
        }
    }
}

async fn paying(stage: &Stage, plan: &str) -> OrgScope {
    let scope = stage.trialing(&format!("plan_{plan}_m")).await;
    stage.pay_with(&scope, "pm_card_visa").await;
    upgrade(stage, &scope, &onto(plan)).await.unwrap();
    scope
}

fn bought(lookup: &str) -> NewSubscription {
    NewSubscription { price_lookup: lookup.to_owned(), quantity: None }
}

fn onto(plan: &str) -> Upgrade {
    Upgrade { new_plan_code: Some(PlanCode::parse(plan).unwrap()), ..Upgrade::default() }
}

fn to_starter() -> Wanted {
    Wanted { plan_code: PlanCode::parse("starter").unwrap(), interval: None, quantity: None, coupon: None }
}

fn page() -> NewCheckout {
    NewCheckout {
        email: "billing@example.com".to_owned(),
        price_lookup: "plan_starter_m".to_owned(),
        success_url: "https://app.test/done".to_owned(),
        cancel_url: "https://app.test/back".to_owned(),
    }
}

/// A stage whose leases end soon, so that a test need not wait for what is gone.
async fn stage(kind: Database, test: &str) -> Option<Stage> {
    Stage::open_with(kind, test, |settings, pacing| {
        settings.limits.operation_lease = Duration::from_millis(400);
        settings.limits.customer_lease = Duration::from_millis(400);
        settings.limits.clock_skew = Duration::ZERO;
        settings.limits.job_lease = Duration::from_secs(5);
        pacing.attempts_max = 2;
    })
    .await
}

/// What is at Stripe and here, as far as it does not differ from org to org.
async fn state(stage: &Stage, scope: &OrgScope) -> Value {
    let mut connection = stage.db().read().await.unwrap();
    let customer = subscriptions::sql::customer(&mut connection, scope.org_key()).await.unwrap();
    let id = customer.map(|customer| customer.customer_id.to_string()).unwrap_or_default();
    let all = at_stripe(stage, "/v1/customers?limit=100").await;
    let ours = all.iter().filter(|one| one["metadata"]["tollgate_org"] == scope.org_id().as_str()).count();
    let mut found = json!({ "customers": ours });
    for (name, path, fields) in [
        ("subscriptions", "/v1/subscriptions?status=all&limit=100&customer=", &["status", "cancel_at_period_end"][..]),
        ("invoices", "/v1/invoices?limit=100&customer=", &["status", "billing_reason"]),
        ("schedules", "/v1/subscription_schedules?limit=100&customer=", &["status"]),
        ("sessions", "/v1/checkout/sessions?limit=100&customer=", &["status"]),
    ] {
        let objects = at_stripe(stage, &format!("{path}{id}")).await;
        let told = |one: &Value| fields.iter().map(|field| one[*field].to_string()).collect::<Vec<_>>().join(" ");
        let mut told: Vec<String> = objects.iter().map(told).collect();
        told.sort();
        found[name] = told.into();
    }
    let has = entitlements(stage, scope, None).await.unwrap();
    found["plan"] = json!(has.plan_code.as_ref().map(PlanCode::as_str));
    found["status"] = json!(has.status.map(|status| status.as_str()));
    found["scheduled"] = json!(has.scheduled_change.is_some());
    found
}

async fn at_stripe(stage: &Stage, path: &str) -> Vec<Value> {
    let request = reqwest::Client::new().get(format!("{}{path}", stage.sandbox.base_url()));
    let text = request.header("authorization", "Bearer sk_test_stage").send().await.unwrap().text().await.unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    list["data"].as_array().unwrap_or_else(|| panic!("{path}: {text}")).clone()
}

/// What a restarted process does: takes up what nobody holds any more.
async fn taken_up(stage: &Stage) {
    for _ in 0..60 {
        let now = stage.engine.now();
        stage.move_to(now.plus(Duration::from_secs(6))).await;
        jobs::run_due(stage).await.unwrap();
        let open = operations::sql::open(&mut stage.db().read().await.unwrap()).await.unwrap();
        if open.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("an operation was never taken up");
}

async fn cut_off(kind: Database, change: Change) {
    let Some(stage) = stage(kind, "cut_off").await else { return };
    let control = change.prepare(&stage).await;
    let _ = change.happen(&stage, &control).await;
    let expected = state(&stage, &control).await;
    let manners = [Manner::Vanish, Manner::Fail];
    for point in change.points() {
        for manner in &manners[..sized(1, 2)] {
            let scope = change.prepare(&stage).await;
            stage.engine.faults().plan(point, *manner, 1);
            let (engine, ours) = (stage.engine.engine.clone(), scope.clone());
            let _cut = tokio::spawn(async move { change.happen(&engine, &ours).await }).await;
            assert!(stage.engine.faults().spent(), "{change:?}: {point} was never reached");
            taken_up(&stage).await;
            assert_eq!(state(&stage, &scope).await, expected, "{change:?} cut off at {point} ({manner:?})");
        }
    }
    println!("PROOF: operations cut off: {change:?} on {kind:?}: {} points, one object each", change.points().len());
}

/// Stripe fails the n-th call of a change, for every n.
async fn answered_badly(kind: Database, change: Change) {
    let Some(stage) = stage(kind, "answered_badly").await else { return };
    let control = change.prepare(&stage).await;
    let _ = change.happen(&stage, &control).await;
    let expected = state(&stage, &control).await;
    let failures = [Failure::PinnedError, Failure::LostAnswer, Failure::ErrorAfterCommit, Failure::Status(500)];
    let mut calls = 0;
    for failure in &failures[..sized(2, 4)] {
        for passing in 0..30 {
            let scope = change.prepare(&stage).await;
            stage.sandbox.faults().fail_after("/v1/", passing, 1, *failure);
            let answer = change.happen(&stage, &scope).await;
            let spent = !stage.sandbox.faults().is_planned();
            stage.sandbox.faults().clear();
            taken_up(&stage).await;
            if let Err(Error::BillingUnavailable { operation_id: None }) = answer {
                let _ = change.happen(&stage, &scope).await;
            }
            let found = state(&stage, &scope).await;
            assert_eq!(found, expected, "{change:?}: {failure:?} at call {passing}: {answer:?}");
            calls += 1;
            if !spent {
                break;
            }
        }
    }
    an_hour_too_fast(&stage, change, &expected).await;
    println!("PROOF: operations answered badly: {change:?} on {kind:?}: {calls} calls that failed, one object each");
}

/// 429 to everything for an hour.
async fn an_hour_too_fast(stage: &Stage, change: Change, expected: &Value) {
    let scope = change.prepare(stage).await;
    stage.sandbox.faults().fail_next("/v1/", u32::MAX, Failure::Status(429));
    let answer = change.happen(stage, &scope).await;
    assert!(matches!(answer, Err(Error::BillingUnavailable { .. })), "{change:?}: {answer:?}");
    for _ in 0..3 {
        stage.move_to(stage.engine.now().plus(Duration::from_secs(1_200))).await;
        jobs::run_due(stage).await.unwrap();
    }
    stage.sandbox.faults().clear();
    stage.move_to(stage.engine.now().plus(Duration::from_secs(3_600))).await;
    taken_up(stage).await;
    if let Err(Error::BillingUnavailable { operation_id: None }) = answer {
        let _ = change.happen(stage, &scope).await;
    }
    assert_eq!(state(stage, &scope).await, *expected, "{change:?} after an hour of 429");
}

macro_rules! changes {
    ($($name:ident: $change:expr,)+) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn cut_off_anywhere_it_happens_once() {
                    Box::pin(cut_off(Database::Sqlite, $change)).await;
                    if sized(0, 1) == 1 {
                        Box::pin(cut_off(Database::Postgres, $change)).await;
                    }
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn answered_badly_anywhere_it_happens_once() {
                    Box::pin(answered_badly(Database::Sqlite, $change)).await;
                    if sized(0, 1) == 1 {
                        Box::pin(answered_badly(Database::Postgres, $change)).await;
                    }
                }
            }
        )+
    };
}

changes! {
    a_customer: Change::Customer,
    a_subscription: Change::Subscribe,
    an_upgrade: Change::Upgrade,
    an_upgrade_that_is_declined: Change::Declined,
    a_downgrade: Change::Downgrade,
    a_downgrade_taken_back: Change::KeepPlan,
    an_end_with_the_period: Change::Cancel,
    an_end_now: Change::CancelNow,
    a_pause: Change::Pause,
    a_checkout: Change::Checkout,
}
