//! The operator's commands: what they print, and how they end, with and without a running server.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::database::Database;
use crate::server::{Server, tollgate};
use crate::tenant::{Tenant, text};

fn json_of(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[tokio::test]
async fn keys_are_made_listed_rotated_and_revoked_while_the_server_runs_and_while_it_does_not() {
    for database in Database::all().await {
        let mut server = Server::dev(&database).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        let mode = std::fs::metadata(server.data().join("admin.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the admin socket is its owner's");
        let key = make_a_key(&server, &org.org_id);
        assert_eq!(server.with_key(&key).get("/api/me/entitlements.read").await.status, 200);
        let (status, _) = server.terminate().await;
        assert!(status.success());
        let offline = make_a_key(&server, &org.org_id);
        let (code, listed, _) = server.command(&["keys", "list", "--org", &org.org_id, "--json"]);
        assert_eq!(code, 0);
        let listed = json_of(&listed);
        assert_eq!(listed["keys"].as_array().map(Vec::len), Some(3), "{listed}");
        assert!(!listed.to_string().contains(&offline), "a secret is shown once");
        let server = server.restart().await;
        assert_eq!(server.with_key(&offline).get("/api/me/entitlements.read").await.status, 200);
        let id = text(&listed["keys"][0]["keyId"]);
        let (code, rotated, messages) = server.command(&["keys", "rotate", &id, "--org", &org.org_id, "--json"]);
        assert_eq!(code, 0, "{messages}");
        assert!(json_of(&rotated)["secret"].is_string());
        let (code, _, messages) = server.command(&["keys", "revoke", &id, "--org", &org.org_id]);
        assert_eq!(code, 0, "{messages}");
        let (code, _, _) = server.command(&["keys", "revoke", "key_unknown", "--org", &org.org_id]);
        assert_eq!(code, 5, "there is no such key");
    }
}

fn make_a_key(server: &Server, org_id: &str) -> String {
    let (code, made, messages) = server.command(&["keys", "create", "--org", org_id, "--name", "cli", "--json"]);
    assert_eq!(code, 0, "{messages}");
    text(&json_of(&made)["secret"])
}

#[tokio::test]
async fn an_operator_key_made_on_the_command_line_works_at_once() {
    let server = Server::dev(&Database::Embedded).await;
    let (code, made, messages) = server.command(&["keys", "create", "--operator", "--name", "ops", "--json"]);
    assert_eq!(code, 0, "{messages}");
    let secret = text(&json_of(&made)["secret"]);
    assert!(secret.starts_with("tgo_"), "an operator key");
    assert_eq!(server.with_key(&secret).get("/api/admin/orgs.list").await.status, 200);
}

#[tokio::test]
async fn events_are_listed_and_replayed_from_the_command_line() {
    let server = Server::dev(&Database::Embedded).await;
    Tenant::sign_up(&server, "Acme").await;
    let (code, listed, messages) = server.command(&["webhooks", "list", "--state", "done", "--limit", "2", "--json"]);
    assert_eq!(code, 0, "{messages}");
    let listed = json_of(&listed);
    assert_eq!(listed["events"].as_array().map(Vec::len), Some(2), "{listed}");
    let event = text(&listed["events"][0]["eventId"]);
    let (code, replayed, messages) = server.command(&["webhooks", "replay", &event, "evt_unknown", "--json"]);
    assert_eq!(code, 0, "{messages}");
    assert_eq!(json_of(&replayed)["unknown"], json!(["evt_unknown"]));
    let (code, counted, messages) = server.command(&["webhooks", "replay", "--state", "done", "--dry-run", "--json"]);
    assert_eq!(code, 0, "{messages}");
    assert!(json_of(&counted)["enqueued"].as_u64() >= Some(1), "what a sign-up told us: {counted}");
    for wrong in [&["webhooks", "replay"][..], &["webhooks", "replay", "evt_1", "--state", "done"]] {
        assert_eq!(server.command(wrong).0, 64, "{wrong:?}");
    }
    let (code, _, messages) = server.command(&["webhooks", "list", "--state", "lost"]);
    assert_eq!(code, 64);
    assert!(messages.contains("pending, done or dead"), "{messages}");
}

#[tokio::test]
async fn the_sandbox_clock_is_read_and_moved_from_the_command_line() {
    let mut server = Server::dev_with(&Database::Embedded, &["--clock", "2026-01-15T09:00:00Z"]).await;
    let (code, clock, _) = server.command(&["sandbox", "clock"]);
    assert_eq!((code, clock.starts_with("2026-01-15T09:")), (0, true), "{clock}");
    let (code, moved, messages) = server.command(&["sandbox", "advance", "1mo", "--json"]);
    assert_eq!(code, 0, "{messages}");
    assert!(text(&json_of(&moved)["now"]).starts_with("2026-02-15T09:"), "{moved}");
    assert_eq!(json_of(&moved)["unconverged"], json!([]));
    let (code, _, messages) = server.command(&["sandbox", "advance", "--to", "2026-01-01T00:00:00Z"]);
    assert_eq!(code, 3, "backwards is refused: {messages}");
    let (code, _, messages) = server.command(&["sandbox", "advance", "1fortnight"]);
    assert_eq!(code, 64, "{messages}");
    server.terminate().await;
    let (code, _, messages) = server.command(&["sandbox", "clock"]);
    assert_eq!(code, 7, "no server: {messages}");
}

#[tokio::test]
async fn the_journal_and_the_ledger_are_verified_and_a_decision_is_explained() {
    for database in Database::all().await {
        let mut server = Server::dev(&database).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        let counted = org.record("one", 1).await;
        let receipt = counted.header("Tollgate-Receipt").to_owned();
        let (code, told, messages) = server.command(&["explain", &receipt]);
        assert_eq!(code, 0, "{messages}");
        assert!(told.contains("api_call"), "{told}");
        let (code, _, _) = server.command(&["explain", "v1.e30.forged"]);
        assert_ne!(code, 0);
        for running in [true, false] {
            for words in [
                &["audit", "verify"][..],
                &["usage", "verify"],
                &["usage", "rebuild"],
                &["usage", "verify", "--org", &org.org_id],
            ] {
                let (code, _, messages) = server.command(words);
                assert_eq!(code, 0, "{words:?}: {messages}");
            }
            if running {
                server.terminate().await;
            }
        }
    }
}

#[tokio::test]
async fn plans_are_compared_and_applied_and_pending_changes_are_exit_code_two() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::dev(&Database::Embedded).await;
    let (code, _, messages) = server.command(&["plans", "plan"]);
    assert_eq!(code, 0, "dev has applied its catalog: {messages}");
    let edited = place.path().join("plans.toml");
    std::fs::write(&edited, crate::tenant::plans(5, 777)).unwrap();
    let edited = edited.to_str().unwrap();
    let (code, told, messages) = server.command(&["plans", "plan", "--plans", edited]);
    assert_eq!(code, 2, "{messages}");
    assert!(told.contains("starter"), "{told}");
    let (code, _, messages) = server.command(&["plans", "apply", "--plans", edited]);
    assert_eq!(code, 0, "{messages}");
    let (code, _, messages) = server.command(&["plans", "plan", "--plans", edited]);
    assert_eq!(code, 0, "{messages}");
    std::fs::write(place.path().join("plans.toml"), "[[metric]]\ncode = 7\n").unwrap();
    let (code, _, messages) = server.command(&["plans", "plan", "--plans", edited]);
    assert_eq!(code, 64);
    assert!(messages.contains("line 2"), "{messages}");
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_and_the_way_out() {
    let server = Server::dev(&Database::Embedded).await;
    let (code, told, messages) = server.command(&["doctor", "--json"]);
    let told = json_of(&told);
    let checks = told["checks"].as_array().unwrap_or_else(|| panic!("{told} {messages}"));
    assert!(checks.iter().any(|check| check["name"] == "database" && check["ok"] == true), "{told}");
    for check in checks.iter().filter(|check| check["ok"] == false) {
        assert!(check["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{check}");
    }
    assert_eq!(code == 0, checks.iter().all(|check| check["ok"] == true), "{told}");
}

#[test]
fn migrate_says_what_is_pending_and_brings_the_database_up_to_date() {
    let place = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let mut command = tollgate();
        let output = command
            .args(words)
            .arg("--data")
            .arg(place.path().join("data"))
            .current_dir(place.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(&["migrate", "--check"]).0, Some(2));
    assert_eq!(run(&["migrate"]).0, Some(0));
    assert_eq!(run(&["migrate", "--check"]).0, Some(0));
}

#[test]
fn documents_are_printed_without_a_server_or_a_database() {
    let place = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let output = tollgate().args(words).current_dir(place.path()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(json_of(&run(&["openapi"]))["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    assert!(run(&["completions", "bash"]).contains("tollgate"));
    assert!(run(&["config", "reference"]).contains("TOLLGATE_OPERATOR_KEY"));
    assert!(run(&["--help"]).contains("Exit codes"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing was made");
}
