//! Plans and their versions, on both databases and against the sandbox over HTTP.

use tollgate_rules::catalog::Catalog;
use tollgate_rules::ids::PriceId;
use tollgate_rules::period::Interval;

use super::*;
use crate::subscriptions::tests::stage::on_stage;

fn default_catalog() -> Catalog {
    Catalog::parse(Catalog::default_text()).unwrap()
}

/// The default catalog with another number of included calls on plan starter.
fn with_starter_included(units: &str) -> Catalog {
    let text = Catalog::default_text().replacen("included = 10000\n", &format!("included = {units}\n"), 1);
    Catalog::parse(&text).unwrap()
}

fn version_of(engine: &Engine, code: &str) -> u32 {
    catalog(engine).plan(code).unwrap().version
}

async fn owner_of(engine: &Engine, price_id: &PriceId) -> Option<(String, u32)> {
    let mut connection = engine.db().read().await.unwrap();
    sql::plan_of_price(&mut connection, price_id).await.unwrap()
}

on_stage! {
    async fn a_new_database_has_the_catalog_of_the_plans_file(stage: Stage) {
        let catalog = catalog(&stage);
        assert_eq!(catalog.plans.len(), 5);
        assert!(catalog.plans.iter().all(|plan| plan.version == 1));
        assert_eq!(catalog.metrics, default_catalog().metrics);
    }

    async fn the_same_plans_again_make_no_version(stage: Stage) {
        let published = publish(&stage, &stage.operator(), default_catalog()).await.unwrap();
        assert!(published.is_empty(), "{published:?}");
        assert!(diff(&stage, &stage.operator(), &default_catalog()).await.unwrap().plans.is_empty());
    }

    async fn an_edited_plan_makes_a_version_and_the_old_one_stays_as_it_was(stage: Stage) {
        let published = publish(&stage, &stage.operator(), with_starter_included("20000")).await.unwrap();
        assert_eq!(published.versions.iter().map(|(code, version)| (code.as_str(), *version)).collect::<Vec<_>>(), [("starter", 2)]);
        assert_eq!((version_of(&stage, "starter"), version_of(&stage, "growth")), (2, 1));
        let mut connection = stage.db().read().await.unwrap();
        let api_call = tollgate_rules::ids::Metric::parse("api_call").unwrap();
        for (number, units) in [(1, 10_000), (2, 20_000)] {
            let plan = version(&stage, &mut connection, "starter", number).await.unwrap().unwrap();
            assert_eq!(plan.allowance(&api_call).included.units(), Some(units));
            assert_eq!(plan.version, number);
        }
        assert_eq!(version(&stage, &mut connection, "starter", 3).await.unwrap(), None);
    }

    async fn going_back_to_an_older_content_is_a_version_of_its_own(stage: Stage) {
        publish(&stage, &stage.operator(), with_starter_included("20000")).await.unwrap();
        publish(&stage, &stage.operator(), default_catalog()).await.unwrap();
        assert_eq!(version_of(&stage, "starter"), 3);
    }

    async fn a_plan_that_left_the_file_is_no_longer_sold_and_can_come_back(stage: Stage) {
        let mut smaller = default_catalog();
        smaller.plans.retain(|plan| plan.code.as_str() != "pro");
        let planned = diff(&stage, &stage.operator(), &smaller).await.unwrap();
        assert_eq!(planned.plans.iter().map(|plan| (plan.code.as_str(), plan.change.clone())).collect::<Vec<_>>(), [("pro", PlanChange::Archived)]);
        let published = publish(&stage, &stage.operator(), smaller).await.unwrap();
        assert_eq!(published.archived.len(), 1);
        assert!(catalog(&stage).plan("pro").is_none());
        let planned = diff(&stage, &stage.operator(), &default_catalog()).await.unwrap();
        assert_eq!(planned.plans[0].change, PlanChange::Restored);
        publish(&stage, &stage.operator(), default_catalog()).await.unwrap();
        assert_eq!(version_of(&stage, "pro"), 1);
        assert_eq!(catalog(&stage).plans.iter().map(|plan| plan.code.as_str()).collect::<Vec<_>>(), ["trial", "starter", "growth", "pro", "scale"]);
    }

    async fn a_diff_names_each_field_that_would_change(stage: Stage) {
        let planned = diff(&stage, &stage.operator(), &with_starter_included("20000")).await.unwrap();
        let [plan] = planned.plans.as_slice() else { panic!("{planned:?}") };
        let PlanChange::Edited { from: 1, to: 2, fields } = &plan.change else { panic!("{plan:?}") };
        let [field] = fields.as_slice() else { panic!("{fields:?}") };
        assert_eq!(field.field, "allowances.api_call.included.units");
        assert_eq!((field.before.clone().unwrap(), field.after.clone().unwrap()), (10_000.into(), 20_000.into()));
        assert_eq!(version_of(&stage, "starter"), 1, "a diff changes nothing");
    }

    async fn a_metric_that_is_added_can_be_counted_by_orgs_that_are_here_already(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let text = format!("{}\n[[metric]]\ncode = \"tokens\"\n", Catalog::default_text());
        let published = publish(&stage, &stage.operator(), Catalog::parse(&text).unwrap()).await.unwrap();
        assert!(published.metrics_changed && published.versions.is_empty(), "{published:?}");
        crate::jobs::run_due(&stage).await.unwrap();
        let tokens = tollgate_rules::ids::Metric::parse("tokens").unwrap();
        let check = crate::ledger::Check { metric: tokens, units: tollgate_rules::quantity::Units::ONE };
        let answer = crate::ledger::check(&stage, &scope, check).await.unwrap();
        assert!(format!("{answer:?}").contains("QuotaExceeded"), "included with 0, hard stop: {answer:?}");
    }

    async fn a_diff_says_who_has_used_more_than_a_lowered_limit(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        let choice = crate::subscriptions::Upgrade {
            new_plan_code: Some(tollgate_rules::ids::PlanCode::parse("starter").unwrap()),
            interval: None,
            quantity: None,
            quote_id: None,
        };
        crate::subscriptions::upgrade(&stage, &scope, &choice).await.unwrap();
        let over = async |units: &str| {
            diff(&stage, &stage.operator(), &with_starter_included(units)).await.unwrap().plans[0].orgs_over.clone()
        };
        let api_call = tollgate_rules::ids::Metric::parse("api_call").unwrap();
        assert_eq!(over("500").await, [(api_call.clone(), 0)]);
        let record = crate::ledger::Record {
            request_id: tollgate_rules::ids::RequestId::parse("r1").unwrap(),
            items: vec![crate::ledger::Item {
                metric: api_call.clone(),
                units: tollgate_rules::quantity::Units::new(501).unwrap(),
            }],
            occurred_at: None,
            source: "api".to_owned(),
            force: None,
        };
        crate::ledger::record(&stage, &scope, record).await.unwrap();
        assert_eq!(over("500").await, [(api_call.clone(), 1)]);
        assert_eq!(over("501").await, [(api_call, 0)]);
        assert_eq!(over("20000").await, [], "a limit that goes up stops nobody");
    }

    async fn products_and_prices_are_made_at_stripe_once(stage: Stage) {
        let planned = diff(&stage, &stage.operator(), &default_catalog()).await.unwrap();
        assert_eq!(planned.prices.len(), 6);
        let first = ensure_at_stripe(&stage, &stage.operator()).await.unwrap();
        assert_eq!((first.products_created, first.prices_created, first.prices_adopted), (3, 6, 0));
        let second = ensure_at_stripe(&stage, &stage.operator()).await.unwrap();
        assert_eq!((second.products_created, second.prices_created, second.prices_adopted), (0, 0, 6));
        assert!(diff(&stage, &stage.operator(), &default_catalog()).await.unwrap().is_empty());
    }

    async fn an_edited_plan_gets_prices_of_its_own_and_the_lookup_keys_move_to_them(stage: Stage) {
        ensure_at_stripe(&stage, &stage.operator()).await.unwrap();
        let old = price_for(&stage, catalog(&stage).plan("starter").unwrap(), Interval::Month).await.unwrap().unwrap();
        publish(&stage, &stage.operator(), with_starter_included("20000")).await.unwrap();
        let planned = diff(&stage, &stage.operator(), &with_starter_included("20000")).await.unwrap();
        assert_eq!(planned.prices.iter().map(|price| price.lookup_key.as_str()).collect::<Vec<_>>(), ["plan_starter_m", "plan_starter_y"]);
        assert_eq!(planned.prices[0].replaces.as_ref(), Some(&old));
        let ensured = ensure_at_stripe(&stage, &stage.operator()).await.unwrap();
        assert_eq!((ensured.products_created, ensured.prices_created, ensured.prices_adopted), (0, 2, 4));
        let new = price_for(&stage, catalog(&stage).plan("starter").unwrap(), Interval::Month).await.unwrap().unwrap();
        assert_ne!(old, new);
        assert_eq!(owner_of(&stage, &old).await, Some(("starter".to_owned(), 1)));
        assert_eq!(owner_of(&stage, &new).await, Some(("starter".to_owned(), 2)));
        let held = stage.billing().prices(&["plan_starter_m".to_owned()]).await.unwrap();
        assert_eq!(held.iter().map(|fact| fact.price_id.clone()).collect::<Vec<_>>(), [new]);
    }

    async fn a_price_that_stands_at_stripe_under_the_lookup_key_is_used(stage: Stage) {
        let billing = stage.billing();
        let key = |step: &str| tollgate_connectors::billing::IdempotencyKey::of_step("op_by_hand", step).unwrap();
        let product = tollgate_connectors::billing::NewProduct {
            product_id: "prod_by_hand".to_owned(),
            name: "Starter".to_owned(),
            metadata: std::collections::BTreeMap::new(),
        };
        billing.create_product(&key("product"), &product).await.unwrap();
        let price = tollgate_connectors::billing::NewPrice {
            product_id: product.product_id,
            amount: default_catalog().plan("starter").unwrap().price(Interval::Month).unwrap().amount,
            interval: Interval::Month,
            lookup_key: "plan_starter_m".to_owned(),
            metadata: std::collections::BTreeMap::new(),
        };
        let by_hand = billing.create_price(&key("price"), &price).await.unwrap();
        let ensured = ensure_at_stripe(&stage, &stage.operator()).await.unwrap();
        assert_eq!((ensured.prices_created, ensured.prices_adopted), (5, 1));
        assert_eq!(owner_of(&stage, &by_hand.price_id).await, Some(("starter".to_owned(), 1)));
    }

    async fn a_missing_price_is_made_when_it_is_asked_for(stage: Stage) {
        let found = price_for(&stage, catalog(&stage).plan("growth").unwrap(), Interval::Year).await.unwrap().unwrap();
        assert_eq!(owner_of(&stage, &found).await, Some(("growth".to_owned(), 1)));
        assert_eq!(price_for(&stage, catalog(&stage).plan("scale").unwrap(), Interval::Month).await.unwrap(), None);
    }
}
