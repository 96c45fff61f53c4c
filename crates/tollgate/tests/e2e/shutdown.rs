//! SIGTERM lets what was begun end, and says 0.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::{Tenant, record_of};

#[tokio::test]
async fn sigterm_under_load_drains_within_ten_seconds_and_loses_no_acknowledged_call() {
    for database in Database::all().await {
        let mut server = Server::dev(&database).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        let mut load = JoinSet::new();
        for writer in 0..32 {
            let api = org.api.clone();
            load.spawn(async move {
                let mut acknowledged = 0_u64;
                for call in 0..30 {
                    match api.try_post("/api/usage/record", &record_of(&format!("{writer}-{call}"), 1)).await {
                        Ok(answer) if answer.status == 200 => acknowledged += 1,
                        Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
                        Err(_) => break,
                    }
                }
                acknowledged
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (status, took) = server.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", server.log());
        assert!(took <= Duration::from_secs(10), "draining took {took:?}");
        let acknowledged: u64 = load.join_all().await.into_iter().sum();
        let server = server.restart().await;
        let used = org.at(&server).get("/api/me/entitlements.read").await.data()["used"].as_u64().unwrap();
        assert!(used >= acknowledged, "{acknowledged} acknowledged, {used} counted");
        println!(
            "PROOF: shutdown: {}, drained {acknowledged} acknowledged calls in {} ms",
            database.kind(),
            took.as_millis()
        );
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_directory_is_refused() {
    let server = Server::dev(&Database::Embedded).await;
    let mut second = Options::dev(server.data(), &Database::Embedded);
    // Its log and ready-file stand beside the first one's; only the data directory is the same.
    second.arguments.extend(["--data".into(), server.data().to_string_lossy().into_owned()]);
    second.data = server.data().with_file_name("second");
    let mut command = crate::server::tollgate();
    command.args(&second.arguments).current_dir(server.data().parent().unwrap());
    let output = command.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{messages}");
    assert!(messages.contains("another tollgate is running"), "{messages}");
    assert_eq!(server.operator().get("/healthz").await.status, 200, "the first one is unharmed");
}
