//! What holds for metered usage, on a real engine beside a real sandbox.

mod year;

use std::time::Duration;

use tollgate_rules::billing::InvoiceFact;
use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::quantity::Units;
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::Failure;

use super::{Reconcile, Reconciled, reconcile, report};
use crate::access::OrgScope;
use crate::fault::Manner;
use crate::ledger::{self, Correct, Item, Outcome, Record};
use crate::subscriptions::tests::stage::{Stage, on_stage};
use crate::testing::START;
use crate::{inbox, jobs, subscriptions};

fn days(days: u64) -> Timestamp {
    START.plus(Duration::from_secs(days * 86_400))
}

/// An org in the first paid period of plan growth.
async fn growing(stage: &Stage) -> OrgScope {
    let scope = stage.trialing("plan_growth_m").await;
    stage.pay_with(&scope, "pm_card_visa").await;
    scope
}

async fn used(stage: &Stage, scope: &OrgScope, id: &str, units: i64) {
    let item = Item { metric: Metric::parse("api_call").unwrap(), units: Units::new(units).unwrap() };
    let record = Record {
        request_id: RequestId::parse(id).unwrap(),
        items: vec![item],
        occurred_at: None,
        source: "api".to_owned(),
        force: None,
    };
    let counted = ledger::record(stage, scope, record).await.unwrap().answer;
    assert!(matches!(counted, Outcome::Allowed(_)), "a metered allowance never refuses: {counted:?}");
}

/// Takes back units of a record.
async fn corrected(stage: &Stage, scope: &OrgScope, id: &str, units: i64) {
    let correct = Correct {
        request_id: RequestId::parse(id).unwrap(),
        corrects: RequestId::parse("a").unwrap(),
        metric: None,
        units,
        reason: "counted twice".to_owned(),
    };
    ledger::correct(stage, scope, correct).await.unwrap();
}

async fn compared(stage: &Stage) -> Reconciled {
    reconcile(stage, &stage.operator(), None, Reconcile::Preview).await.unwrap().unwrap()
}

/// Moves both on by a minute, so that the meter shows what it took.
async fn a_minute_later(stage: &Stage) {
    stage.move_to(stage.engine.now().plus(Duration::from_secs(61))).await;
}

/// Everything that is due at a moment: at Stripe, in the ledger, in the jobs.
async fn live_until(stage: &Stage, at: Timestamp) {
    stage.move_to(at).await;
    inbox::reconcile::reconcile(stage).await.unwrap();
    ledger::sweep(stage).await.unwrap();
    jobs::run_due(stage).await.unwrap();
}

async fn invoices(stage: &Stage, scope: &OrgScope) -> Vec<InvoiceFact> {
    let customer = subscriptions::sql::customer(&mut stage.db().read().await.unwrap(), scope.org_key()).await;
    let customer = customer.unwrap().unwrap();
    let mut all = stage.billing().invoices_page(&customer.customer_id, None).await.unwrap().items;
    for invoice in &mut all {
        *invoice = stage.billing().invoice(&invoice.invoice_id).await.unwrap().unwrap();
    }
    all
}

on_stage! {
    async fn overage_is_reported_once_and_charged_by_the_begun_block(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 101_500).await;
        report(&stage, None).await.unwrap();
        report(&stage, None).await.unwrap();
        a_minute_later(&stage).await;
        let found = compared(&stage).await;
        assert_eq!((found.drift, found.recorded, found.billed), (0, 1_500, 1_500), "{:?}", found.orgs);
        used(&stage, &scope, "b", 600).await;
        let end = crate::subscriptions::entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
        live_until(&stage, end.plus(Duration::from_secs(60))).await;
        live_until(&stage, end.plus(Duration::from_secs(2 * 3_600))).await;
        let newest = invoices(&stage, &scope).await.remove(0);
        assert_eq!(newest.total.minor, 39_900 + 3 * 300, "2,100 units beyond are three begun blocks: {:?}", newest.lines);
        assert_eq!(newest.lines.iter().map(|line| line.amount.minor).sum::<i64>(), newest.total.minor);
        let found = compared(&stage).await;
        assert_eq!((found.drift, found.recorded, found.billed), (0, 2_100, 2_100), "{:?}", found.orgs);
    }

    async fn what_was_reported_too_much_is_taken_back_and_what_is_late_is_settled_in_money(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 105_500).await;
        report(&stage, None).await.unwrap();
        corrected(&stage, &scope, "early", -2_000).await;
        report(&stage, None).await.unwrap();
        a_minute_later(&stage).await;
        let found = compared(&stage).await;
        assert_eq!((found.drift, found.recorded, found.billed), (0, 3_500, 3_500), "{:?}", found.orgs);
        let end = crate::subscriptions::entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
        live_until(&stage, end.plus(Duration::from_secs(60))).await;
        live_until(&stage, end.plus(Duration::from_secs(2 * 3_600))).await;
        assert_eq!(invoices(&stage, &scope).await[0].total.minor, 39_900 + 4 * 300);
        corrected(&stage, &scope, "late", -1_000).await;
        report(&stage, None).await.unwrap();
        report(&stage, None).await.unwrap();
        assert_eq!(compared(&stage).await.drift, 0);
        let end = crate::subscriptions::entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
        live_until(&stage, end.plus(Duration::from_secs(60))).await;
        live_until(&stage, end.plus(Duration::from_secs(2 * 3_600))).await;
        let newest = invoices(&stage, &scope).await.remove(0);
        assert_eq!(newest.total.minor, 39_900 - 300, "one block less: {:?}", newest.lines);
    }

    async fn a_report_is_told_exactly_once_wherever_the_process_dies(stage: Stage) {
        for point in ["metering.frozen", "metering.before_send", "metering.item_ensured", "metering.after_send"] {
            for manner in [Manner::Fail, Manner::Vanish] {
                let scope = growing(&stage).await;
                live_until(&stage, stage.engine.now().plus(Duration::from_secs(15 * 86_400))).await;
                used(&stage, &scope, "a", 100_700).await;
                stage.engine.faults().plan(point, manner, 1);
                let engine = stage.engine.engine.clone();
                let struck = tokio::spawn(async move { report(&engine, None).await.is_ok() }).await;
                assert!(!matches!(struck, Ok(true)), "{point} was not reached");
                report(&stage, None).await.unwrap();
                a_minute_later(&stage).await;
                let found = reconcile(&stage, &stage.operator(), Some(scope.org_id()), Reconcile::Preview).await;
                let found = found.unwrap().unwrap();
                assert_eq!((found.drift, found.billed), (0, 700), "{point} {manner:?}: {:?}", found.orgs);
            }
        }
    }

    async fn what_was_never_reported_before_the_period_ended_is_on_its_invoice_all_the_same(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 101_600).await;
        let end = crate::subscriptions::entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
        live_until(&stage, end.plus(Duration::from_secs(1))).await;
        live_until(&stage, end.plus(Duration::from_secs(2 * 3_600))).await;
        let newest = invoices(&stage, &scope).await.remove(0);
        assert_eq!(newest.total.minor, 39_900 + 2 * 300, "{:?}", newest.lines);
        let found = compared(&stage).await;
        assert_eq!((found.drift, found.recorded, found.billed), (0, 1_600, 1_600), "{:?}", found.orgs);
    }

    async fn an_answer_that_is_lost_counts_once(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 100_001).await;
        for failure in [Failure::LostAnswer, Failure::ErrorAfterCommit, Failure::Status(429)] {
            stage.sandbox.faults().fail_next("/v1/billing/meter_events", 1, failure);
        }
        for _ in 0..4 {
            let _ = report(&stage, None).await;
        }
        report(&stage, None).await.unwrap();
        a_minute_later(&stage).await;
        let found = compared(&stage).await;
        assert_eq!((found.drift, found.billed), (0, 1), "{:?}", found.orgs);
    }

    async fn a_difference_is_shown_first_and_put_right_when_that_is_asked_for(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 100_700).await;
        report(&stage, None).await.unwrap();
        a_minute_later(&stage).await;
        assert_eq!(compared(&stage).await.drift, 0);
        let mut tx = stage.db().begin(crate::db::Lane::Control).await.unwrap();
        ledger::sql::plant_used(&mut tx, scope.org_key(), 5).await.unwrap();
        tx.commit().await.unwrap();
        let shown = compared(&stage).await;
        assert!(shown.drift >= 5 && shown.repaired == 0 && !shown.orgs.is_empty(), "{shown:?}");
        assert_eq!(compared(&stage).await.drift, shown.drift, "a preview changes nothing");
        let repaired = reconcile(&stage, &stage.operator(), Some(scope.org_id()), Reconcile::Repair).await.unwrap().unwrap();
        assert!(repaired.repaired > 0, "{repaired:?}");
        a_minute_later(&stage).await;
        let after = compared(&stage).await;
        assert_eq!((after.drift, after.recorded, after.billed), (0, 700, 700), "{:?}", after.orgs);
    }

    async fn a_report_whose_key_billing_has_forgotten_is_read_back_before_it_is_sent_again(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 100_300).await;
        stage.engine.faults().plan("metering.after_send", Manner::Fail, 1);
        assert!(report(&stage, None).await.is_err(), "billing has it, and we do not know");
        stage.move_to(stage.engine.now().plus(Duration::from_secs(30 * 3_600))).await;
        report(&stage, None).await.unwrap();
        a_minute_later(&stage).await;
        let found = compared(&stage).await;
        assert_eq!((found.drift, found.recorded, found.billed), (0, 300, 300), "counted once: {:?}", found.orgs);
    }

    async fn what_can_never_be_told_to_billing_is_an_incident(stage: Stage) {
        let scope = growing(&stage).await;
        live_until(&stage, days(15)).await;
        used(&stage, &scope, "a", 100_300).await;
        stage.engine.faults().plan("metering.frozen", Manner::Fail, 1);
        assert!(report(&stage, None).await.is_err(), "frozen, never sent");
        stage.move_to(stage.engine.now().plus(Duration::from_secs(36 * 86_400))).await;
        report(&stage, None).await.unwrap();
        let caller = crate::access::Caller::local_operator();
        let right = caller.require_operator(tollgate_rules::access::Permission::IncidentsOperate).unwrap();
        let filter = crate::incidents::Filter {
            kind: Some(crate::incidents::Kind::DeadMeterReport),
            ..crate::incidents::Filter::default()
        };
        let open = crate::incidents::list(&stage, &right, &filter, &crate::paging::Paging::default()).await.unwrap().items;
        assert_eq!(open.len(), 1, "{open:?}");
        assert!(open[0].detail.contains("300 units of api_call"), "{open:?}");
    }

    async fn overage_of_a_yearly_plan_is_told_month_by_month(stage: Stage) {
        let scope = stage.trialing("plan_growth_y").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        live_until(&stage, days(15)).await;
        for month in 0..3_u64 {
            used(&stage, &scope, &format!("m{month}"), 100_500).await;
            report(&stage, None).await.unwrap();
            a_minute_later(&stage).await;
            let found = compared(&stage).await;
            assert_eq!((found.drift, found.billed), (0, found.recorded), "{:?}", found.orgs);
            assert!(found.recorded >= 500, "the month's overage is told: {found:?}");
            live_until(&stage, days(15 + 31 * (month + 1))).await;
        }
        assert_eq!(compared(&stage).await.drift, 0);
    }
}
