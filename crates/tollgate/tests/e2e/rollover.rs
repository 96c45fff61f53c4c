//! Periods turn by themselves, exactly once, with the right labels: under traffic, after downtime, and with a silent Stripe.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tollgate_engine::clock::WallClock;
use tollgate_rules::period::{PeriodKey, quota_period};
use tollgate_rules::time::Timestamp;

use crate::api::Api;
use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::{Tenant, advance, record_of, text};

#[tokio::test]
async fn a_trial_that_ends_unpaid_leaves_nothing_also_when_stripe_is_silent() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let server = started_days_ago(place.path(), &database, 15).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.record("in-trial", 1).await.data();
        let server = wakes_today_without_stripe(server, &database).await;
        let api = new_key(&server, &org).await;
        api.post("/api/usage/record", &record_of("too-late", 1)).await.refused(402, "no_subscription");
        api.post("/api/quota/check", &json!({"metric": "api_call"})).await.refused(402, "no_subscription");
        let left = api.get("/api/me/entitlements.read").await.data();
        assert_eq!(
            (&left["planCode"], &left["remaining"], &left["periodKey"]),
            (&Value::Null, &Value::Null, &Value::Null),
            "{left}"
        );
    }
}

#[tokio::test]
async fn a_trial_that_ends_in_mid_month_with_a_card_opens_the_paid_period() {
    for database in Database::all().await {
        let server = Server::dev_with(&database, &["--clock", "2026-01-10T12:00:00Z"]).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.add_card("pm_card_visa").await;
        org.record("in-trial", 3).await.data();
        advance(&server, "15d").await;
        let paid = org.record("paid", 1).await.data();
        assert_eq!(paid, json!({"periodKey": "2026-01.2", "used": 1, "remaining": 9_999}));
        let now = org.entitlements().await;
        let (start, end) = (text(&now["periodStart"]), text(&now["periodEnd"]));
        // The trial began in the seconds after the server did.
        assert!(start.starts_with("2026-01-24T12:00:") && end.starts_with("2026-02-24T12:00:"), "{now}");
    }
}

#[tokio::test]
async fn a_server_that_slept_three_periods_wakes_in_the_right_one_from_stored_facts_alone() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let server = started_days_ago(place.path(), &database, 100).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.add_card("pm_card_visa").await;
        // Stripe counts in seconds: a trial that ends in the second it began in would share its start with the paid period.
        advance(&server, "2s").await;
        org.upgrade().await;
        org.record("before-sleep", 5).await.data();
        let anchor = Timestamp::parse_rfc3339(&text(&org.entitlements().await["periodStart"])).unwrap();
        let server = wakes_today_without_stripe(server, &database).await;
        let api = new_key(&server, &org).await;
        let expected = quota_period(anchor, WallClock::system().now());
        let label = PeriodKey::label(expected.start, 1).to_string();
        let calls = (0..32).map(|call| {
            let api = api.clone();
            async move { api.post("/api/usage/record", &record_of(&format!("awake-{call}"), 1)).await.data() }
        });
        let told = join_all(calls).await;
        assert!(told.iter().all(|counted| counted["periodKey"] == label.as_str()), "{label}: {told:?}");
        let now = api.get("/api/me/entitlements.read").await.data();
        assert_eq!(now["periodStart"], expected.start.to_string(), "{now}");
        assert_eq!(now["periodEnd"], expected.end.to_string(), "{now}");
        assert_eq!((&now["used"], &now["included"]), (&json!(32), &json!(10_000)));
        let (code, _, messages) = server.command(&["usage", "verify"]);
        assert_eq!(code, 0, "{messages}");
        println!(
            "PROOF: rollover after sleep: {}, three periods slept, woke in {label} from stored facts",
            database.kind()
        );
    }
}

#[tokio::test]
async fn thirty_two_clients_record_across_the_boundary_and_nothing_is_lost_or_doubled() {
    for database in Database::all().await {
        let server = Server::dev_with(&database, &["--clock", "2026-01-15T09:00:00Z"]).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.add_card("pm_card_visa").await;
        org.upgrade().await;
        let clients = (0..32).map(|client| record_many(&org, client, 40));
        let (counted, moved) = tokio::join!(join_all(clients), advance(&server, "32d"));
        assert!(moved["count"].as_u64() > Some(0), "{moved}");
        let counted: Vec<(String, i64)> = counted.into_iter().flatten().collect();
        for period in ["2026-01.2", "2026-02"] {
            let inside: Vec<i64> = counted.iter().filter(|(key, _)| key == period).map(|(_, used)| *used).collect();
            let distinct: BTreeSet<i64> = inside.iter().copied().collect();
            assert_eq!(distinct.len(), inside.len(), "every call of {period} saw a count of its own");
            assert_eq!(inside.iter().max().copied().unwrap_or(0), i64::try_from(inside.len()).unwrap(), "{period}");
        }
        assert_eq!(counted.len(), 32 * 40);
        let (code, _, messages) = server.command(&["usage", "verify"]);
        assert_eq!(code, 0, "{messages}");
        println!(
            "PROOF: rollover under traffic: {}, 32 clients, 1,280 calls, one rollover, every count seen once",
            database.kind()
        );
    }
}

/// Records one by one; the period and count each call was told.
async fn record_many(org: &Tenant, client: usize, calls: usize) -> Vec<(String, i64)> {
    let mut told = Vec::new();
    for call in 0..calls {
        let counted = org.record(&format!("{client}-{call}"), 1).await.data();
        told.push((counted["periodKey"].as_str().unwrap().to_owned(), counted["used"].as_i64().unwrap()));
    }
    told
}

/// A `tollgate dev` whose clock stands so many days in the past.
async fn started_days_ago(place: &Path, database: &Database, days: u64) -> Server {
    let clock = WallClock::system().now().minus(Duration::from_secs(days * 86_400)).to_string();
    Server::start(Options::dev(&place.join("data"), database).arguments(&["--clock", &clock])).await
}

/// The same data, served by the real clock, with nobody at Stripe's address: what a server finds after a long sleep before
/// anyone has told it anything.
async fn wakes_today_without_stripe(mut server: Server, database: &Database) -> Server {
    let (status, _) = server.terminate().await;
    assert!(status.success());
    let options = Options::serve(server.data(), database)
        .arguments(&["--allow-sandbox"])
        .variable("STRIPE_SECRET_KEY", "sk_test_asleep")
        .variable("STRIPE_API_BASE", "http://127.0.0.1:9")
        .variable("TOLLGATE_OPERATOR_KEY", &format!("tgo_{}", "e2e".repeat(16)));
    Server::start(options).await
}

/// A key of this server's kind for the org.
async fn new_key(server: &Server, org: &Tenant) -> Api {
    let wanted = json!({"orgId": org.org_id, "name": "awake"});
    server.with_key(&text(&server.operator().ok("/api/keys.create", &wanted).await["secret"]))
}
