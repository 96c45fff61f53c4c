//! The sandbox as a product: alone, with faults over HTTP, and whole worlds that are kept, restored and branched.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::http;
use crate::database::Database;
use crate::server::{Options, Server, tollgate};
use crate::tenant::{Tenant, advance};

/// A served sandbox, killed when it is dropped.
struct Alone {
    child: Child,
    base_url: String,
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn alone(place: &std::path::Path) -> Alone {
    let ready = place.join("ready.json");
    let mut command = tollgate();
    command.args(["sandbox", "serve", "127.0.0.1:0", "--clock", "2026-01-15T09:00:00Z", "--data"]);
    command.arg(place.join("data")).arg("--ready-file").arg(&ready).stdout(Stdio::null());
    // Reaped when it is dropped, also when it never becomes ready.
    let mut alone = Alone { child: command.spawn().unwrap(), base_url: String::new() };
    for _ in 0..2_000 {
        if let Ok(text) = std::fs::read_to_string(&ready) {
            let told: Value = serde_json::from_str(&text).unwrap();
            told["sandbox"].as_str().unwrap().clone_into(&mut alone.base_url);
            return alone;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the sandbox never became ready");
}

async fn call(method: reqwest::Method, url: String, body: Option<Value>) -> (u16, Value) {
    let mut request = http().request(method, url).bearer_auth("sk_test_anyone");
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_stripe_double_alone_keeps_time_and_fails_as_it_is_told() {
    let place = tempfile::tempdir().unwrap();
    let sandbox = alone(place.path()).await;
    let at = |path: &str| format!("{}{path}", sandbox.base_url);
    let (get, post, delete) = (reqwest::Method::GET, reqwest::Method::POST, reqwest::Method::DELETE);
    let (_, clock) = call(get.clone(), at("/sandbox/clock"), None).await;
    let (status, moved) = call(post.clone(), at("/sandbox/clock.advance"), Some(json!({"seconds": 86_400}))).await;
    let passed = moved["nowMicros"].as_i64().unwrap() - clock["nowMicros"].as_i64().unwrap();
    assert!(status == 200 && passed >= 86_400_000_000, "{moved}");
    let fail = json!({"fail": [{"path": "/v1/customers", "times": 1, "how": "429"}], "dropWebhooks": true});
    let (_, planned) = call(post.clone(), at("/sandbox/faults"), Some(fail)).await;
    assert_eq!((&planned["planned"], &planned["dropWebhooks"]), (&json!(["/v1/customers"]), &json!(true)));
    assert_eq!(call(get.clone(), at("/v1/customers"), None).await.0, 429);
    assert_eq!(call(get.clone(), at("/v1/customers"), None).await.0, 200);
    let (status, refused) =
        call(post, at("/sandbox/faults"), Some(json!({"fail": [{"path": "/v1", "how": "tea"}]}))).await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(call(delete, at("/sandbox/faults"), None).await.1["dropWebhooks"], false);
    assert_eq!(http().get(at("/sandbox/faults")).send().await.unwrap().status().as_u16(), 401, "a key is asked for");
}

#[tokio::test]
async fn a_world_is_kept_restored_and_branched_with_its_clock_and_both_sides_in_step() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Server::dev(&Database::Embedded).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    org.add_card("pm_card_visa").await;
    assert_eq!(org.record("before", 3).await.status, 200);
    let world = place.path().join("world");
    let world = world.to_str().unwrap();
    server.terminate().await;
    let (code, _, messages) = server.command(&["sandbox", "snapshot", world]);
    assert_eq!(code, 0, "{messages}");
    let (code, _, messages) = server.command(&["sandbox", "restore", world]);
    assert_eq!(code, 3, "what is there is not given up silently: {messages}");
    let branch = place.path().join("branch");
    let restored = tollgate().args(["sandbox", "restore", world, "--data"]).arg(&branch).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let branched = Server::start(Options::dev(&branch, &Database::Embedded)).await;
    let there = org.at(&branched);
    assert_eq!(there.get("/api/me/entitlements.read").await.data()["used"], 3);
    advance(&branched, "15d").await;
    let paid = there.get("/api/me/entitlements.read").await.data();
    assert_eq!(
        (&paid["status"], &paid["planCode"], &paid["used"]),
        (&json!("active"), &json!("starter"), &json!(0)),
        "{paid}"
    );
    let missing =
        tollgate().args(["sandbox", "restore", "nowhere", "--data"]).arg(place.path().join("x")).output().unwrap();
    assert_eq!(missing.status.code(), Some(5));
}

#[tokio::test]
async fn a_running_world_is_kept_under_traffic_and_branched_while_it_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::dev_with(&Database::Embedded, &["--clock", "2026-01-15T09:00:00Z"]).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    org.add_card("pm_card_visa").await;
    org.upgrade().await;
    advance(&server, "10d").await;
    let world = place.path().join("world");
    let (api, data, kept_in) = (org.api.clone(), server.data().to_owned(), world.clone());
    // Counting goes on beside it, before and after.
    let traffic = tokio::spawn(async move {
        for number in 0..200 {
            let body = crate::tenant::record_of(&format!("r{number}"), 1);
            assert_eq!(api.post("/api/usage/record", &body).await.status, 200);
        }
    });
    let keeping = tokio::task::spawn_blocking(move || {
        tollgate().args(["sandbox", "snapshot", "--json"]).arg(&kept_in).arg("--data").arg(&data).output().unwrap()
    });
    let kept = keeping.await.unwrap();
    assert!(kept.status.success(), "{}", String::from_utf8_lossy(&kept.stderr));
    let told: Value = serde_json::from_slice(&kept.stdout).unwrap();
    assert!(told["now"].as_str().unwrap().starts_with("2026-01-25T"), "{told}");
    traffic.await.unwrap();
    let world = world.to_str().unwrap();
    let (code, _, messages) = server.command(&["sandbox", "snapshot", world]);
    assert_eq!(code, 3, "nothing is overwritten: {messages}");
    let (code, _, messages) = server.command(&["sandbox", "restore", world, "--replace"]);
    assert!(code == 3 && messages.contains("Stop the server, restore, and start it again"), "{code} {messages}");
    let branch = place.path().join("branch");
    let restored = tollgate().args(["sandbox", "restore", world, "--data"]).arg(&branch).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let branched = Server::start(Options::dev(&branch, &Database::Embedded)).await;
    let (code, verified, messages) = branched.command(&["usage", "verify", "--json"]);
    assert_eq!(code, 0, "{verified} {messages}");
    let used = org.at(&branched).get("/api/me/entitlements.read").await.data()["used"].as_u64().unwrap();
    assert!(used <= 200, "what was counted before it was kept: {used}");
    advance(&branched, "1mo").await;
    let there = org.at(&branched).get("/api/me/entitlements.read").await.data();
    assert_eq!((&there["status"], &there["used"]), (&json!("active"), &json!(0)), "{there}");
    let here = org.entitlements().await;
    assert_eq!((&here["used"], here["periodStart"] == there["periodStart"]), (&json!(200), false), "the first goes on");
}

#[tokio::test]
async fn the_doctor_names_what_a_restricted_key_lacks() {
    let place = tempfile::tempdir().unwrap();
    let sandbox = alone(place.path()).await;
    let doctor = || {
        let mut command = tollgate();
        command.args(["doctor", "--json", "--data"]).arg(place.path().join("nothing"));
        command.env("STRIPE_SECRET_KEY", "rk_test_narrow").env("STRIPE_API_BASE", &sandbox.base_url);
        let output = command.env("TOLLGATE_ALLOW_SANDBOX", "1").output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = told["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == "stripe").unwrap().clone()
    };
    let well = doctor();
    assert!(well["ok"] == true && well["detail"].as_str().unwrap().contains("Meter events: Write"), "{well}");
    let restrict = async |lacks: Value| {
        let body = json!({"restrict": [{"key": "rk_test_narrow", "lacks": lacks}]});
        call(reqwest::Method::POST, format!("{}/sandbox/faults", sandbox.base_url), Some(body)).await
    };
    let (_, shown) = restrict(json!(["/v1/coupons", "/v1/billing/meters", "/v1/events"])).await;
    assert_eq!(shown["restricted"][0]["key"], "rk_test_narrow");
    let lacking = doctor();
    let fix = lacking["fix"].as_str().unwrap();
    assert_eq!(lacking["ok"], false);
    let missing =
        "Coupons: Write (rak_coupon_read), Meters: Write (rak_billing_meter_read), Events: Read (rak_event_read)";
    assert!(fix.contains(missing) && !fix.contains("Customers"), "{lacking}");
    restrict(json!([])).await;
    assert_eq!(doctor()["ok"], true);
}
