//! What was shown is what is charged, played against the sandbox over HTTP on both databases.

mod debts;
mod random;
mod refusals;

use std::time::Duration;

use tollgate_rules::ids::PlanCode;
use tollgate_rules::period::Interval;

use super::{Quote, Wanted, preview};
use crate::access::OrgScope;
use crate::subscriptions::tests::stage::{Stage, on_stage};
use crate::subscriptions::{Entitlements, Error, Upgrade, ensure_customer, entitlements, schedule_downgrade, upgrade};
use crate::testing::START;

pub(super) fn wanted(plan: &str) -> Wanted {
    Wanted { plan_code: PlanCode::parse(plan).unwrap(), interval: None, quantity: None, coupon: None }
}

pub(super) fn to(plan: &str) -> Upgrade {
    Upgrade { new_plan_code: Some(PlanCode::parse(plan).unwrap()), ..Upgrade::default() }
}

pub(super) fn confirm(quote: &Quote) -> Upgrade {
    Upgrade { quote_id: Some(quote.quote_id.clone()), ..Upgrade::default() }
}

pub(crate) async fn now(stage: &Stage, scope: &OrgScope) -> Entitlements {
    entitlements(stage, scope, None).await.unwrap()
}

pub(super) async fn plan(stage: &Stage, scope: &OrgScope) -> String {
    now(stage, scope).await.plan_code.map_or("none".to_owned(), |code| code.to_string())
}

/// Everything that was charged so far, newest invoice first.
pub(crate) async fn charged(stage: &Stage, scope: &OrgScope) -> Vec<i64> {
    let customer = ensure_customer(stage, scope, "billing@example.com").await.unwrap().customer_id;
    let invoices = stage.billing().invoices_page(&customer, None).await.unwrap();
    invoices.items.iter().map(|invoice| invoice.amount_paid).collect()
}

/// An org that pays for a plan.
pub(crate) async fn paying(stage: &Stage, plan: &str) -> OrgScope {
    let scope = stage.trialing(&format!("plan_{plan}_m")).await;
    stage.pay_with(&scope, "pm_card_visa").await;
    upgrade(stage, &scope, &to(plan)).await.unwrap();
    scope
}

on_stage! {
    async fn a_quote_charges_exactly_what_it_shows_also_minutes_later(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        stage.move_to(START.plus_days(11)).await;
        let quote = preview(&stage, &scope, &wanted("growth")).await.unwrap();
        assert_eq!(quote.mirror, None, "there is no plan mirror");
        assert_eq!(plan(&stage, &scope).await, "starter", "a preview changes nothing");
        assert_eq!(quote.items.iter().map(|item| item.amount).sum::<i64>(), quote.amount.minor);
        assert!(quote.items.iter().all(|item| item.proration) && quote.proration == quote.amount.minor);
        let before = now(&stage, &scope).await;
        stage.move_to(START.plus_days(11).plus(Duration::from_secs(840))).await;
        upgrade(&stage, &scope, &confirm(&quote)).await.unwrap();
        assert_eq!(charged(&stage, &scope).await[0], quote.amount.minor);
        let after = now(&stage, &scope).await;
        assert_eq!(plan(&stage, &scope).await, "growth");
        assert_eq!((after.period, after.metric("api_call").unwrap().included), (before.period, Some(100_000)));
        let again = upgrade(&stage, &scope, &confirm(&quote)).await.unwrap();
        assert_eq!((again.plan_code.as_str(), charged(&stage, &scope).await.len()), ("growth", 3), "a quote is charged once");
    }

    async fn a_quote_that_no_longer_holds_is_answered_with_a_new_one(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let quote = preview(&stage, &scope, &wanted("growth")).await.unwrap();
        stage.move_to(START.plus(Duration::from_secs(3_600))).await;
        let Err(Error::QuoteStale(new)) = upgrade(&stage, &scope, &confirm(&quote)).await else { panic!("stale") };
        assert!(new.amount.minor < quote.amount.minor && new.quote_id != quote.quote_id);
        assert_eq!((plan(&stage, &scope).await.as_str(), charged(&stage, &scope).await.len()), ("starter", 2));
        upgrade(&stage, &scope, &confirm(&new)).await.unwrap();
        assert_eq!(charged(&stage, &scope).await[0], new.amount.minor);
    }

    async fn a_year_begins_a_period_of_its_own_and_more_seats_do_not(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let seats = Wanted { quantity: Some(3), ..wanted("starter") };
        let quote = preview(&stage, &scope, &seats).await.unwrap();
        upgrade(&stage, &scope, &confirm(&quote)).await.unwrap();
        assert_eq!(charged(&stage, &scope).await[0], quote.amount.minor);
        let month = now(&stage, &scope).await.period.unwrap();
        stage.move_to(START.plus_days(3)).await;
        let yearly = Wanted { interval: Some(Interval::Year), ..wanted("starter") };
        let quote = preview(&stage, &scope, &yearly).await.unwrap();
        assert_eq!(quote.items.iter().filter(|item| !item.proration).map(|item| item.amount).collect::<Vec<_>>(), [147_000]);
        assert!(quote.proration < 0, "the unused rest of the month is given back");
        let upgraded = upgrade(&stage, &scope, &confirm(&quote)).await;
        // The clock runs on: where a second made a cent of difference, the new quote is what is charged.
        let paid = match upgraded {
            Err(Error::QuoteStale(new)) => {
                upgrade(&stage, &scope, &confirm(&new)).await.unwrap();
                new.amount.minor
            }
            upgraded => {
                upgraded.unwrap();
                quote.amount.minor
            }
        };
        assert_eq!(charged(&stage, &scope).await[0], paid);
        let year = now(&stage, &scope).await;
        assert!(year.period.unwrap().start > month.start);
    }

    async fn a_declined_card_changes_nothing_and_leaves_nothing_to_pay(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let quote = preview(&stage, &scope, &wanted("growth")).await.unwrap();
        stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
        let before = now(&stage, &scope).await;
        let refused = upgrade(&stage, &scope, &confirm(&quote)).await;
        assert!(matches!(refused, Err(Error::PaymentFailed { .. })), "{refused:?}");
        let after = now(&stage, &scope).await;
        assert_eq!((after.plan_code, after.period, after.status), (before.plan_code, before.period, before.status));
        let customer = ensure_customer(&stage, &scope, "billing@example.com").await.unwrap().customer_id;
        let invoices = stage.billing().invoices_page(&customer, None).await.unwrap().items;
        assert!(invoices.iter().all(|invoice| invoice.status != tollgate_rules::billing::InvoiceStatus::Open), "{invoices:?}");
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &confirm(&quote)).await.unwrap();
        assert_eq!(plan(&stage, &scope).await, "growth");
    }

    async fn a_scheduled_downgrade_shows_comes_and_can_be_taken_back(stage: Stage) {
        let scope = paying(&stage, "growth").await;
        let ends = now(&stage, &scope).await.period.unwrap().end;
        let scheduled = schedule_downgrade(&stage, &scope, &wanted("starter")).await.unwrap();
        assert_eq!((scheduled.plan_code.as_str(), scheduled.effective_at), ("starter", ends));
        let shown = now(&stage, &scope).await;
        let change = shown.scheduled_change.unwrap();
        assert_eq!((change.plan_code.unwrap().as_str(), change.at, shown.plan_code.unwrap().as_str()), ("starter", ends, "growth"));
        crate::subscriptions::cancel_downgrade(&stage, &scope).await.unwrap();
        assert_eq!(now(&stage, &scope).await.scheduled_change, None);
        schedule_downgrade(&stage, &scope, &wanted("starter")).await.unwrap();
        stage.move_to(ends.plus(Duration::from_secs(7_200))).await;
        assert_eq!(plan(&stage, &scope).await, "starter", "the server that slept derives it");
        crate::subscriptions::cancel_downgrade(&stage, &scope).await.unwrap();
        let told = now(&stage, &scope).await;
        assert_eq!((told.plan_code.as_ref().unwrap().as_str(), told.metric("api_call").unwrap().included), ("starter", Some(10_000)));
        assert_eq!(charged(&stage, &scope).await[0], 4_900);
    }

    async fn an_upgrade_replaces_what_was_scheduled_unless_its_card_is_declined(stage: Stage) {
        let scope = paying(&stage, "growth").await;
        schedule_downgrade(&stage, &scope, &wanted("starter")).await.unwrap();
        stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
        assert!(matches!(upgrade(&stage, &scope, &to("pro")).await, Err(Error::PaymentFailed { .. })));
        let kept = now(&stage, &scope).await.scheduled_change.and_then(|change| change.plan_code);
        assert_eq!(kept.as_ref().map(PlanCode::as_str), Some("starter"), "a declined card changes nothing");
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &to("pro")).await.unwrap();
        let after = now(&stage, &scope).await;
        assert_eq!((after.plan_code.unwrap().as_str(), after.scheduled_change), ("pro", None));
    }

    async fn fewer_seats_and_a_shorter_interval_wait_for_the_period_to_end(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        upgrade(&stage, &scope, &Upgrade { interval: Some(Interval::Year), quantity: Some(4), ..to("starter") }).await.unwrap();
        let fewer = Wanted { interval: Some(Interval::Month), quantity: Some(2), ..wanted("starter") };
        let preview = preview(&stage, &scope, &fewer).await.unwrap();
        assert_eq!((preview.amount.minor, preview.items.len()), (0, 0));
        let scheduled = schedule_downgrade(&stage, &scope, &fewer).await.unwrap();
        assert_eq!(scheduled.effective_at, preview.effective_at);
        assert!(scheduled.effective_at > START.plus_days(360));
        stage.move_to(scheduled.effective_at.plus(Duration::from_secs(7_200))).await;
        assert_eq!(charged(&stage, &scope).await[0], 9_800);
    }
}
