//! What a production server writes to its log: one JSON object per line that names its request, and nothing personal.

use serde_json::{Value, json};

use crate::api::Api;
use crate::database::Database;
use crate::server::{Options, Server};

const KEY: &str = "tgo_0123456789012345678901234567890123456789";
const EMAIL: &str = "canary@example.com";

#[tokio::test]
async fn every_control_call_is_told_with_its_org_and_ids_and_without_secrets_or_personal_data() {
    let place = tempfile::tempdir().unwrap();
    let options = Options::serve(&place.path().join("data"), &Database::Embedded);
    let server = Server::start(options.arguments(&["--migrate"]).variable("TOLLGATE_OPERATOR_KEY", KEY)).await;
    let operator = Api::new(&server.api, KEY);
    let org = json!({"orgId": "org_log", "name": "Log", "ownerUserId": "user_1", "email": EMAIL});
    operator.ok("/api/orgs.create", &org).await;
    let made = operator.ok("/api/keys.create", &json!({"orgId": "org_log", "name": "k"})).await;
    let secret = made["secret"].as_str().unwrap();
    let authorization = format!("Bearer {KEY}");
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("x-request-id", "log-test-1"),
        ("traceparent", traceparent),
    ];
    let update = json!({"orgId": "org_log", "email": format!("second.{EMAIL}")});
    operator.raw("/api/orgs.update", &headers, update.to_string().into_bytes()).await.data();
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    let told = lines.iter().find(|line| line["request_id"] == "log-test-1").expect("the call is told");
    assert_eq!(told["orgId"], "org_log", "{told}");
    assert_eq!(told["corr_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{told}");
    assert_eq!((&told["path"], &told["status"]), (&json!("/api/orgs.update"), &json!(200)), "{told}");
    for canary in [KEY, secret, EMAIL] {
        assert!(!log.contains(canary), "the log holds a secret or personal value");
    }
}
