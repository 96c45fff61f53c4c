//! An org signed up through the API, step by step as a vendor's code does it.

use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::server::Server;

/// Every scope a key can have for these tests.
const SCOPES: &[&str] =
    &["usage:write", "quota:check", "entitlements:read", "billing:read", "billing:write", "org:admin", "gate"];

/// A catalog with one metered thing and limits of the test's choice.
pub(crate) fn plans(trial: u64, starter: u64) -> String {
    format!(
        r#"
[[metric]]
code = "api_call"
name = "API calls"
unit = "call"

[[plan]]
code = "trial"
name = "Trial"
trial_days = 14
self_service = false
[plan.allowance.api_call]
included = {trial}

[[plan]]
code = "starter"
name = "Starter"
[[plan.price]]
interval = "month"
amount = 4900
currency = "usd"
[plan.allowance.api_call]
included = {starter}
"#
    )
}

/// An org with a trial and a key.
pub(crate) struct Tenant {
    pub(crate) org_id: String,

    pub(crate) subscription_id: String,
    pub(crate) secret: String,
    pub(crate) api: Api,
}

impl Tenant {
    /// Signs up: org, customer, trial subscription, Stigg, counter, key.
    pub(crate) async fn sign_up(server: &Server, name: &str) -> Tenant {
        let operator = server.operator();
        let org = operator.ok("/api/orgs.create", &json!({"name": name, "ownerUserId": "user_owner"})).await;
        let org_id = text(&org["orgId"]);
        let email = format!("{}@example.com", org_id.replace('_', "-"));
        let customer = operator.ok("/api/stripe/customer.ensure", &json!({"orgId": org_id, "email": email})).await;
        let customer_id = text(&customer["stripeCustomerId"]);
        let wanted = json!({"orgId": org_id, "priceLookup": "plan_starter_m"});
        let subscription = operator.ok("/api/stripe/subscription.create", &wanted).await;
        assert_eq!(subscription["status"], "trialing");
        let subscription_id = text(&subscription["subscriptionId"]);
        let told = json!({"orgId": org_id, "stripeCustomerId": customer_id, "stripeSubscriptionId": subscription_id, "planCode": "starter"});
        assert_eq!(operator.ok("/api/stigg/provision", &told).await, json!({"provisioned": true}));
        let seeded = operator.ok("/api/usage/seed", &json!({"orgId": org_id})).await;
        assert_eq!(seeded["used"], 0);
        let key = operator.ok("/api/keys.create", &json!({"orgId": org_id, "name": "test", "scopes": SCOPES})).await;
        let secret = text(&key["secret"]);
        let api = server.with_key(&secret);
        Tenant { org_id, subscription_id, secret, api }
    }

    /// The same tenant at a server that was started again.
    pub(crate) fn at(&self, server: &Server) -> Api {
        server.with_key(&self.secret)
    }

    /// Counts units of `api_call` under this id.
    pub(crate) async fn record(&self, request_id: &str, value: u64) -> Answer {
        self.api.post("/api/usage/record", &record_of(request_id, value)).await
    }

    /// What the org may use now.
    pub(crate) async fn entitlements(&self) -> Value {
        self.api.get("/api/me/entitlements.read").await.data()
    }

    /// Gives the org a card and makes it the default.
    pub(crate) async fn add_card(&self, card: &str) {
        let intent = self.api.ok("/api/payments/setup-intent.create", &json!({})).await;
        assert!(intent["clientSecret"].as_str().is_some_and(|secret| !secret.is_empty()), "{intent}");
        let set = self.api.ok("/api/payments/default-method.set", &json!({"paymentMethodId": card})).await;
        assert_eq!(set, json!({"ok": true}));
    }

    /// Ends the trial by paying for the plan being tried.
    pub(crate) async fn upgrade(&self) {
        let upgraded = self.api.ok("/api/plans/upgrade.now", &json!({"newPlanCode": "starter"})).await;
        assert_eq!(upgraded, json!({"planCode": "starter", "effective": "immediate"}));
    }
}

/// The body of one `usage/record`.
pub(crate) fn record_of(request_id: &str, value: u64) -> Value {
    json!({"metric": "api_call", "value": value, "request_id": request_id})
}

/// Moves the sandbox's clock; what happened.
pub(crate) async fn advance(server: &Server, by: &str) -> Value {
    let moved = server.operator().ok("/sandbox/clock.advance", &json!({"by": by})).await;
    assert_eq!(moved["unconverged"], json!([]), "{moved}");
    moved
}

/// A field that must be text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}")).to_owned()
}
