//! What `serve` refuses to start with, and how it says so.

use std::net::TcpListener;
use std::path::Path;

use crate::database::Database;
use crate::server::{Options, Server, tollgate};

const KEY: &str = "tgo_0123456789012345678901234567890123456789";

fn refused(place: &Path, words: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = tollgate();
    command.args(words).arg("--data").arg(place.join("data")).envs(variables.iter().copied()).current_dir(place);
    let output = command.output().expect("the binary starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn serve_refuses_a_stripe_on_loopback_unless_told() {
    let place = tempfile::tempdir().unwrap();
    let variables = [
        ("TOLLGATE_OPERATOR_KEY", KEY),
        ("STRIPE_SECRET_KEY", "sk_test_x"),
        ("STRIPE_API_BASE", "http://127.0.0.1:8788"),
    ];
    let (code, messages) = refused(place.path(), &["serve", "--migrate"], &variables);
    assert_eq!(code, 64, "{messages}");
    assert!(messages.contains("STRIPE_API_BASE") && messages.contains("--allow-sandbox"), "{messages}");
}

#[test]
fn serve_refuses_an_unmigrated_database_and_names_the_command() {
    let place = tempfile::tempdir().unwrap();
    let (code, messages) =
        refused(place.path(), &["serve", "--listen", "127.0.0.1:0"], &[("TOLLGATE_OPERATOR_KEY", KEY)]);
    assert_eq!(code, 4, "{messages}");
    assert!(messages.contains("tollgate migrate"), "{messages}");
}

#[test]
fn dev_refuses_to_be_reached_from_other_machines() {
    let place = tempfile::tempdir().unwrap();
    for words in [["dev", "--no-open", "--listen", "0.0.0.0:0"], ["dev", "--no-open", "--sandbox-listen", "[::]:0"]] {
        let (code, messages) = refused(place.path(), &words, &[]);
        assert_eq!(code, 64, "{messages}");
        assert!(messages.contains("loopback") && messages.contains("tollgate serve"), "{messages}");
    }
    assert!(!place.path().join("data").exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_taken_port_is_named_with_a_way_out() {
    let place = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for words in [&["serve", "--migrate", "--listen", &address][..], &["dev", "--no-open", "--listen", &address][..]] {
        let (code, messages) = refused(place.path(), words, &[("TOLLGATE_OPERATOR_KEY", KEY)]);
        assert_eq!(code, 1, "{messages}");
        assert!(messages.contains(&address) && messages.contains("--listen"), "{messages}");
    }
}

#[test]
fn a_wrong_setting_is_a_usage_error_that_names_it() {
    let place = tempfile::tempdir().unwrap();
    let (code, messages) = refused(place.path(), &["serve"], &[("TOLLGATE_LISTEN", "here")]);
    assert_eq!(code, 64);
    assert!(messages.contains("--listen / TOLLGATE_LISTEN"), "{messages}");
    let (code, _) = refused(place.path(), &["fly"], &[]);
    assert_eq!(code, 64);
}

#[tokio::test]
async fn serve_writes_json_lines_without_secrets_and_warns_about_test_keys() {
    let place = tempfile::tempdir().unwrap();
    let secret = "sk_test_this_must_not_be_logged";
    let options = Options::serve(&place.path().join("data"), &Database::Embedded)
        .arguments(&["--migrate", "--allow-sandbox"])
        .variable("TOLLGATE_OPERATOR_KEY", KEY)
        .variable("STRIPE_API_BASE", "http://127.0.0.1:9")
        .variable("STRIPE_SECRET_KEY", secret);
    let mut server = Server::start(options).await;
    let smoke = server.operator().get("/api/diag/smoke").await;
    assert_eq!(smoke.status, 503, "nobody is at Stripe's address: {}", smoke.text);
    let (status, _) = server.terminate().await;
    assert!(status.success());
    let log = server.log();
    assert!(log.contains("test key"), "{log}");
    assert!(!log.contains(secret) && !log.contains(KEY), "{log}");
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        assert!(line["level"].is_string() && line["ts"].is_string() && line["env"] == "prod", "{line}");
    }
    let smoke = log.lines().find(|line| line.contains("diag.smoke")).expect("the smoke check is one structured line");
    let smoke: serde_json::Value = serde_json::from_str(smoke).expect("in JSON");
    assert!(smoke["request_id"].is_string() && smoke["corr_id"].is_string(), "{smoke}");
}
