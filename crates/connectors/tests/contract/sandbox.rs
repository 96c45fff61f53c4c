//! The same client against a server that behaves: the sandbox, over HTTP, from sign-up to the first renewal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use tollgate_connectors::billing::{
    Billing, CancelSettlement, CustomerChange, Error, IdempotencyKey, ItemChange, NewCustomer, NewPrice, NewProduct,
    NewSubscription, ObjectKind, Payment, PaymentBehavior, PriceFact, SubscriptionChange, TrialChange,
};
use tollgate_connectors::{Pacing, stigg, stripe};
use tollgate_rules::billing::{CustomerFact, InvoiceStatus, SubscriptionFact, SubscriptionStatus};
use tollgate_rules::ids::{OrgId, PaymentMethodId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::{Config, Failure, Faults, Sandbox};

use crate::recorder::{Recorder, Reply};

/// 2026-01-31T09:00:00Z.
const START: i64 = 1_769_850_000;

struct Stage {
    sandbox: Sandbox,
    billing: Billing,
    step: Mutex<u32>,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = TempDir::new().unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database: folder.path().join("sandbox.db"),
            start_at_micros: Some(START * 1_000_000),
            faults: Faults::none(),
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        let settings = stripe::Settings {
            base_url: sandbox.base_url(),
            secret_key: SecretString::from("sk_test_contract"),
            pacing: Pacing { backoff_base: Duration::from_millis(5), ..Pacing::with_random(Arc::new(|| 1)) },
        };
        let billing = Billing::Stripe(stripe::Client::new(settings).unwrap());
        Self { sandbox, billing, step: Mutex::new(0), _folder: folder }
    }

    fn key(&self) -> IdempotencyKey {
        let mut step = self.step.lock().unwrap();
        *step += 1;
        IdempotencyKey::of_step("op_stage", &step.to_string()).unwrap()
    }

    async fn price(&self, code: &str, minor: i64) -> PriceFact {
        let product_id = format!("tg_{code}");
        let product = NewProduct { product_id: product_id.clone(), name: code.to_owned(), metadata: BTreeMap::new() };
        self.billing.create_product(&self.key(), &product).await.unwrap();
        let price = NewPrice {
            product_id,
            amount: Money::new(minor, Currency::USD),
            interval: Interval::Month,
            lookup_key: format!("plan_{code}_m"),
            metadata: BTreeMap::from([("tollgate_hash".to_owned(), "abc".to_owned())]),
        };
        self.billing.create_price(&self.key(), &price).await.unwrap()
    }

    async fn customer(&self) -> CustomerFact {
        let new = NewCustomer {
            org_id: OrgId::parse("org_stage").unwrap(),
            email: Some("billing@example.com".to_owned()),
            name: Some("Stage & Söhne".to_owned()),
        };
        self.billing.create_customer(&self.key(), &new).await.unwrap()
    }

    async fn trial(&self, customer: &CustomerFact, price: &PriceFact) -> SubscriptionFact {
        let new = NewSubscription {
            customer_id: customer.customer_id.clone(),
            org_id: OrgId::parse("org_stage").unwrap(),
            price_id: price.price_id.clone(),
            quantity: 1,
            trial_days: Some(14),
            payment: PaymentBehavior::AllowIncomplete,
            default_payment_method: None,
            automatic_tax: false,
        };
        let made = self.billing.create_subscription(&self.key(), &new).await.unwrap();
        assert!(matches!(made.payment, Payment::Settled));
        made.fact
    }

    /// Attaches a test card and makes it the customer's default.
    async fn pay_with(&self, customer: &CustomerFact, card: &str) -> Result<CustomerFact, Error> {
        let card = PaymentMethodId::parse(card).unwrap();
        let method = self.billing.attach_payment_method(&self.key(), &card, &customer.customer_id).await?;
        assert_eq!(method.customer_id.as_ref(), Some(&customer.customer_id));
        let change =
            CustomerChange { default_payment_method: Some(method.payment_method_id), ..CustomerChange::default() };
        self.billing.update_customer(&self.key(), &customer.customer_id, &change).await
    }

    fn end_trial(subscription: &SubscriptionFact, price: &PriceFact, payment: PaymentBehavior) -> SubscriptionChange {
        SubscriptionChange {
            item: Some(ItemChange {
                item_id: subscription.item_id.clone(),
                price_id: price.price_id.clone(),
                quantity: 1,
            }),
            trial: TrialChange::EndNow,
            payment: Some(payment),
            ..SubscriptionChange::default()
        }
    }
}

#[tokio::test]
async fn a_trial_is_paid_by_upgrading_and_renews_a_month_later() {
    let stage = Stage::set().await;
    let (starter, growth) = (stage.price("starter", 4_900).await, stage.price("growth", 39_900).await);
    let found = stage.billing.prices(&["plan_growth_m".to_owned()]).await.unwrap();
    assert_eq!(found, vec![growth.clone()]);
    let customer = stage.customer().await;
    let again = stage.billing.find_customer("billing@example.com", &OrgId::parse("org_stage").unwrap()).await.unwrap();
    assert_eq!(again.as_ref(), Some(&customer));
    let trial = stage.trial(&customer, &starter).await;
    assert_eq!((trial.status, trial.lookup_key.as_deref()), (SubscriptionStatus::Trialing, Some("plan_starter_m")));
    assert_eq!(trial.trial.unwrap().end.as_seconds() - trial.trial.unwrap().start.as_seconds(), 14 * 86_400);

    let secret = stage.billing.create_setup_intent(&stage.key(), &customer.customer_id).await.unwrap();
    assert!(secret.setup_intent_id.starts_with("seti_"));
    let customer = stage.pay_with(&customer, "pm_card_visa").await.unwrap();
    assert!(customer.default_payment_method.is_some());

    let change = Stage::end_trial(&trial, &growth, PaymentBehavior::ErrorIfIncomplete);
    let paid = stage.billing.update_subscription(&stage.key(), &trial.subscription_id, &change).await.unwrap();
    assert!(matches!(paid.payment, Payment::Settled));
    assert_eq!((paid.fact.status, &paid.fact.price_id), (SubscriptionStatus::Active, &growth.price_id));
    let invoice = stage.billing.invoice(&paid.invoice_id.unwrap()).await.unwrap().unwrap();
    assert_eq!((invoice.status, invoice.amount_paid), (InvoiceStatus::Paid, 39_900));
    assert_eq!(invoice.subscription_id.as_ref(), Some(&trial.subscription_id));

    stage.sandbox.move_to((paid.fact.item_period.end.as_seconds() + 2 * 3_600) * 1_000_000).await.unwrap();
    let renewed = stage.billing.subscription(&trial.subscription_id).await.unwrap().unwrap();
    assert_eq!(renewed.item_period.start, paid.fact.item_period.end);
    let invoices = stage.billing.invoices_page(&customer.customer_id, None).await.unwrap();
    assert_eq!(invoices.items[0].reason.as_deref(), Some("subscription_cycle"));
    let ended = stage.billing.cancel_subscription(&trial.subscription_id, CancelSettlement::Nothing).await.unwrap();
    let twice = stage.billing.cancel_subscription(&trial.subscription_id, CancelSettlement::Nothing).await.unwrap();
    assert_eq!((ended.status, &twice), (SubscriptionStatus::Canceled, &ended));
}

#[tokio::test]
async fn a_card_that_cannot_pay_changes_nothing() {
    let stage = Stage::set().await;
    let (starter, growth) = (stage.price("starter", 4_900).await, stage.price("growth", 39_900).await);
    let customer = stage.customer().await;
    let trial = stage.trial(&customer, &starter).await;
    let refused = stage.pay_with(&customer, "pm_card_chargeDeclined").await.unwrap_err();
    assert!(matches!(refused, Error::Declined { .. }), "{refused}");
    stage.pay_with(&customer, "pm_card_chargeCustomerFail").await.unwrap();
    let change = Stage::end_trial(&trial, &growth, PaymentBehavior::ErrorIfIncomplete);
    let refused = stage.billing.update_subscription(&stage.key(), &trial.subscription_id, &change).await.unwrap_err();
    assert!(matches!(refused, Error::Declined { .. }), "{refused}");
    let after = stage.billing.subscription(&trial.subscription_id).await.unwrap().unwrap();
    assert_eq!((after.status, after.price_id), (SubscriptionStatus::Trialing, starter.price_id));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_and_nothing_is_made_twice() {
    let stage = Stage::set().await;
    for failure in [Failure::LostAnswer, Failure::BadGateway, Failure::Status(429)] {
        stage.sandbox.faults().fail_next("/v1/customers", 1, failure);
        stage.customer().await;
    }
    let events = stage.billing.events_page(Timestamp::from_seconds(START), None).await.unwrap();
    let created = events.items.iter().filter(|(hint, _)| hint.kind == "customer.created").count();
    assert_eq!(created, 3, "three customers were asked for, each perhaps twice");
    // A failure that Stripe stored under the key is told apart: sending it again would give it for ever.
    stage.sandbox.faults().fail_next("/v1/customers", 1, Failure::ErrorAfterCommit);
    let new = NewCustomer { org_id: OrgId::parse("org_b").unwrap(), email: None, name: None };
    let outcome = stage.billing.create_customer(&stage.key(), &new).await;
    assert!(matches!(&outcome, Err(Error::StoredFailure(_)) | Ok(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_delivery_of_the_sandbox_is_verified_and_read() {
    let stage = Stage::set().await;
    let (body, header) = one_delivery(&stage).await;
    let now = Timestamp::from_micros(stage.sandbox.clock().now_micros());
    let (secret, body) = (SecretString::from(body.0), body.1);
    Billing::verify(body.as_bytes(), &header, std::slice::from_ref(&secret), now).unwrap();
    let hint = Billing::read_event(body.as_bytes()).unwrap();
    assert_eq!((hint.kind.as_str(), hint.object.kind), ("customer.created", ObjectKind::Customer));
    assert_eq!(hint.customer_id.unwrap().as_str(), hint.object.id);
    let altered = body.replace("customer.created", "customer.deleted");
    assert!(Billing::verify(altered.as_bytes(), &header, &[secret], now).is_err());
}

async fn one_delivery(stage: &Stage) -> ((String, String), String) {
    let recorder = Recorder::start(|_, _| Reply::ok("{}")).await;
    let secret = stage.sandbox.ensure_webhook_endpoint(&format!("{}/hook", recorder.base_url)).await.unwrap();
    stage.customer().await;
    assert!(stage.sandbox.deliveries_settled(Duration::from_secs(10)).await);
    let request = recorder.requests().remove(0);
    ((secret, request.body), request.headers["stripe-signature"].clone())
}

#[tokio::test]
async fn the_stigg_stand_in_is_told_twice_and_stays_the_same() {
    let stage = Stage::set().await;
    let settings = stigg::Settings {
        base_url: format!("{}/stigg", stage.sandbox.base_url()),
        api_key: SecretString::from("server-contract"),
        pacing: Pacing::with_random(Arc::new(|| 1)),
    };
    let mirror = tollgate_connectors::plan_mirror::PlanMirror::Stigg(stigg::Client::new(settings).unwrap());
    for _ in 0..2 {
        mirror.provision_org(&stage.key(), &crate::stigg::org()).await.unwrap();
        mirror.provision_subscription(&stage.key(), &crate::stigg::subscription(None)).await.unwrap();
    }
}
