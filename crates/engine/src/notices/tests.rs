//! What holds for letters about payments, on a real engine beside a real sandbox.

use std::time::Duration;

use tollgate_rules::ids::PlanCode;
use tollgate_rules::time::Timestamp;

use crate::access::OrgScope;
use crate::subscriptions::tests::stage::{Stage, on_stage};
use crate::subscriptions::{self, Upgrade};
use crate::{inbox, jobs};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Both move on, hear what happened and do what is due; twice, because billing tells everything twice.
async fn live_until(stage: &Stage, at: Timestamp) {
    stage.move_to(at).await;
    for _ in 0..2 {
        inbox::reconcile::reconcile(stage).await.unwrap();
        jobs::run_due(stage).await.unwrap();
    }
}

/// How many letters with this in their subject went out.
fn letters(stage: &Stage, subject: &str) -> usize {
    let heard = stage.engine.letters();
    heard
        .iter()
        .filter(|letter| letter.lines().any(|line| line.starts_with("Subject:") && line.contains(subject)))
        .count()
}

/// An org that pays for plan starter with a card, and an address.
async fn paying(stage: &Stage) -> (OrgScope, Timestamp) {
    let scope = stage.trialing("plan_starter_m").await;
    stage.pay_with(&scope, "pm_card_visa").await;
    let starter = Upgrade { new_plan_code: Some(PlanCode::parse("starter").unwrap()), ..Upgrade::default() };
    subscriptions::upgrade(stage, &scope, &starter).await.unwrap();
    let end = subscriptions::entitlements(stage, &scope, None).await.unwrap().period.unwrap().end;
    (scope, end)
}

on_stage! {
    async fn a_failed_payment_is_told_once_and_so_is_its_arrival(stage: Stage) {
        let (scope, end) = paying(&stage).await;
        stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
        live_until(&stage, end.plus(2 * HOUR)).await;
        assert_eq!(letters(&stage, "payment of Acme failed"), 1);
        let letter = stage.engine.letters().into_iter().find(|letter| letter.contains("failed")).unwrap();
        assert!(letter.contains("To: billing@example.com") && letter.contains("text/html"), "{letter}");
        // The next attempt fails too; nobody is told again.
        live_until(&stage, end.plus(4 * DAY)).await;
        assert_eq!((letters(&stage, "failed"), letters(&stage, "has paid")), (1, 0));
        stage.pay_with(&scope, "pm_card_visa").await;
        live_until(&stage, end.plus(15 * DAY)).await;
        assert_eq!((letters(&stage, "failed"), letters(&stage, "has paid")), (1, 1));
        live_until(&stage, end.plus(40 * DAY)).await;
        assert_eq!((letters(&stage, "failed"), letters(&stage, "has paid"), letters(&stage, "no access")), (1, 1, 0));
    }

    async fn the_end_of_access_is_told_when_the_days_of_grace_are_over(stage: Stage) {
        let (scope, end) = paying(&stage).await;
        stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
        live_until(&stage, end.plus(2 * HOUR)).await;
        live_until(&stage, end.plus(6 * DAY)).await;
        assert_eq!(letters(&stage, "no access"), 0, "the days of grace go on");
        live_until(&stage, end.plus(7 * DAY).plus(2 * HOUR)).await;
        assert_eq!(letters(&stage, "no access"), 1);
        live_until(&stage, end.plus(30 * DAY)).await;
        assert_eq!(letters(&stage, "no access"), 1, "billing gave up as well; that is no news");
    }

    async fn the_end_of_a_trial_is_told_three_days_before_unless_it_was_cancelled(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let leaving = stage.trialing("plan_starter_m").await;
        subscriptions::cancel(&stage, &leaving, subscriptions::EndsAt::PeriodEnd).await.unwrap();
        let end = subscriptions::entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
        live_until(&stage, end.minus(3 * DAY).minus(HOUR)).await;
        assert_eq!(letters(&stage, "trial of Acme ends"), 0);
        live_until(&stage, end.minus(3 * DAY).plus(HOUR)).await;
        assert_eq!(letters(&stage, "trial of Acme ends"), 1);
        assert!(stage.engine.letters()[0].contains("without one, access ends"), "{:?}", stage.engine.letters());
        live_until(&stage, end.plus(2 * HOUR)).await;
        assert_eq!(letters(&stage, "trial of Acme ends"), 1);
    }
}
