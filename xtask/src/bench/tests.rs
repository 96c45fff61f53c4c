//! The measuring tool measures: the generator against the echo server, the bare loop against a table like the product's.

use std::time::Duration;

use super::bare::Bare;
use super::load::{self, Shape};
use super::request::{ID, Request};
use super::{disk, echo, sql};

#[tokio::test]
async fn a_round_counts_the_calls_that_were_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let ready_file = directory.path().join("echo.ready");
    let serving = tokio::spawn({
        let ready_file = ready_file.clone();
        async move { echo::serve(&ready_file).await }
    });
    let target = loop {
        match std::fs::read_to_string(&ready_file) {
            Ok(address) => break address.parse().expect("an address"),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let shape =
        Shape { target, connections: 4, duration: Duration::from_millis(200), warm_up: Duration::from_millis(20) };
    let round = load::round(shape, vec![Request::post("/echo", None, echo::BODY)]).await.expect("a round");
    assert!(round.calls > 0 && round.calls == round.latency.count());
    assert!(round.latency.percentile(50) <= round.latency.percentile(99));

    let refused =
        load::round(shape, vec![Request::post("/echo", None, "{}")]).await.expect_err("the body lacks fields");
    assert!(refused.to_string().contains("the server answered 422"), "{refused}");
    serving.abort();
}

#[tokio::test]
async fn the_bare_loop_stores_every_row_it_reports() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::write(data.join("tollgate.db"), "").expect("an empty file is an empty database");
    let mut original = sql::open(&data.join("tollgate.db")).await.expect("a new file");
    for statement in [
        "CREATE TABLE usage_events (seq INTEGER PRIMARY KEY, org_key BIGINT, request_id TEXT, note TEXT, UNIQUE (org_key, request_id))",
        "INSERT INTO usage_events (org_key, request_id, note) VALUES (7, 'first', NULL)",
    ] {
        sqlx::query(statement).execute(&mut original).await.expect("a plain statement");
    }
    sqlx::Connection::close(original).await.expect("a clean end");

    let copy = directory.path().join("copy.db");
    let mut bare = Bare::copy_of(&data, &copy).await.expect("a copy");
    let rate = bare.round(10, Duration::from_millis(100)).await.expect("a round");
    assert!(rate > 0);

    let mut reader = sql::open(&copy).await.expect("the copy");
    let counted = "SELECT COUNT(*) FROM usage_events WHERE org_key = 7 AND note IS NULL AND length(request_id) = 32";
    let stored: i64 = sqlx::query_scalar(counted).fetch_one(&mut reader).await.expect("a count");
    assert!(stored >= 10 && stored % 10 == 0, "{stored} rows: whole groups of new ids with the sample's other values");
}

#[test]
fn an_id_has_one_place_per_event() {
    let body = format!("[{{\"request_id\":\"{ID}\"}},{{\"request_id\":\"{ID}\"}}]");
    let mut request = Request::post("/v1/usage", None, &body);
    let text = String::from_utf8(request.next().to_vec()).expect("text");
    let ids: Vec<&str> = text.split("request_id\":\"").skip(1).map(|rest| &rest[..32]).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_disk_is_measured_and_left_clean() {
    let directory = tempfile::tempdir().expect("a directory");
    let syncs = disk::measure(directory.path(), Duration::from_millis(20)).expect("a disk that takes writes");
    assert!(syncs.appending > 0 && syncs.overwriting > 0);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}
