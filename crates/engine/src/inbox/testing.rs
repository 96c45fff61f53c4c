//! An engine on a throw-away database beside a sandbox that shares its clock, and lives lived at Stripe.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use tollgate_connectors::billing::{
    Billing, CustomerChange, EventHint, IdempotencyKey, ItemChange, NewCustomer, NewSubscription, PaymentBehavior,
    SubscriptionChange, TrialChange,
};
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_connectors::stripe::webhook;
use tollgate_connectors::{Pacing, stripe};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{CustomerId, OrgId, OrgKey, PaymentMethodId, SubscriptionId, UserId};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::{Config, Faults, Sandbox};

use crate::access::Caller;
use crate::clock::BusinessClock;
use crate::db::Kind;
use crate::engine::Engine;
use crate::limits::Limits;
use crate::settings::Settings;
use crate::testing::{START, TestEngine};
use crate::{audit, inbox, invoices, orgs, plans, subscriptions};

pub(crate) const SECRET: &str = "whsec_inbox_tests";

/// The engine and its Stripe.
pub(crate) struct Stage {
    pub(crate) engine: TestEngine,
    pub(crate) sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

/// One org and what it has at Stripe.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) org_key: OrgKey,
    pub(crate) org_id: OrgId,
    pub(crate) customer_id: CustomerId,
    pub(crate) subscription_id: SubscriptionId,
}

/// A delivery as Stripe would send it.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) hint: EventHint,
    pub(crate) raw: String,
}

impl Stage {
    /// An engine without workers: tests say when something is processed. `None` where the database is not there.
    pub(crate) async fn set(kind: Kind, test: &str) -> Option<Stage> {
        Stage::set_with(kind, test, |_| {}).await
    }

    pub(crate) async fn set_with(kind: Kind, test: &str, bounds: impl FnOnce(&mut Limits)) -> Option<Stage> {
        Stage::open(kind, test, |settings, _| bounds(&mut settings.limits)).await
    }

    /// The same, with somebody who is told about plans; `mirror` is told where the stand-ins are.
    pub(crate) async fn set_with_mirror(
        kind: Kind,
        test: &str,
        mirror: impl FnOnce(&str) -> PlanMirror,
    ) -> Option<Stage> {
        Stage::open(kind, test, |settings, base_url| settings.plan_mirror = mirror(base_url)).await
    }

    async fn open(kind: Kind, test: &str, change: impl FnOnce(&mut Settings, &str)) -> Option<Stage> {
        let folder = tempfile::TempDir::new().expect("the temporary folder can be written");
        let config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            database: folder.path().join("sandbox.db"),
            start_at_micros: Some(START.as_micros()),
            faults: Faults::none(),
        };
        let sandbox = Sandbox::start(config).await.expect("a sandbox starts");
        let settings = stripe::Settings {
            base_url: sandbox.base_url(),
            secret_key: SecretString::from("sk_test_inbox"),
            pacing: Pacing { attempts_max: 1, ..Pacing::with_random(Arc::new(|| 1)) },
        };
        let billing = Billing::Stripe(stripe::Client::new(settings).expect("a client is made"));
        let offset = sandbox.offset();
        let engine = TestEngine::open_with(kind, test, |settings| {
            settings.billing = billing;
            settings.webhook_secrets.set(vec![SecretString::from(SECRET)]);
            settings.clock.business = BusinessClock::offset(offset);
            settings.limits.job_backoff_first = Duration::from_millis(1);
            settings.limits.job_backoff_max = Duration::from_millis(4);
            change(settings, &sandbox.base_url());
        })
        .await?;
        let stage = Stage { engine, sandbox, _folder: folder };
        plans::ensure_at_stripe(&stage.engine, &stage.operator()).await.expect("the catalog reaches Stripe");
        Some(stage)
    }

    pub(crate) fn key(&self) -> IdempotencyKey {
        IdempotencyKey::parse(&self.engine.new_id("tollgate:test:")).expect("a key")
    }

    /// An org whose whole life so far happened at Stripe: a trial on starter, a card, the upgrade to growth that ended
    /// the trial. Our database knows only the org.
    pub(crate) async fn live(&self, card: &str) -> Life {
        let create = orgs::Create {
            name: "Acme".to_owned(),
            owner_user_id: UserId::parse("user_1").expect("a user id"),
            org_id: None,
            email: None,
            timezone: None,
            idempotency_key: None,
        };
        let org = orgs::create(&self.engine, &Caller::local_operator(), create).await.expect("an org is made");
        let billing = self.engine.billing();
        let new = NewCustomer { org_id: org.org_id.clone(), email: Some("a@example.com".to_owned()), name: None };
        let customer = billing.create_customer(&self.key(), &new).await.expect("a customer is made");
        let customer_id = customer.customer_id;
        let new = NewSubscription {
            customer_id: customer_id.clone(),
            org_id: org.org_id.clone(),
            price_id: self.price("starter").await,
            quantity: 1,
            trial_days: Some(14),
            payment: PaymentBehavior::AllowIncomplete,
            default_payment_method: None,
            automatic_tax: false,
        };
        let trial = billing.create_subscription(&self.key(), &new).await.expect("a trial begins").fact;
        let card = PaymentMethodId::parse(card).expect("a card");
        let card = billing.attach_payment_method(&self.key(), &card, &customer_id).await.expect("the card is attached");
        let default =
            CustomerChange { default_payment_method: Some(card.payment_method_id), ..CustomerChange::default() };
        billing.update_customer(&self.key(), &customer_id, &default).await.expect("the card is the default");
        let change = SubscriptionChange {
            item: Some(ItemChange { item_id: trial.item_id, price_id: self.price("growth").await, quantity: 1 }),
            trial: TrialChange::EndNow,
            payment: Some(PaymentBehavior::ErrorIfIncomplete),
            ..SubscriptionChange::default()
        };
        let subscription_id = trial.subscription_id;
        billing.update_subscription(&self.key(), &subscription_id, &change).await.expect("the upgrade is paid");
        let org_key = org_key(&self.engine, &org.org_id).await;
        Life { org_key, org_id: org.org_id, customer_id, subscription_id }
    }

    async fn price(&self, code: &str) -> tollgate_rules::ids::PriceId {
        let catalog = plans::catalog(&self.engine);
        let plan = catalog.plan(code).expect("the plan is in the catalog");
        let price = plans::price_for(&self.engine, plan, Interval::Month).await.expect("Stripe answers");
        price.expect("the plan is sold by the month")
    }

    /// Everything Stripe has to tell about these lives, oldest first.
    pub(crate) async fn deliveries(&self, lives: &[Life]) -> Vec<Delivery> {
        let (mut deliveries, mut after, mut begun) = (Vec::new(), None, 0);
        loop {
            let page = self.engine.billing().events_page(START, after.as_deref()).await.expect("Stripe lists events");
            for (hint, raw) in page.items {
                if lives.iter().any(|life| hint.customer_id.as_ref() == Some(&life.customer_id)) {
                    begun += usize::from(hint.kind == "customer.created");
                    deliveries.push(Delivery { hint, raw });
                }
            }
            after = page.next;
            if after.is_none() || begun == lives.len() {
                deliveries.reverse();
                return deliveries;
            }
        }
    }

    /// Delivers as Stripe does: freshly signed.
    pub(crate) async fn deliver(&self, delivery: &Delivery) {
        let header = self.signature(&delivery.raw, self.engine.now());
        let received = inbox::receive(&self.engine, delivery.raw.as_bytes(), &header).await.expect("it is taken in");
        assert_eq!(received.event_id, delivery.hint.event_id);
    }

    pub(crate) fn signature(&self, raw: &str, at: Timestamp) -> String {
        webhook::sign(raw.as_bytes(), &SecretString::from(SECRET), at.as_seconds())
    }

    /// Processes what waits until nothing does; failed tries wait for milliseconds only.
    pub(crate) async fn settle(&self) {
        for _ in 0..2_000 {
            inbox::worker::run_due(&self.engine).await.expect("the database answers");
            if inbox::open(&self.engine).await.expect("the database answers") == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the inbox never became empty");
    }

    /// Whether our projection of a life is exactly what Stripe says, invoices included.
    pub(crate) async fn agrees(&self, life: &Life) -> Result<(), String> {
        let billing = self.engine.billing();
        let subscription = billing.subscription(&life.subscription_id).await.expect("Stripe answers");
        let subscription = subscription.expect("the subscription exists");
        if subscriptions::differs(&self.engine, &subscription).await.expect("the database answers") {
            return Err(format!("the subscription of {} differs", life.org_id));
        }
        let mut connection = self.engine.db().read().await.expect("the database answers");
        let stored = subscriptions::sql::customer(&mut connection, life.org_key).await.expect("the database answers");
        let stored = stored.ok_or("no customer is stored")?;
        let customer = billing.customer(&life.customer_id).await.expect("Stripe answers").expect("it exists");
        if (&stored.customer_id, &stored.default_payment_method)
            != (&customer.customer_id, &customer.default_payment_method)
        {
            return Err(format!("the customer of {} differs", life.org_id));
        }
        let invoices = billing.invoices_page(&life.customer_id, None).await.expect("Stripe answers").items;
        assert!(!invoices.is_empty(), "a life has invoices");
        for summary in invoices {
            let invoice = billing.invoice(&summary.invoice_id).await.expect("Stripe answers").expect("it exists");
            let stored = invoices::sql::stored(&mut connection, life.org_key, &invoice.invoice_id).await;
            if stored.expect("the database answers").as_ref() != Some(&invoice) {
                return Err(format!("invoice {} of {} differs", invoice.invoice_id, life.org_id));
            }
        }
        Ok(())
    }

    /// What must not move when nothing changes: the journal of an org's changes.
    pub(crate) async fn journal(&self, life: &Life) -> i64 {
        count_audit(&self.engine, life.org_key).await
    }
}

pub(crate) async fn org_key(engine: &Engine, org_id: &OrgId) -> OrgKey {
    let mut connection = engine.db().read().await.expect("the database answers");
    orgs::sql::org_key(&mut connection, org_id).await.expect("the database answers").expect("the org exists")
}

/// Sealed or not, every entry of the org's journal.
async fn count_audit(engine: &Engine, org_key: OrgKey) -> i64 {
    let org_id = orgs::id_of(engine, org_key).await.expect("the org exists");
    let scope = Caller::local_operator().require_operator(Permission::AuditRead).expect("the operator may read it");
    let found = audit::verify(engine, &scope, Some(&org_id)).await.expect("the database answers");
    found.unsealed + i64::try_from(found.entries).expect("a test's journal is short")
}

/// `CI` sizes unless a report is asked for.
pub(crate) fn sized(ci: usize, report: usize) -> usize {
    if std::env::var("TOLLGATE_PROOF").as_deref() == Ok("report") { report } else { ci }
}

impl Stage {
    /// Cancels a subscription at its period's end, or takes that back.
    pub(crate) async fn toggle_cancel(&self, life: &Life, cancel: bool) {
        let change = SubscriptionChange { cancel_at_period_end: Some(cancel), ..SubscriptionChange::default() };
        let changed = self.engine.billing().update_subscription(&self.key(), &life.subscription_id, &change).await;
        changed.expect("Stripe answers");
    }

    /// Lets time pass, at Stripe and here.
    pub(crate) async fn advance(&self, by: Duration) {
        self.sandbox.move_to(self.engine.now().plus(by).as_micros()).await.expect("time passes");
    }

    /// Pretends that the list of events was read up to a moment after everything.
    pub(crate) async fn skip_events(&self) {
        let ahead = self.engine.now().plus(Duration::from_secs(24 * 3600)).as_micros();
        let mut tx = self.engine.db().begin(crate::db::Lane::Control).await.expect("the database answers");
        inbox::sql::move_cursor(&mut tx, "events", ahead, self.engine.now()).await.expect("the database answers");
        tx.commit().await.expect("the database answers");
    }

    pub(crate) fn operator(&self) -> crate::access::OperatorScope {
        let caller = Caller::local_operator();
        caller.require_operator(tollgate_rules::access::Permission::WebhooksOperate).expect("the operator may")
    }

    pub(crate) async fn listed(&self, state: inbox::State) -> Vec<inbox::InboxEvent> {
        let filter = inbox::Filter { state: Some(state), ..inbox::Filter::default() };
        let page = inbox::list(&self.engine, &self.operator(), &filter, &crate::paging::Paging::default()).await;
        page.expect("the database answers").items
    }
}
