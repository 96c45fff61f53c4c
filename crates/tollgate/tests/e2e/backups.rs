//! A backup taken under load is a consistent copy, and restoring it brings a server back that agrees with itself.

use serde_json::json;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::{Tenant, record_of};

#[tokio::test]
async fn a_backup_under_load_restores_to_a_ledger_that_adds_up() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(Options::dev(&place.path().join("data"), &Database::Embedded)).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    for call in 0..50 {
        org.record(&format!("before-{call}"), 1).await.data();
    }
    let mut load = JoinSet::new();
    for writer in 0..8 {
        let api = org.api.clone();
        load.spawn(async move {
            for call in 0..60 {
                api.post("/api/usage/record", &record_of(&format!("during-{writer}-{call}"), 1)).await.data();
            }
        });
    }
    let copy = place.path().join("copy.db");
    let (code, told, messages) = server.command(&["backup", copy.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{messages}");
    let told: serde_json::Value = serde_json::from_str(&told).expect("--json prints JSON");
    assert!(told["bytes"].as_u64() > Some(0), "{told}");
    load.join_all().await;
    assert_eq!(org.entitlements().await["used"], 530);

    let mut server = server;
    let (code, _, messages) = server.command(&["restore", copy.to_str().unwrap()]);
    assert_eq!(code, 3, "a running server is in the way: {messages}");
    let (status, _) = server.terminate().await;
    assert!(status.success());
    let (code, _, messages) = server.command(&["restore", copy.to_str().unwrap()]);
    assert_eq!(code, 0, "{messages}");
    let (code, _, messages) = server.command(&["usage", "verify"]);
    assert_eq!(code, 0, "{messages}");
    let server = server.restart().await;
    let used = org.at(&server).get("/api/me/entitlements.read").await.data()["used"].as_i64().unwrap();
    assert!((50..=530).contains(&used), "everything before the backup is in it, nothing after it: {used}");
    let again = org.at(&server).post("/api/usage/record", &record_of("before-7", 1)).await;
    assert_eq!(again.data()["used"], json!(8), "a restored id keeps its first answer");
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_the_database_stays() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Server::start(Options::dev(&place.path().join("data"), &Database::Embedded)).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    let copy = place.path().join("copy.db");
    let (code, _, messages) = server.command(&["backup", copy.to_str().unwrap()]);
    assert_eq!(code, 0, "{messages}");
    server.terminate().await;
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    // Whole pages: SQLite keeps no checksums, so a single changed bit inside a value could not be told.
    bytes[middle..].fill(0);
    std::fs::write(&copy, bytes).unwrap();
    let (code, _, messages) = server.command(&["restore", copy.to_str().unwrap()]);
    assert_eq!(code, 1, "{messages}");
    let server = server.restart().await;
    assert_eq!(org.at(&server).get("/api/me/entitlements.read").await.data()["used"], 0);
}
