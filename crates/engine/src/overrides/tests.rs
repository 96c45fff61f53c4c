//! What holds for overrides.

use std::time::Duration;

use tollgate_rules::catalog::{FeatureValue, OveragePolicy};
use tollgate_rules::ids::{FeatureCode, Metric};

use super::{Clear, Error, Set, Subject, clear, list, set};
use crate::on_both;
use crate::paging::Paging;
use crate::subscriptions::entitlements;
use crate::subscriptions::tests::stage::{Stage, on_stage};
use crate::testing::TestEngine;

fn calls(included: Option<Option<i64>>, policy: Option<OveragePolicy>) -> Subject {
    Subject::Metric { metric: Metric::parse("api_call").unwrap(), included, policy }
}

fn forever(subject: Subject) -> Set {
    Set { subject, starts_at: None, ends_at: None, reason: "agreed by contract".to_owned() }
}

async fn included(stage: &Stage, scope: &crate::access::OrgScope) -> (Option<i64>, OveragePolicy) {
    let read = entitlements(stage, scope, None).await.unwrap();
    let calls = read.metric("api_call").unwrap();
    (calls.included, calls.policy)
}

on_stage! {
    async fn an_override_stands_instead_of_the_plan_until_it_ends_or_is_cleared(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let hard = OveragePolicy::HardStop;
        assert_eq!(included(&stage, &scope).await, (Some(1_000), hard));
        set(&stage, &scope, forever(calls(Some(Some(5_000)), None))).await.unwrap();
        assert_eq!(included(&stage, &scope).await, (Some(5_000), hard));
        let soon = stage.engine.now().plus(Duration::from_secs(3_600));
        let dated = Set { ends_at: Some(soon), ..forever(calls(Some(None), None)) };
        set(&stage, &scope, dated).await.unwrap();
        assert_eq!(included(&stage, &scope).await, (None, hard), "the one made last counts");
        stage.move_to(soon).await;
        assert_eq!(included(&stage, &scope).await, (Some(5_000), hard), "then the older one counts again");
        let metered = OveragePolicy::Metered { amount_minor: 5, per_units: 10 };
        set(&stage, &scope, forever(calls(None, Some(metered)))).await.unwrap();
        assert_eq!(included(&stage, &scope).await, (Some(5_000), metered));
        let metric = Metric::parse("api_call").unwrap();
        assert_eq!(clear(&stage, &scope, Clear::Metric(metric.clone()), "over".to_owned()).await.unwrap().len(), 2);
        assert_eq!(included(&stage, &scope).await, (Some(1_000), hard));
        assert!(matches!(clear(&stage, &scope, Clear::Metric(metric), "over".to_owned()).await, Err(Error::NotFound)));
    }

    async fn a_feature_is_overridden_and_what_it_replaces_is_gone(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let feature = FeatureCode::parse("sso").unwrap();
        for value in [true, false, true] {
            let subject = Subject::Feature { feature: feature.clone(), value: FeatureValue::Bool(value) };
            set(&stage, &scope, forever(subject)).await.unwrap();
        }
        let read = entitlements(&stage, &scope, None).await.unwrap();
        assert_eq!(read.features.get(&feature), Some(&FeatureValue::Bool(true)));
        let all = list(&stage, &stage.operator(), Some(scope.org_id()), &Paging::default()).await.unwrap().items;
        let open = all.iter().filter(|one| one.cleared_at.is_none()).count();
        assert_eq!((all.len(), open), (3, 1));
    }
}

on_both! {
    async fn an_override_that_means_nothing_is_refused(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let past = engine.now().minus(Duration::from_secs(1));
        let unknown = Subject::Metric { metric: Metric::parse("nothing").unwrap(), included: Some(None), policy: None };
        let metered = OveragePolicy::Metered { amount_minor: 5, per_units: 10 };
        for bad in [
            forever(calls(None, None)),
            forever(calls(Some(None), Some(metered))),
            Set { ends_at: Some(past), ..forever(calls(Some(Some(1)), None)) },
        ] {
            assert!(matches!(set(&engine, &scope, bad).await, Err(Error::Invalid { .. })));
        }
        assert!(matches!(set(&engine, &scope, forever(unknown)).await, Err(Error::UnknownMetric)));
        assert!(list(&engine, &engine.server(), None, &Paging::default()).await.unwrap().items.is_empty());
    }
}
