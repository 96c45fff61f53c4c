//! `Idempotency-Key`: replays, changed parameters, concurrency, forgetting.

use serde_json::json;
use tollgate_sandbox::Failure;

use super::harness::{Server, id};

#[tokio::test]
async fn a_repeated_key_answers_the_first_answer_again() {
    let server = Server::start().await;
    let key = [("idempotency-key", "op_1")];
    let first = server.send("POST", "/v1/customers", "name=Acme", &key).await;
    let second = server.send("POST", "/v1/customers", "name=Acme", &key).await;
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert!(first.headers.get("idempotent-replayed").is_none());
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert_eq!(server.find("/v1/customers", "").await["data"].as_array().unwrap().len(), 1);
    let created = server.events().await;
    assert_eq!(created[0]["request"]["idempotency_key"], "op_1");
}

#[tokio::test]
async fn a_key_with_other_parameters_is_refused() {
    let server = Server::start().await;
    let key = [("idempotency-key", "op_1")];
    server.send("POST", "/v1/customers", "name=Acme", &key).await;
    for (path, form) in [("/v1/customers", "name=Other"), ("/v1/products", "name=Acme")] {
        let reply = server.send("POST", path, form, &key).await;
        assert_eq!((reply.status, &reply.body["error"]["type"]), (400, &json!("idempotency_error")));
    }
}

#[tokio::test]
async fn a_call_that_fails_validation_leaves_its_key_free() {
    let server = Server::start().await;
    let key = [("idempotency-key", "op_1")];
    assert_eq!(server.send("POST", "/v1/customers", "colour=red", &key).await.status, 400);
    assert_eq!(server.send("POST", "/v1/customers", "name=Acme", &key).await.status, 200);
}

#[tokio::test]
async fn a_decline_is_replayed_too() {
    let server = Server::start().await;
    let customer = server.customer(None).await;
    let intent = id(&server.post("/v1/setup_intents", &format!("customer={customer}")).await);
    let path = format!("/v1/setup_intents/{intent}/confirm");
    let key = [("idempotency-key", "op_1")];
    let first = server.send("POST", &path, "payment_method=pm_card_chargeDeclined", &key).await;
    let second = server.send("POST", &path, "payment_method=pm_card_chargeDeclined", &key).await;
    assert_eq!((first.status, second.status), (402, 402));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert_eq!(server.find("/v1/events", "type=setup_intent.setup_failed").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn many_calls_with_one_key_do_their_work_once() {
    let server = Server::start().await;
    let key = [("idempotency-key", "op_1")];
    let calls = (0..40).map(|_| server.send("POST", "/v1/customers", "name=Acme", &key));
    let replies = futures::future::join_all(calls).await;
    assert!(replies.iter().any(|reply| reply.status == 200));
    for reply in &replies {
        if reply.status != 200 {
            assert_eq!((reply.status, &reply.body["error"]["code"]), (409, &json!("idempotency_key_in_use")));
        }
    }
    assert_eq!(server.find("/v1/customers", "").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day_and_survives_a_restart_before() {
    let server = Server::start().await;
    let key = [("idempotency-key", "op_1")];
    let first = server.send("POST", "/v1/customers", "name=Acme", &key).await;
    let server = server.restart().await;
    assert_eq!(server.send("POST", "/v1/customers", "name=Acme", &key).await.body, first.body);
    server.move_to_second(server.now() + 86_400 + 60).await;
    assert_ne!(server.send("POST", "/v1/customers", "name=Acme", &key).await.body["id"], first.body["id"]);
}

#[tokio::test]
async fn an_answer_lost_after_the_work_is_found_again_by_its_key() {
    let server = Server::start().await;
    server.sandbox.faults().fail_next("/v1/customers", 1, Failure::LostAnswer);
    let url = format!("{}/v1/customers", server.sandbox.base_url());
    let lost = reqwest::Client::new()
        .post(url)
        .header("authorization", "Bearer sk_test_1")
        .header("idempotency-key", "op_1")
        .body("name=Acme")
        .send()
        .await;
    let nothing = match lost {
        Err(_) => true,
        Ok(answer) => answer.bytes().await.is_err(),
    };
    assert!(nothing, "the answer was to be lost");
    let found = server.send("POST", "/v1/customers", "name=Acme", &[("idempotency-key", "op_1")]).await;
    assert_eq!(found.headers["idempotent-replayed"], "true");

    server.sandbox.faults().fail_next("/v1/customers", 2, Failure::Status(429));
    assert_eq!(server.refused("POST", "/v1/customers", "name=B").await.0, 429);
    assert_eq!(server.refused("GET", "/v1/customers", "").await.0, 429);
    server.sandbox.faults().fail_next("/v1/customers", 1, Failure::ErrorAfterCommit);
    assert_eq!(server.refused("POST", "/v1/customers", "name=B").await.0, 500);
    assert_eq!(server.find("/v1/customers", "").await["data"].as_array().unwrap().len(), 2);
}
