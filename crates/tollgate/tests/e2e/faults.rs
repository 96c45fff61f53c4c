//! Stripe's worst days, injected over HTTP at the real binary: whatever calls and webhooks suffer, each operation makes one object, and the
//! end is the same as on a good day.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::database::Database;
use crate::server::Server;
use crate::size::size;
use crate::tenant::{advance, text};

/// What happens to the calls of a step. A client sends a call three times before it gives up, so four go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// Nothing goes wrong.
    Never,
    /// 500, and nothing was done.
    Errors,
    /// 500 that Stripe keeps under the key: the same key hears it for a day.
    Pinned,
    /// All was done, and the answer never came.
    Lost,
    /// Nothing but 429.
    Busy,
}

const ALL: [Bad; 4] = [Bad::Pinned, Bad::Lost, Bad::Errors, Bad::Busy];

impl Bad {
    fn body(self, path: &str) -> Option<Value> {
        let (how, times) = match self {
            Bad::Never => return None,
            Bad::Errors => ("500", 4),
            Bad::Pinned => ("pinned_500", 1),
            Bad::Lost => ("timeout_after_commit", 4),
            Bad::Busy => ("429", 4),
        };
        Some(json!({ "fail": [{ "path": path, "times": times, "how": how }] }))
    }
}

/// What happens to webhooks meanwhile.
#[derive(Clone, Copy, Debug)]
enum Webhooks {
    /// Twice each, in another order.
    Twisted,
    /// None ever comes.
    Dropped,
}

impl Webhooks {
    fn body(self) -> Value {
        match self {
            Webhooks::Twisted => json!({ "duplicateWebhooks": true, "reorderWebhooks": 7 }),
            Webhooks::Dropped => json!({ "dropWebhooks": true }),
        }
    }
}

/// The steps of the story: which calls of Stripe's go wrong, and what is asked of us.
const STEPS: [(&str, &str); 5] = [
    ("/v1/customers", "/api/stripe/customer.ensure"),
    ("/v1/subscriptions", "/api/stripe/subscription.create"),
    ("/v1/payment_methods", "/api/payments/default-method.set"),
    ("/v1/subscriptions", "/api/plans/upgrade.now"),
    ("/v1/subscription_schedules", "/api/plans/downgrade.schedule"),
];

fn body(step: usize, org_id: &str) -> Value {
    match step {
        0 => json!({"orgId": org_id, "email": format!("{}@example.com", org_id.replace('_', "-"))}),
        1 => json!({"orgId": org_id, "priceLookup": "plan_starter_m"}),
        2 => json!({"orgId": org_id, "paymentMethodId": "pm_card_visa"}),
        3 => json!({"orgId": org_id, "newPlanCode": "growth"}),
        _ => json!({"orgId": org_id, "newPlanCode": "starter"}),
    }
}

/// Asks for a step while calls go wrong. What is pending completes by itself; whether it was.
async fn take(server: &Server, step: usize, bad: Bad, org_id: &str) -> bool {
    let (path, route) = STEPS[step];
    if let Some(wanted) = bad.body(path) {
        server.faults(&wanted).await;
    }
    let answer = server.operator().post(route, &body(step, org_id)).await;
    if answer.status == 200 {
        return false;
    }
    let refused = answer.refused(503, "billing_unavailable");
    let Some(operation) = refused["error"]["details"]["operationId"].as_str() else {
        // Nothing was stored: whoever asked asks again.
        assert_eq!(server.operator().post(route, &body(step, org_id)).await.status, 200);
        return true;
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let shown = server.operator().get(&format!("/api/operations.get?operationId={operation}")).await.data();
        match shown["state"].as_str() {
            Some("done") => return true,
            Some("running") => {}
            other => panic!("{route} {bad:?}: {other:?} {shown}"),
        }
    }
    panic!("{route} {bad:?}: operation {operation} never ended");
}

/// Lives through the story; what there is in the end, at Stripe and here, without ids and times.
async fn live(server: &Server, bads: [Bad; 5]) -> Value {
    let created = server.operator().ok("/api/orgs.create", &json!({"name": "Acme", "ownerUserId": "user_1"})).await;
    let org_id = text(&created["orgId"]);
    for (step, bad) in bads.into_iter().enumerate() {
        take(server, step, bad, &org_id).await;
    }
    // Reconciliation comes by once a minute.
    advance(server, "3m").await;
    let customers = server.stripe(Method::GET, "/v1/customers?limit=100", "").await["data"].clone();
    let own = |one: &&Value| one["metadata"]["tollgate_org"] == org_id;
    let own: Vec<&Value> = customers.as_array().unwrap().iter().filter(own).collect();
    assert_eq!(own.len(), 1, "one customer: {bads:?}");
    let customer = text(&own[0]["id"]);
    let of = async |path: &str| {
        let found = server.stripe(Method::GET, &format!("{path}{customer}&limit=100"), "").await;
        found["data"].as_array().unwrap_or_else(|| panic!("{path}: {found}")).clone()
    };
    let words = |list: &[Value], members: &[&str]| -> Vec<Value> {
        list.iter().map(|one| members.iter().map(|member| one[*member].clone()).collect()).collect()
    };
    let subscriptions = of("/v1/subscriptions?status=all&customer=").await;
    let has = server.operator().get(&format!("/api/me/entitlements.read?orgId={org_id}")).await.data();
    json!({
        "subscriptions": words(&subscriptions, &["status"]),
        "price": subscriptions[0]["items"]["data"][0]["price"]["lookup_key"],
        "invoices": words(&of("/v1/invoices?customer=").await, &["status", "total", "amount_paid"]),
        "methods": of("/v1/payment_methods?type=card&customer=").await.len(),
        "schedules": words(&of("/v1/subscription_schedules?customer=").await, &["status"]),
        "here": [has["status"], has["planCode"], has["included"], has["scheduledChange"]["planCode"]],
    })
}

async fn the_same_end(database: &Database, webhooks: Webhooks) {
    let rounds = size(1, ALL.len());
    let server = Server::dev_with(database, &["--clock", "2026-01-15T09:00:00Z"]).await;
    let good_day = live(&server, [Bad::Never; 5]).await;
    assert_eq!(good_day["here"], json!(["active", "growth", 100_000, "starter"]), "{good_day}");
    assert_eq!((good_day["subscriptions"].as_array().unwrap().len(), &good_day["methods"]), (1, &json!(1)));
    server.faults(&webhooks.body()).await;
    for round in 0..rounds {
        let bads = std::array::from_fn(|step| ALL[(step + round) % ALL.len()]);
        assert_eq!(live(&server, bads).await, good_day, "{bads:?}, webhooks {webhooks:?}");
    }
    println!(
        "PROOF: HTTP faults at Stripe: {}, {} operations under 500, pinned 500, 429 and lost answers, webhooks {webhooks:?}: one object each, \
         the same end",
        database.kind(),
        5 * rounds
    );
}

#[tokio::test]
async fn calls_that_fail_and_twisted_webhooks_make_one_object_per_operation_and_the_same_end() {
    the_same_end(&Database::Embedded, Webhooks::Twisted).await;
}

#[tokio::test]
async fn calls_that_fail_without_any_webhook_make_one_object_per_operation_and_the_same_end() {
    let postgres = Database::postgres().await;
    the_same_end(postgres.as_ref().unwrap_or(&Database::Embedded), Webhooks::Dropped).await;
}
