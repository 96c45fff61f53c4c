//! What holds when existing subscriptions are moved to the newest version of their plan.

use tollgate_rules::catalog::{Allowance, Included, OveragePolicy};
use tollgate_rules::ids::{Metric, PlanCode};

use super::stage::on_stage;
use crate::plans;
use crate::subscriptions::{Migrate, entitlements, migrate, preview_migration};

on_stage! {
    async fn subscriptions_stay_on_their_version_until_they_are_moved(stage: Stage) {
        let operator = stage.operator();
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        let trial_ends = entitlements(&stage, &scope, None).await.unwrap().period.unwrap().end;
        stage.move_to(trial_ends.plus(std::time::Duration::from_secs(3 * 3_600))).await;
        let mut catalog = (*plans::catalog(&stage)).clone();
        let metric = Metric::parse("api_call").unwrap();
        for plan in catalog.plans.iter_mut().filter(|plan| plan.code.as_str() == "starter") {
            let more = Allowance { included: Included::Units(12_345), policy: OveragePolicy::HardStop, rollover: None };
            plan.allowances.insert(metric.clone(), more);
        }
        plans::publish(&stage, &operator, catalog).await.unwrap();
        let included = async || entitlements(&stage, &scope, None).await.unwrap().metric("api_call").unwrap().included;
        assert_eq!(included().await, Some(10_000), "what was sold stays");
        let wanted =
            Migrate { plan_code: PlanCode::parse("starter").unwrap(), orgs: None, reason: "more for all".to_owned() };
        let shown = preview_migration(&stage, &operator, &wanted).await.unwrap();
        assert_eq!((shown.to_version, shown.orgs.len(), shown.orgs[0].from_version), (2, 1, 1));
        assert_eq!(included().await, Some(10_000), "a preview changes nothing");
        let moved = migrate(&stage, &operator, &wanted).await.unwrap();
        assert_eq!((moved.orgs.len(), moved.orgs[0].failed.as_deref()), (1, None));
        assert_eq!(included().await, Some(12_345));
        assert!(migrate(&stage, &operator, &wanted).await.unwrap().orgs.is_empty(), "twice moves nobody");
    }
}
