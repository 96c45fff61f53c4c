//! What cannot be changed so is told apart, and changes nothing.

use super::*;
use crate::subscriptions::{EndsAt, cancel, pause, resume};
use tollgate_connectors::billing::CancelSettlement;
use tollgate_rules::billing::SubscriptionStatus;

on_stage! {
    async fn each_wrong_wish_has_its_own_refusal(stage: Stage) {
        let scope = paying(&stage, "growth").await;
        let refused = |wanted: Wanted| { let (stage, scope) = (&stage, &scope); async move { preview(stage, scope, &wanted).await.unwrap_err() } };
        assert!(matches!(refused(wanted("gold")).await, Error::UnknownPlan));
        assert!(matches!(refused(wanted("trial")).await, Error::UnknownPlan));
        assert!(matches!(refused(wanted("scale")).await, Error::NotSelfService));
        assert!(matches!(refused(wanted("growth")).await, Error::AlreadyOnPlan));
        for quantity in [0, -1, 1_000_001] {
            assert!(matches!(refused(Wanted { quantity: Some(quantity), ..wanted("pro") }).await, Error::BadQuantity));
        }
        assert!(matches!(refused(Wanted { coupon: Some("nobody".to_owned()), ..wanted("pro") }).await, Error::BadCoupon));
        assert!(matches!(upgrade(&stage, &scope, &to("growth")).await, Err(Error::AlreadyOnPlan)));
        assert!(matches!(upgrade(&stage, &scope, &to("starter")).await, Err(Error::IsDowngrade(_))));
        assert!(matches!(schedule_downgrade(&stage, &scope, &wanted("pro")).await, Err(Error::IsUpgrade)));
        let nobody = stage.customer("Globex").await;
        assert!(matches!(preview(&stage, &nobody, &wanted("growth")).await, Err(Error::NoSubscription)));
        let after = now(&stage, &scope).await;
        assert_eq!((after.plan_code.unwrap().as_str(), after.scheduled_change, charged(&stage, &scope).await.len()), ("growth", None, 2));
    }

    async fn a_quote_is_its_orgs_and_says_all_there_is_to_say(stage: Stage) {
        let (scope, other) = (paying(&stage, "starter").await, paying(&stage, "starter").await);
        let quote = preview(&stage, &scope, &wanted("growth")).await.unwrap();
        assert!(matches!(upgrade(&stage, &other, &confirm(&quote)).await, Err(Error::UnknownQuote)));
        let differs = Upgrade { quote_id: Some(quote.quote_id.clone()), quantity: Some(2), interval: Some(Interval::Year), ..to("pro") };
        let Err(Error::QuoteDiffers(fields)) = upgrade(&stage, &scope, &differs).await else { panic!("it differs") };
        assert_eq!(fields, ["newPlanCode", "interval", "quantity"]);
        assert_eq!(plan(&stage, &scope).await, "starter");
        let same = Upgrade { quote_id: Some(quote.quote_id), quantity: Some(1), interval: Some(Interval::Month), ..to("growth") };
        upgrade(&stage, &scope, &same).await.unwrap();
        assert_eq!(plan(&stage, &scope).await, "growth");
    }

    async fn a_subscription_ends_with_its_period_or_at_once_and_an_end_to_come_is_taken_back(stage: Stage) {
        let scope = paying(&stage, "growth").await;
        let ends = now(&stage, &scope).await.period.unwrap().end;
        schedule_downgrade(&stage, &scope, &wanted("starter")).await.unwrap();
        let ending = cancel(&stage, &scope, EndsAt::PeriodEnd).await.unwrap();
        assert_eq!((ending.status, ending.cancel_at), (SubscriptionStatus::Active, Some(ends)));
        assert_eq!(now(&stage, &scope).await.scheduled_change.map(|change| change.plan_code), Some(None));
        assert!(matches!(schedule_downgrade(&stage, &scope, &wanted("starter")).await, Err(Error::Ending(_))));
        let again = cancel(&stage, &scope, EndsAt::PeriodEnd).await.unwrap();
        assert_eq!(again, ending);
        let resumed = resume(&stage, &scope).await.unwrap();
        assert_eq!((resumed.status, resumed.cancel_at), (SubscriptionStatus::Active, None));
        let over = cancel(&stage, &scope, EndsAt::Now).await.unwrap();
        assert_eq!(over.status, SubscriptionStatus::Canceled);
        assert_eq!(plan(&stage, &scope).await, "none");
        assert!(matches!(resume(&stage, &scope).await, Err(Error::Ended)));
        assert!(matches!(cancel(&stage, &scope, EndsAt::Now).await, Err(Error::Ended)));
    }

    async fn a_pause_closes_the_access_and_is_taken_back_within_what_was_paid(stage: Stage) {
        let scope = paying(&stage, "growth").await;
        let before = now(&stage, &scope).await;
        assert_eq!(pause(&stage, &scope).await.unwrap().status, SubscriptionStatus::Paused);
        assert_eq!(pause(&stage, &scope).await.unwrap().status, SubscriptionStatus::Paused);
        assert_eq!(plan(&stage, &scope).await, "none");
        assert!(matches!(upgrade(&stage, &scope, &to("pro")).await, Err(Error::NotChangeable(SubscriptionStatus::Paused))));
        assert_eq!(resume(&stage, &scope).await.unwrap().status, SubscriptionStatus::Active);
        assert_eq!(now(&stage, &scope).await.period, before.period);
        assert_eq!(charged(&stage, &scope).await.len(), 2);
        pause(&stage, &scope).await.unwrap();
        stage.move_to(before.period.unwrap().end.plus(Duration::from_secs(86_400))).await;
        assert_eq!(resume(&stage, &scope).await.unwrap().status, SubscriptionStatus::Active);
        assert_eq!((plan(&stage, &scope).await.as_str(), charged(&stage, &scope).await[0]), ("growth", 39_900));
    }

    async fn what_ended_at_billing_without_our_knowing_is_refused_and_then_known(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let customer = ensure_customer(&stage, &scope, "billing@example.com").await.unwrap().customer_id;
        let there = stage.billing().subscriptions_of(&customer).await.unwrap();
        stage.billing().cancel_subscription(&there[0].subscription_id, CancelSettlement::Nothing).await.unwrap();
        let answer = upgrade(&stage, &scope, &to("growth")).await;
        assert!(matches!(answer, Err(Error::Billing(_))), "{answer:?}");
        assert_eq!((plan(&stage, &scope).await.as_str(), charged(&stage, &scope).await.len()), ("none", 2));
    }
}
