//! What is charged by use stays on a subscription whatever else changes about it.

use std::time::Duration;

use tollgate_rules::ids::{Metric, PlanCode, RequestId, SubscriptionId};
use tollgate_rules::period::Interval;
use tollgate_rules::quantity::Units;
use tollgate_rules::time::Timestamp;

use super::stage::{Stage, on_stage};
use crate::access::OrgScope;
use crate::ledger::{self, Item, Record};
use crate::metering::report;
use crate::quotes::Wanted;
use crate::subscriptions::{Upgrade, cancel_downgrade, entitlements, schedule_downgrade, standing, upgrade};
use crate::{inbox, jobs};

const HOUR: Duration = Duration::from_secs(3_600);

/// An org on plan growth that used more than is included, of which Stripe has been told; its subscription.
async fn beyond(stage: &Stage) -> (OrgScope, SubscriptionId) {
    let scope = stage.trialing("plan_growth_m").await;
    stage.pay_with(&scope, "pm_card_visa").await;
    upgrade(stage, &scope, &onto("growth", None)).await.unwrap();
    let record = Record {
        request_id: RequestId::parse("a").unwrap(),
        items: vec![Item { metric: Metric::parse("api_call").unwrap(), units: Units::new(101_500).unwrap() }],
        occurred_at: None,
        source: "api".to_owned(),
        force: None,
    };
    ledger::record(stage, &scope, record).await.unwrap();
    report(stage, None).await.unwrap();
    let subscription = standing(stage, &scope).await.unwrap().mirror.unwrap().subscription_id;
    assert_eq!(metered(stage, &subscription).await, 1, "the usage has a place on the invoice");
    (scope, subscription)
}

async fn metered(stage: &Stage, subscription: &SubscriptionId) -> usize {
    stage.billing().metered_items(subscription).await.unwrap().len()
}

fn onto(plan: &str, interval: Option<Interval>) -> Upgrade {
    Upgrade { new_plan_code: Some(PlanCode::parse(plan).unwrap()), interval, ..Upgrade::default() }
}

fn to(plan: &str) -> Wanted {
    Wanted { plan_code: PlanCode::parse(plan).unwrap(), interval: None, quantity: None, coupon: None }
}

async fn period_end(stage: &Stage, scope: &OrgScope) -> Timestamp {
    entitlements(stage, scope, None).await.unwrap().period.unwrap().end
}

async fn live_until(stage: &Stage, at: Timestamp) {
    stage.move_to(at).await;
    inbox::reconcile::reconcile(stage).await.unwrap();
    ledger::sweep(stage).await.unwrap();
    jobs::run_due(stage).await.unwrap();
}

/// What the newest invoice that is over comes to, and whether usage is on it.
async fn newest(stage: &Stage, scope: &OrgScope) -> (i64, bool) {
    let customer = standing(stage, scope).await.unwrap().customer.unwrap().customer_id;
    let page = stage.billing().invoices_page(&customer, None).await.unwrap();
    let invoice = stage.billing().invoice(&page.items[0].invoice_id).await.unwrap().unwrap();
    let used =
        invoice.lines.iter().any(|line| line.description.as_deref().is_some_and(|text| text.starts_with("1500 ×")));
    (invoice.total.minor, used)
}

on_stage! {
    async fn an_upgrade_keeps_what_is_charged_by_use(stage: Stage) {
        let (scope, subscription) = beyond(&stage).await;
        upgrade(&stage, &scope, &onto("pro", None)).await.unwrap();
        assert_eq!(metered(&stage, &subscription).await, 1);
    }

    async fn a_scheduled_downgrade_charges_what_was_used_before_it(stage: Stage) {
        let (scope, subscription) = beyond(&stage).await;
        schedule_downgrade(&stage, &scope, &to("starter")).await.unwrap();
        assert_eq!(metered(&stage, &subscription).await, 1);
        cancel_downgrade(&stage, &scope).await.unwrap();
        assert_eq!(metered(&stage, &subscription).await, 1);
        schedule_downgrade(&stage, &scope, &to("starter")).await.unwrap();
        let end = period_end(&stage, &scope).await;
        live_until(&stage, end.plus(HOUR / 60)).await;
        live_until(&stage, end.plus(2 * HOUR)).await;
        let has = entitlements(&stage, &scope, None).await.unwrap();
        assert_eq!(has.plan_code.unwrap().as_str(), "starter");
        let (total, used) = newest(&stage, &scope).await;
        assert!(used && total == 4_900 + 2 * 300, "the new plan and two begun blocks of the old one: {total}");
    }

    async fn a_year_instead_of_a_month_takes_along_what_is_charged_by_use(stage: Stage) {
        let (scope, subscription) = beyond(&stage).await;
        upgrade(&stage, &scope, &onto("growth", Some(Interval::Year))).await.unwrap();
        assert_eq!(metered(&stage, &subscription).await, 1);
        let has = entitlements(&stage, &scope, None).await.unwrap();
        assert_eq!(has.plan_code.unwrap().as_str(), "growth");
    }
}
