//! What an org's subscription does, played against the sandbox over HTTP on both databases.

mod crashes;
mod history;
mod metered;
mod migrations;
pub(crate) mod stage;

use std::time::Duration;

use secrecy::ExposeSecret;

use tollgate_connectors::billing::CancelSettlement;
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::Catalog;
use tollgate_rules::ids::{PaymentMethodId, PlanCode};
use tollgate_rules::period::Interval;
use tollgate_rules::subscription::Access;
use tollgate_sandbox::Failure;

use super::sync::sync;
use super::*;
use crate::access::OrgScope;
use crate::paging::Paging;
use crate::testing::START;
use crate::{incidents, jobs, operations};
use stage::{Stage, on_stage};

fn starter(lookup: &str) -> NewSubscription {
    NewSubscription { price_lookup: lookup.to_owned(), quantity: None }
}

fn to(plan: &str) -> Upgrade {
    Upgrade { new_plan_code: Some(PlanCode::parse(plan).unwrap()), ..Upgrade::default() }
}

fn method(id: &str) -> PaymentMethodId {
    PaymentMethodId::parse(id).unwrap()
}

async fn now(stage: &Stage, scope: &OrgScope) -> Entitlements {
    entitlements(stage, scope, None).await.unwrap()
}

fn plan(entitlements: &Entitlements) -> &str {
    entitlements.plan_code.as_ref().map_or("none", PlanCode::as_str)
}

/// Fetches what Stripe says now, as a webhook would.
async fn hear(stage: &Stage, scope: &OrgScope) {
    let customer_id = ensure_customer(stage, scope, "billing@example.com").await.unwrap().customer_id;
    sync(stage, Cause::Hint { worker: "test", corr_id: String::new() }, &customer_id).await.unwrap();
}

on_stage! {
    async fn an_org_has_one_customer_however_often_it_is_asked_for(stage: Stage) {
        let scope = stage.org("Acme").await;
        let first = ensure_customer(&stage, &scope, "one@example.com").await.unwrap();
        let second = ensure_customer(&stage, &scope, "two@example.com").await.unwrap();
        assert_eq!((first.created, second.created), (true, false));
        assert_eq!(first.customer_id, second.customer_id);
        let fact = stage.billing().customer(&first.customer_id).await.unwrap().unwrap();
        assert_eq!((fact.email.as_deref(), fact.org_id.as_ref()), (Some("one@example.com"), Some(scope.org_id())));
        assert!(matches!(ensure_customer(&stage, &scope, "nobody").await, Err(Error::BadEmail)));
    }

    async fn twenty_at_once_make_one_customer(stage: Stage) {
        let scope = stage.org("Acme").await;
        let calls = (0..20).map(|_| ensure_customer(&stage, &scope, "one@example.com"));
        let answers: Vec<Ensured> = futures::future::try_join_all(calls).await.unwrap();
        assert!(answers.iter().all(|answer| answer.customer_id == answers[0].customer_id));
        assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
        let found = stage.billing().find_customer("one@example.com", scope.org_id()).await.unwrap();
        assert_eq!(found.unwrap().customer_id, answers[0].customer_id);
    }

    async fn a_price_nobody_sells_is_refused_before_anything_else(stage: Stage) {
        let scope = stage.org("Acme").await;
        assert!(matches!(create(&stage, &scope, &starter("plan_gold_m")).await, Err(Error::UnknownPrice)));
        assert!(matches!(create(&stage, &scope, &starter("plan_starter_m")).await, Err(Error::NoCustomer)));
        let none = NewSubscription { quantity: Some(0), ..starter("plan_starter_m") };
        assert!(matches!(create(&stage, &scope, &none).await, Err(Error::BadQuantity)));
    }

    async fn a_subscription_starts_with_a_trial_that_has_the_limits_of_plan_trial(stage: Stage) {
        let scope = stage.customer("Acme").await;
        let created = create(&stage, &scope, &starter("plan_starter_m")).await.unwrap();
        assert_eq!(created.status, SubscriptionStatus::Trialing);
        let ends = created.trial_ends_at.unwrap();
        assert!(ends.since(START.plus_days(14)) < Duration::from_secs(60), "{ends}");
        let found = now(&stage, &scope).await;
        assert_eq!((plan(&found), found.trial_of.as_ref().unwrap().as_str()), ("trial", "starter"));
        assert_eq!((found.status, found.access), (Some(SubscriptionStatus::Trialing), Access::Allowed));
        assert_eq!(found.period_key.unwrap().to_string(), "2026-01");
        assert_eq!(found.period.unwrap().end, ends);
        let calls = found.metric("api_call").unwrap();
        assert_eq!((calls.included, calls.used, calls.held, calls.remaining), (Some(1_000), 0, 0, Some(1_000)));
        assert_eq!(calls.reset_at, ends);
    }

    async fn the_same_price_again_is_the_same_subscription_and_another_is_refused(stage: Stage) {
        let scope = stage.customer("Acme").await;
        let first = create(&stage, &scope, &starter("plan_starter_m")).await.unwrap();
        assert_eq!(create(&stage, &scope, &starter("plan_starter_m")).await.unwrap(), first);
        assert!(matches!(create(&stage, &scope, &starter("plan_starter_y")).await, Err(Error::AlreadySubscribed)));
        assert!(matches!(create(&stage, &scope, &starter("plan_growth_m")).await, Err(Error::AlreadySubscribed)));
    }

    async fn two_prices_at_once_make_one_subscription(stage: Stage) {
        let scope = stage.customer("Acme").await;
        let (starter_price, growth_price) = (starter("plan_starter_m"), starter("plan_growth_m"));
        let answers = futures::future::join(create(&stage, &scope, &starter_price), create(&stage, &scope, &growth_price)).await;
        let (made, refused) = match answers {
            (Ok(made), Err(refused)) | (Err(refused), Ok(made)) => (made, refused),
            both => panic!("{both:?}"),
        };
        assert!(matches!(refused, Error::AlreadySubscribed), "{refused:?}");
        let customer_id = hear_customer(&stage, &scope).await;
        let at_stripe = stage.billing().subscriptions_of(&customer_id).await.unwrap();
        assert_eq!(at_stripe.iter().map(|fact| &fact.subscription_id).collect::<Vec<_>>(), [&made.subscription_id]);
    }

    async fn an_org_has_one_trial_ever(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let first = create(&stage, &scope, &starter("plan_starter_m")).await.unwrap();
        stage.billing().cancel_subscription(&first.subscription_id, CancelSettlement::Nothing).await.unwrap();
        hear(&stage, &scope).await;
        let over = now(&stage, &scope).await;
        assert_eq!((over.access, over.status, plan(&over)), (Access::NoSubscription, Some(SubscriptionStatus::Canceled), "none"));
        let unpaid = create(&stage, &scope, &starter("plan_starter_m")).await.unwrap();
        assert_eq!((unpaid.status, unpaid.trial_ends_at), (SubscriptionStatus::Incomplete, None));
        assert_ne!(unpaid.subscription_id, first.subscription_id);
        stage.billing().cancel_subscription(&unpaid.subscription_id, CancelSettlement::Nothing).await.unwrap();
        hear(&stage, &scope).await;
        stage.pay_with(&scope, "pm_card_visa").await;
        let paid = create(&stage, &scope, &starter("plan_growth_m")).await.unwrap();
        assert_eq!((paid.status, paid.trial_ends_at), (SubscriptionStatus::Active, None));
        let found = now(&stage, &scope).await;
        assert_eq!((plan(&found), found.period_key.unwrap().to_string().as_str()), ("growth", "2026-01.2"));
    }

    async fn a_setup_intent_hands_out_a_secret_for_the_browser(stage: Stage) {
        let scope = stage.org("Acme").await;
        assert!(matches!(create_setup_intent(&stage, &scope).await, Err(Error::NoCustomer)));
        ensure_customer(&stage, &scope, "one@example.com").await.unwrap();
        let intent = create_setup_intent(&stage, &scope).await.unwrap();
        assert!(intent.client_secret.expose_secret().starts_with(&intent.setup_intent_id));
    }

    async fn a_payment_method_is_attached_and_becomes_the_default_of_customer_and_subscription(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        let mut connection = stage.db().read().await.unwrap();
        let customer = sql::customer(&mut connection, scope.org_key()).await.unwrap().unwrap();
        let mirrors = sql::mirrors(&mut connection, scope.org_key()).await.unwrap();
        assert!(customer.default_payment_method.is_some());
        assert_eq!(mirrors[0].default_payment_method, customer.default_payment_method);
        let again = customer.default_payment_method.unwrap();
        set_default_method(&stage, &scope, &again).await.unwrap();
    }

    async fn a_card_that_is_refused_or_not_this_orgs_is_not_taken(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let refused = set_default_method(&stage, &scope, &method("pm_card_chargeDeclined")).await;
        assert!(matches!(&refused, Err(Error::PaymentFailed { message, .. }) if !message.is_empty()), "{refused:?}");
        let unknown = set_default_method(&stage, &scope, &method("pm_nobody_knows")).await;
        assert!(matches!(unknown, Err(Error::UnknownPaymentMethod)), "{unknown:?}");
        let other = stage.trialing("plan_starter_m").await;
        stage.pay_with(&other, "pm_card_visa").await;
        let foreign = {
            let mut connection = stage.db().read().await.unwrap();
            sql::customer(&mut connection, other.org_key()).await.unwrap().unwrap().default_payment_method.unwrap()
        };
        assert!(matches!(set_default_method(&stage, &scope, &foreign).await, Err(Error::UnknownPaymentMethod)));
        let mut connection = stage.db().read().await.unwrap();
        assert_eq!(sql::customer(&mut connection, scope.org_key()).await.unwrap().unwrap().default_payment_method, None);
    }

    async fn choosing_the_plan_being_tried_ends_the_trial_and_charges(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        assert_eq!(upgrade(&stage, &scope, &to("starter")).await.unwrap().plan_code.as_str(), "starter");
        let found = now(&stage, &scope).await;
        assert_eq!((plan(&found), found.trial_of.clone(), found.status), ("starter", None, Some(SubscriptionStatus::Active)));
        assert_eq!(found.metric("api_call").unwrap().included, Some(10_000));
        assert_eq!(found.period_key.unwrap().to_string(), "2026-01.2");
        let invoices = stage.billing().invoices_page(&hear_customer(&stage, &scope).await, None).await.unwrap();
        assert_eq!(invoices.items[0].amount_paid, 4_900);
        let listed = crate::invoices::list(&stage, &scope, &Paging::default()).await.unwrap().items;
        assert_eq!(listed.first(), invoices.items.first(), "what was charged is in the list before any webhook");
    }

    async fn another_plan_can_be_chosen_in_a_trial(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &to("growth")).await.unwrap();
        let found = now(&stage, &scope).await;
        assert_eq!((plan(&found), found.metric("api_call").unwrap().included), ("growth", Some(100_000)));
    }

    async fn without_a_payment_method_or_with_a_declined_card_the_trial_goes_on_as_it_was(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let before = now(&stage, &scope).await;
        let refused = upgrade(&stage, &scope, &to("starter")).await;
        assert!(matches!(&refused, Err(Error::PaymentFailed { reason: Some(reason), .. }) if reason == "no_payment_method"), "{refused:?}");
        stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
        let refused = upgrade(&stage, &scope, &to("growth")).await;
        assert!(matches!(refused, Err(Error::PaymentFailed { .. })), "{refused:?}");
        hear(&stage, &scope).await;
        let after = now(&stage, &scope).await;
        assert_eq!((plan(&after), after.period, after.status), ("trial", before.period, before.status));
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &to("growth")).await.unwrap();
        assert_eq!(plan(&now(&stage, &scope).await), "growth");
    }

    async fn a_card_that_needs_the_customer_hands_back_a_secret_and_changes_nothing(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_authenticationRequired").await;
        let answer = upgrade(&stage, &scope, &to("starter")).await;
        assert!(matches!(&answer, Err(Error::PaymentActionRequired { client_secret }) if client_secret.expose_secret().contains("_secret_")), "{answer:?}");
        assert_eq!(plan(&now(&stage, &scope).await), "trial");
    }

    async fn what_cannot_be_chosen_is_told_apart(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        assert!(matches!(upgrade(&stage, &scope, &to("gold")).await, Err(Error::UnknownPlan)));
        assert!(matches!(upgrade(&stage, &scope, &to("trial")).await, Err(Error::UnknownPlan)));
        assert!(matches!(upgrade(&stage, &scope, &to("scale")).await, Err(Error::NotSelfService)));
        let quoted = Upgrade { quote_id: Some("quote_1".to_owned()), ..to("starter") };
        assert!(matches!(upgrade(&stage, &scope, &quoted).await, Err(Error::UnknownQuote)));
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &to("starter")).await.unwrap();
        assert!(matches!(upgrade(&stage, &scope, &to("starter")).await, Err(Error::AlreadyOnPlan)));
        let nobody = stage.customer("Globex").await;
        assert!(matches!(upgrade(&stage, &nobody, &to("starter")).await, Err(Error::NoSubscription)));
    }

    async fn a_trial_that_ends_unpaid_gives_nothing_even_when_stripe_is_silent(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        let ends = now(&stage, &scope).await.period.unwrap().end;
        stage.move_to(ends.plus(Duration::from_secs(1))).await;
        let silent = now(&stage, &scope).await;
        assert_eq!((silent.access, silent.status, silent.period), (Access::NoSubscription, Some(SubscriptionStatus::Canceled), None));
        assert!(silent.metrics.is_empty() && silent.features.is_empty());
        hear(&stage, &scope).await;
        let told = now(&stage, &scope).await;
        assert_eq!((told.access, told.status), (silent.access, silent.status));
    }

    async fn a_trial_that_ends_with_a_payment_method_becomes_the_plan_before_stripe_says_so(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        let ends = now(&stage, &scope).await.period.unwrap().end;
        stage.move_to(ends.plus(Duration::from_secs(7_200))).await;
        let silent = now(&stage, &scope).await;
        assert_eq!((plan(&silent), silent.status, silent.period.unwrap().start), ("starter", Some(SubscriptionStatus::Active), ends));
        hear(&stage, &scope).await;
        let told = now(&stage, &scope).await;
        assert_eq!((plan(&told), told.period, told.period_key), (plan(&silent), silent.period, silent.period_key));
    }

    async fn an_edited_plan_leaves_existing_subscriptions_on_their_version(stage: Stage) {
        let old = stage.trialing("plan_starter_m").await;
        stage.pay_with(&old, "pm_card_visa").await;
        upgrade(&stage, &old, &to("starter")).await.unwrap();
        let text = Catalog::default_text().replacen("included = 10000\n", "included = 500\n", 1);
        let edited = Catalog::parse(&text).unwrap();
        let planned = plans::diff(&stage, &stage.operator(), &edited).await.unwrap();
        assert_eq!(planned.plans[0].orgs_staying, [(1, 1)]);
        plans::publish(&stage, &stage.operator(), edited).await.unwrap();
        plans::ensure_at_stripe(&stage, &stage.operator()).await.unwrap();
        hear(&stage, &old).await;
        let kept = now(&stage, &old).await;
        assert_eq!((kept.plan_version, kept.metric("api_call").unwrap().included), (Some(1), Some(10_000)));
        let new = stage.trialing("plan_starter_m").await;
        stage.pay_with(&new, "pm_card_visa").await;
        upgrade(&stage, &new, &to("starter")).await.unwrap();
        let sold = now(&stage, &new).await;
        assert_eq!((sold.plan_version, sold.metric("api_call").unwrap().included), (Some(2), Some(500)));
    }

    async fn two_living_subscriptions_are_an_incident_until_one_of_them_ends(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        stage.pay_with(&scope, "pm_card_visa").await;
        upgrade(&stage, &scope, &to("starter")).await.unwrap();
        let customer_id = hear_customer(&stage, &scope).await;
        let catalog = plans::catalog(&stage);
        let growth = plans::price_for(&stage, catalog.plan("growth").unwrap(), Interval::Month).await.unwrap().unwrap();
        let beside = billing::NewSubscription {
            customer_id,
            org_id: scope.org_id().clone(),
            price_id: growth,
            quantity: 1,
            trial_days: None,
            payment: billing::PaymentBehavior::AllowIncomplete,
            default_payment_method: None,
            automatic_tax: false,
        };
        // Billing's times are whole seconds: the second one is made in a later one, so that it is the newest.
        stage.move_to(START.plus_days(1)).await;
        let key = billing::IdempotencyKey::parse("beside").unwrap();
        let second = stage.billing().create_subscription(&key, &beside).await.unwrap().fact.subscription_id;
        hear(&stage, &scope).await;
        hear(&stage, &scope).await;
        let operator = stage.operator();
        let open = || incidents::Filter { state: Some("open".to_owned()), ..incidents::Filter::default() };
        let found = incidents::list(&stage, &operator, &open(), &Paging::default()).await.unwrap().items;
        assert_eq!((found.len(), found[0].kind.as_str()), (1, "several_subscriptions"));
        assert_eq!(found[0].org_id.as_deref(), Some(scope.org_id().as_str()));
        assert!(found[0].detail.contains(second.as_str()), "{found:?}");
        assert_eq!(plan(&now(&stage, &scope).await), "growth", "the newest counts");
        stage.billing().cancel_subscription(&second, CancelSettlement::Nothing).await.unwrap();
        hear(&stage, &scope).await;
        let left = incidents::list(&stage, &operator, &open(), &Paging::default()).await.unwrap().items;
        assert_eq!((left.len(), plan(&now(&stage, &scope).await)), (0, "starter"));
    }

    async fn a_change_that_stripe_did_not_answer_completes_by_itself_and_once(stage: Stage) {
        let scope = stage.org("Acme").await;
        stage.sandbox.faults().fail_next("/v1/customers", 1_000, Failure::ErrorAfterCommit);
        let answer = ensure_customer(&stage, &scope, "one@example.com").await;
        let Err(Error::BillingUnavailable { operation_id: Some(operation_id) }) = answer else { panic!("{answer:?}") };
        stage.sandbox.faults().clear();
        let shown = operations::get(&stage, &scope, &operation_id).await.unwrap().unwrap();
        assert_eq!(shown.state, operations::State::Running);
        stage.move_to(START.plus_days(1)).await;
        jobs::run_due(&stage).await.unwrap();
        let shown = operations::get(&stage, &scope, &operation_id).await.unwrap().unwrap();
        assert_eq!(shown.state, operations::State::Done, "{shown:?}");
        assert!(!ensure_customer(&stage, &scope, "one@example.com").await.unwrap().created);
    }
}

async fn hear_customer(stage: &Stage, scope: &OrgScope) -> tollgate_rules::ids::CustomerId {
    ensure_customer(stage, scope, "billing@example.com").await.unwrap().customer_id
}
