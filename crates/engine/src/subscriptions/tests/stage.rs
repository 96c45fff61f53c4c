//! A real engine beside a real sandbox over HTTP, in one time: what the tests of plans and subscriptions play on.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;

use tollgate_connectors::billing::Billing;
use tollgate_connectors::{Pacing, stripe};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{PaymentMethodId, UserId};
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::{Config, Faults, Sandbox};

use crate::access::{Caller, OperatorScope, OrgScope};
use crate::clock::BusinessClock;
use crate::db::Kind;
use crate::engine::Engine;
use crate::orgs;
use crate::settings::Settings;
use crate::subscriptions::{NewSubscription, create, ensure_customer, set_default_method};
use crate::testing::{START, TestEngine};

/// The stage; derefs to the engine.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) engine: TestEngine,
    pub(crate) sandbox: Sandbox,
    _folder: TempDir,
}

impl Deref for Stage {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Stage {
    /// An empty engine and an empty sandbox, both at [`START`]; none when there is no server for the database.
    pub(crate) async fn open(kind: Kind, test: &str) -> Option<Stage> {
        Stage::open_with(kind, test, |_, _| {}).await
    }

    /// The same, after `change` had its way with the settings and with how patient we are with Stripe.
    pub(crate) async fn open_with(
        kind: Kind,
        test: &str,
        change: impl FnOnce(&mut Settings, &mut Pacing),
    ) -> Option<Stage> {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database: folder.path().join("sandbox.db"),
            start_at_micros: Some(START.as_micros()),
            faults: Faults::none(),
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        let (base_url, offset) = (sandbox.base_url(), sandbox.offset());
        let engine = TestEngine::open_with(kind, test, |settings| {
            let mut pacing = Pacing {
                backoff_base: Duration::from_millis(5),
                deadline: Duration::from_secs(3),
                ..Pacing::with_random(Arc::new(|| 1))
            };
            change(settings, &mut pacing);
            let secret_key = SecretString::from("sk_test_stage");
            let client = stripe::Client::new(stripe::Settings { base_url, secret_key, pacing }).unwrap();
            settings.billing = Billing::Stripe(client);
            settings.clock.business = BusinessClock::offset(offset);
        })
        .await?;
        Some(Stage { engine, sandbox, _folder: folder })
    }

    /// The operator.
    pub(crate) fn operator(&self) -> OperatorScope {
        Caller::local_operator().require_operator(Permission::PlansPublish).unwrap()
    }

    /// A new org without a customer.
    pub(crate) async fn org(&self, name: &str) -> OrgScope {
        let create = orgs::Create {
            name: name.to_owned(),
            owner_user_id: UserId::parse("user_1").unwrap(),
            org_id: None,
            email: None,
            timezone: None,
            idempotency_key: None,
        };
        let operator = Caller::local_operator().with_corr_id("trace_1");
        let org = orgs::create(self, &operator, create).await.unwrap();
        operator.require(self, Permission::BillingWrite, Some(&org.org_id)).await.unwrap()
    }

    /// A new org with a customer.
    pub(crate) async fn customer(&self, name: &str) -> OrgScope {
        let scope = self.org(name).await;
        ensure_customer(self, &scope, "billing@example.com").await.unwrap();
        scope
    }

    /// A new org in the trial of a plan.
    pub(crate) async fn trialing(&self, lookup: &str) -> OrgScope {
        let scope = self.customer("Acme").await;
        create(self, &scope, &NewSubscription { price_lookup: lookup.to_owned(), quantity: None }).await.unwrap();
        scope
    }

    /// Gives an org a payment method.
    pub(crate) async fn pay_with(&self, scope: &OrgScope, method: &str) {
        set_default_method(self, scope, &PaymentMethodId::parse(method).unwrap()).await.unwrap();
    }

    /// Moves Stripe and the engine to a moment; what was due at Stripe has happened then.
    pub(crate) async fn move_to(&self, at: Timestamp) {
        self.sandbox.move_to(at.as_micros()).await.unwrap();
    }
}

/// Runs one test body on both databases: `on_stage! { async fn a_sentence(stage: Stage) { … } }`.
macro_rules! on_stage {
    ($($(#[$meta:meta])* async fn $name:ident($stage:ident: Stage) $body:block)+) => {
        $(
            $(#[$meta])*
            mod $name {
                use super::*;

                async fn body($stage: $crate::subscriptions::tests::stage::Stage) $body

                async fn on(kind: $crate::db::Kind) {
                    if let Some(stage) = $crate::subscriptions::tests::stage::Stage::open(kind, stringify!($name)).await {
                        Box::pin(body(stage)).await;
                    }
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    on($crate::db::Kind::Sqlite).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_postgres() {
                    on($crate::db::Kind::Postgres).await;
                }
            }
        )+
    };
}
pub(crate) use on_stage;
