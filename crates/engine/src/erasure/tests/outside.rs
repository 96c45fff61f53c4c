//! What holds for erasing what stands at billing, and what billing told.

use tollgate_connectors::billing::{Lasting, Off};
use tollgate_rules::ids::{CustomerId, Metric};
use tollgate_rules::money::{Currency, Money};

use super::*;
use crate::access::OrgScope;
use crate::adjustments::{self, Coupon, Promotion};
use crate::db::Lane;
use crate::fault::Manner;
use crate::overrides::{self, Set, Subject};
use crate::paging::Paging;
use crate::subscriptions::tests::stage::{Stage, on_stage};
use crate::subscriptions::{self, NewSubscription};

/// A message of billing's that was dealt with.
const DELIVERED: Statement = Statement::new(
    "test.delivered",
    "INSERT INTO webhook_inbox (account, event_id, kind, object_kind, object_id, customer_id, source, payload, happened_at,
       received_at, state, attempts, run_at)
     SELECT 'acct', 'evt_' || $1, 'customer.updated', 'customer', c.customer_id, c.customer_id, 'webhook',
       '{\"email\":\"canary.person@example.com\"}', 0, 0, 'done', 1, 0
     FROM customers c",
);
const NO_LEASES: Statement = Statement::new("test.no_leases", "UPDATE operations SET lease_until = 0");

async fn execute(stage: &Stage, statement: &'static Statement, args: &[crate::db::Arg]) {
    let mut tx = stage.db().begin(Lane::Control).await.unwrap();
    tx.execute(statement, args).await.unwrap();
    tx.commit().await.unwrap();
}

/// An org with a card and a trial, whose invoices go to `email`, and about which operators wrote.
async fn canary_org(stage: &Stage, email: &str) -> (OrgScope, CustomerId) {
    let scope = stage.org("Canary Ltd").await;
    let customer = subscriptions::ensure_customer(stage, &scope, email).await.unwrap().customer_id;
    let new = NewSubscription { price_lookup: "plan_starter_m".to_owned(), quantity: None };
    subscriptions::create(stage, &scope, &new).await.unwrap();
    stage.pay_with(&scope, "pm_card_visa").await;
    let reason = format!("{email} asked for it");
    let amount = Money::new(500, Currency::parse("usd").unwrap());
    let coupon = Coupon {
        name: None,
        off: Off::Amount(amount),
        lasting: Lasting::Once,
        redemptions_max: None,
        redeem_by: None,
        apply: false,
    };
    let coupon = adjustments::create_coupon(stage, &scope, coupon, &reason).await.unwrap();
    let promotion = Promotion {
        coupon_id: coupon.adjustment.billing_id().to_owned(),
        code: Some("CANARY5".to_owned()),
        redemptions_max: None,
        expires_at: None,
        first_time_only: false,
        for_everyone: false,
    };
    adjustments::create_promotion(stage, &scope, promotion, &reason).await.unwrap();
    let subject = Subject::Metric { metric: Metric::parse("api_call").unwrap(), included: Some(Some(5)), policy: None };
    overrides::set(stage, &scope, Set { subject, starts_at: None, ends_at: None, reason }).await.unwrap();
    execute(stage, &DELIVERED, &["1".into()]).await;
    jobs::run_due(stage).await.unwrap();
    (scope, customer)
}

on_stage! {
    async fn of_an_erased_org_billing_has_no_customer_any_more_and_its_words_are_nowhere(stage: Stage) {
        let (scope, customer) = canary_org(&stage, EMAIL).await;
        orgs::delete(&stage, &scope).await.unwrap();
        stage.move_to(START.plus(KEPT).plus(Duration::from_secs(60))).await;
        // The process ends when billing has done it, before that is written down.
        stage.engine.faults().plan("erasure.customer.sent", Manner::Vanish, 1);
        assert!(due(&stage).await.is_err());
        assert!(stage.engine.faults().spent());
        assert!(canaries(&stage.engine).await.len() > 3, "nothing is erased here before it is gone there");
        execute(&stage, &NO_LEASES, &[]).await;
        stage.move_to(stage.now().plus(Duration::from_secs(600))).await;
        jobs::run_due(&stage).await.unwrap();
        assert!(stage.billing().customer(&customer).await.unwrap().is_none_or(|customer| customer.deleted));
        due(&stage).await.unwrap();
        due(&stage).await.unwrap();
        assert_eq!(canaries(&stage.engine).await, Vec::<String>::new());
        let kept = stage.billing().subscriptions_of(&customer).await.unwrap();
        assert!(kept.iter().all(|subscription| subscription.ended_at.is_some()), "what is deleted is charged no more");
        for kind in [adjustments::Kind::Coupon, adjustments::Kind::Promotion] {
            let filter = adjustments::Filter { kind, org_id: None };
            let listed = adjustments::list(&stage, &operator(&stage.engine), &filter, &Paging::default()).await.unwrap();
            assert_eq!(listed.items.len(), 1, "what was given can still be read");
        }
        journal_is_whole(&stage.engine).await;
        // Billing tells of the deletion when everything here is done.
        execute(&stage, &DELIVERED, &["2".into()]).await;
        assert_eq!(canaries(&stage.engine).await, ["webhook_inbox.payload"]);
        due(&stage).await.unwrap();
        assert_eq!(canaries(&stage.engine).await, Vec::<String>::new());
    }

    async fn of_an_erased_person_billing_writes_to_nobody_and_no_text_names_their_address(stage: Stage) {
        let user_id = person(&stage.engine).await;
        let (scope, customer) = canary_org(&stage, EMAIL).await;
        let names = orgs::Update { name: Some("Acme".to_owned()), email: Some(EMAIL.to_owned()), ..orgs::Update::default() };
        orgs::update(&stage, &scope, names).await.unwrap();
        accounts::close_for(&stage, &operator(&stage.engine), &user_id).await.unwrap();
        stage.move_to(START.plus(KEPT).plus(Duration::from_secs(60))).await;
        jobs::run_due(&stage).await.unwrap();
        for _ in 0..3 {
            due(&stage).await.unwrap();
        }
        let left = stage.billing().customer(&customer).await.unwrap().unwrap();
        assert_eq!((left.deleted, left.email), (false, None), "the org stays a customer");
        assert_eq!(holding(&stage.engine, "%canary.person@%").await, Vec::<String>::new());
        journal_is_whole(&stage.engine).await;
    }
}
