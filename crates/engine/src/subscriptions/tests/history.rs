//! Past moments, the journal, and facts that say nothing new.

use tollgate_rules::billing::SubscriptionStatus;

use super::stage::on_stage;
use super::{hear, now, plan, to};
use crate::subscriptions::{entitlements, sql, upgrade};
use crate::testing::START;

on_stage! {
    async fn any_past_moment_is_answered_as_it_was(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.move_to(START.plus_days(2)).await;
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &to("growth")).await.unwrap();
        stage.move_to(START.plus_days(40)).await;
        hear(&stage, &scope).await;
        let at = async |days| entitlements(&stage, &scope, Some(START.plus_days(days))).await.unwrap();
        let before = entitlements(&stage, &scope, Some(START.minus(std::time::Duration::from_secs(3_600)))).await.unwrap();
        assert_eq!((before.status, plan(&before), before.effective_at), (None, "none", None));
        let trial = at(1).await;
        assert_eq!((trial.status, plan(&trial)), (Some(SubscriptionStatus::Trialing), "trial"));
        assert_eq!(trial.metric("api_call").unwrap().included, Some(1_000));
        let paid = at(3).await;
        assert_eq!((plan(&paid), paid.metric("api_call").unwrap().included), ("growth", Some(100_000)));
        assert_eq!(paid.period_key.unwrap().to_string(), "2026-01.2");
        let present = now(&stage, &scope).await;
        assert_eq!(present.period_key.unwrap().to_string(), "2026-02");
        assert_eq!(entitlements(&stage, &scope, Some(START.plus_days(400))).await.unwrap(), present, "the future is now");
    }

    async fn the_same_fact_again_writes_nothing(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let count = async || {
            let mut connection = stage.db().read().await.unwrap();
            let entries = connection.one(&ENTRIES, &[scope.org_key().0.into()]).await.unwrap().i64("entries").unwrap();
            let last = sql::last_snapshot(&mut connection, scope.org_key()).await.unwrap().unwrap();
            (entries, last.entry_no)
        };
        let before = count().await;
        hear(&stage, &scope).await;
        hear(&stage, &scope).await;
        assert_eq!(count().await, before);
        assert!(before.0 >= 2, "the org, its customer and its subscription are in the journal");
    }
}

const ENTRIES: crate::db::Statement = crate::db::Statement::new(
    "tests.audit_entries",
    "SELECT COUNT(*) AS entries FROM audit_journal WHERE org_key = $1",
);
