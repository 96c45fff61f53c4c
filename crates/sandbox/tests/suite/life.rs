//! Subscriptions over time: trials, renewals, dunning, cancellation.

use serde_json::{Value, json};

use tollgate_sandbox::AfterLastAttempt;

use super::harness::{Server, at, id};

async fn subscribe(server: &Server, customer: &str, price: &str, more: &str) -> Value {
    server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}{more}")).await
}

fn period(subscription: &Value) -> (i64, i64) {
    let item = &subscription["items"]["data"][0];
    (item["current_period_start"].as_i64().unwrap(), item["current_period_end"].as_i64().unwrap())
}

#[tokio::test]
async fn a_trial_with_a_card_becomes_a_paid_subscription_that_renews_on_the_last_days_of_months() {
    let server = Server::start_at("2026-01-17T09:30:00Z").await;
    let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
    let started = subscribe(&server, &customer, &price, "&trial_period_days=14&metadata[tollgate_org]=org_1").await;
    let subscription = id(&started);
    let anchor = started["trial_end"].as_i64().unwrap();
    assert_eq!((&started["status"], period(&started).1), (&json!("trialing"), anchor));
    assert_eq!(started["billing_cycle_anchor"], anchor);
    assert_eq!(anchor, started["created"].as_i64().unwrap() + 14 * 86_400);

    server.move_to("2027-04-15T00:00:00Z").await;

    let now = server.subscription(&subscription).await;
    assert_eq!(now["status"], "active");
    let clock_seconds = anchor - at("2026-01-31T09:30:00Z");
    assert!((0..5).contains(&clock_seconds));
    let mut ends = Vec::new();
    let invoices = server.find("/v1/invoices", &format!("subscription={subscription}&limit=100")).await;
    let mut invoices = invoices["data"].as_array().unwrap().clone();
    invoices.reverse();
    assert_eq!(invoices[0]["total"], 0);
    for invoice in &invoices[1..] {
        assert_eq!(
            (&invoice["status"], &invoice["total"], &invoice["amount_paid"]),
            (&json!("paid"), &json!(4900), &json!(4900))
        );
        assert_eq!(invoice["billing_reason"], "subscription_cycle");
        let paid_at = invoice["status_transitions"]["paid_at"].as_i64().unwrap();
        assert_eq!(paid_at - invoice["created"].as_i64().unwrap(), 3_600);
        ends.push(invoice["lines"]["data"][0]["period"]["end"].as_i64().unwrap() - clock_seconds);
    }
    let expected: Vec<i64> = [
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
        "2026-05-31",
        "2026-06-30",
        "2026-07-31",
        "2026-08-31",
        "2026-09-30",
        "2026-10-31",
        "2026-11-30",
        "2026-12-31",
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
    ]
    .iter()
    .map(|day| at(&format!("{day}T09:30:00Z")))
    .collect();
    assert_eq!(ends, expected);
    assert!(server.events_about(&subscription).await.contains(&"customer.subscription.trial_will_end".to_owned()));
}

#[tokio::test]
async fn a_trial_without_a_card_ends_as_its_settings_say() {
    let server = Server::start().await;
    let price = server.price(4900, "month").await;
    for (behaviour, status, last) in [
        ("cancel", "canceled", "customer.subscription.deleted"),
        ("pause", "paused", "customer.subscription.paused"),
        ("create_invoice", "past_due", "customer.subscription.updated"),
    ] {
        let customer = server.customer(None).await;
        let more = format!("&trial_period_days=14&trial_settings[end_behavior][missing_payment_method]={behaviour}");
        let started = subscribe(&server, &customer, &price, &more).await;
        assert!(started["pending_setup_intent"].is_string());
        server.move_to_second(server.now() + 15 * 86_400).await;
        let ended = server.subscription(&id(&started)).await;
        assert_eq!(ended["status"], status);
        assert_eq!(server.events_about(&id(&started)).await.last().unwrap(), last);
    }
}

#[tokio::test]
async fn a_card_that_fails_is_tried_four_times_and_then_the_subscription_ends() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("chargeCustomerFail")).await, server.price(4900, "month").await);
    let subscription = id(&subscribe(&server, &customer, &price, "&trial_period_days=1").await);
    let trial_end = server.now() + 86_400;

    server.move_to_second(trial_end + 60).await;
    assert_eq!(server.subscription(&subscription).await["status"], "active");
    server.move_to_second(trial_end + 3_700).await;
    assert_eq!(server.subscription(&subscription).await["status"], "past_due");
    server.move_to_second(trial_end + 20 * 86_400).await;

    let ended = server.subscription(&subscription).await;
    assert_eq!(ended["status"], "canceled");
    assert_eq!(ended["cancellation_details"]["reason"], "payment_failed");
    let invoice = server.get(&format!("/v1/invoices/{}", ended["latest_invoice"].as_str().unwrap())).await;
    assert_eq!((&invoice["status"], &invoice["attempt_count"]), (&json!("open"), &json!(4)));
    let failures = server.find("/v1/events", "type=invoice.payment_failed").await;
    let mut days: Vec<i64> = failures["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["created"].as_i64().unwrap() - trial_end) / 86_400)
        .collect();
    days.reverse();
    assert_eq!(days, [0, 3, 8, 15]);
}

#[tokio::test]
async fn the_account_may_leave_subscriptions_unpaid_instead() {
    let server = Server::start().await;
    server.sandbox.after_last_attempt(AfterLastAttempt::MarkUnpaid).await.unwrap();
    let (customer, price) = (server.customer(Some("chargeCustomerFail")).await, server.price(4900, "month").await);
    let subscription = id(&subscribe(&server, &customer, &price, "&trial_period_days=1").await);
    server.move_to_second(server.now() + 40 * 86_400).await;
    let unpaid = server.find(&format!("/v1/subscriptions/{subscription}"), "expand[]=latest_invoice").await;
    assert_eq!((&unpaid["status"], &unpaid["latest_invoice"]["status"]), (&json!("unpaid"), &json!("draft")));
    server.move_to_second(server.now() + 40 * 86_400).await;
    assert_eq!(server.subscription(&subscription).await["status"], "unpaid");
}

#[tokio::test]
async fn a_new_card_ends_the_dunning() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("chargeCustomerFail")).await, server.price(4900, "month").await);
    let subscription = id(&subscribe(&server, &customer, &price, "&trial_period_days=1").await);
    server.move_to_second(server.now() + 2 * 86_400).await;
    let due = server.subscription(&subscription).await;
    assert_eq!(due["status"], "past_due");

    server.give_card(&customer, "mastercard").await;
    let path = format!("/v1/invoices/{}/pay", due["latest_invoice"].as_str().unwrap());
    assert_eq!(server.post(&path, "").await["status"], "paid");
    assert_eq!(server.subscription(&subscription).await["status"], "active");
    assert_eq!(server.refused("POST", &path, "").await.0, 400);
}

#[tokio::test]
async fn a_first_payment_is_made_refused_or_awaited() {
    let server = Server::start().await;
    let price = server.price(4900, "month").await;
    let paying = subscribe(&server, &server.customer(Some("visa")).await, &price, "").await;
    assert_eq!(paying["status"], "active");

    let nobody = server.customer(None).await;
    let form = format!("customer={nobody}&items[0][price]={price}");
    let (status, error) = server.refused("POST", "/v1/subscriptions", &form).await;
    assert_eq!((status, &error["code"]), (400, &json!("resource_missing")));

    let failing = server.customer(Some("chargeCustomerFail")).await;
    let form = format!("customer={failing}&items[0][price]={price}");
    let (status, error) =
        server.refused("POST", "/v1/subscriptions", &format!("{form}&payment_behavior=error_if_incomplete")).await;
    assert_eq!((status, &error["code"]), (402, &json!("card_declined")));
    let all = server.find("/v1/subscriptions", &format!("customer={failing}&status=all")).await;
    assert_eq!(all["data"], json!([]));

    let waiting =
        server.post("/v1/subscriptions", &format!("{form}&expand[]=latest_invoice.confirmation_secret")).await;
    assert_eq!((&waiting["status"], &waiting["latest_invoice"]["status"]), (&json!("incomplete"), &json!("open")));
    assert!(waiting["latest_invoice"]["confirmation_secret"]["client_secret"].is_string());
    server.move_to_second(server.now() + 24 * 3_600).await;
    assert_eq!(server.subscription(&id(&waiting)).await["status"], "incomplete_expired");
}

#[tokio::test]
async fn a_yearly_price_renews_after_a_year() {
    let server = Server::start_at("2028-02-29T08:00:00Z").await;
    let (customer, price) = (server.customer(Some("visa")).await, server.price(49_000, "year").await);
    let started = subscribe(&server, &customer, &price, "").await;
    let drift = started["created"].as_i64().unwrap() - at("2028-02-29T08:00:00Z");
    assert_eq!(period(&started).1, at("2029-02-28T08:00:00Z") + drift);
    server.move_to("2032-01-01T00:00:00Z").await;
    assert_eq!(period(&server.subscription(&id(&started)).await).1, at("2032-02-29T08:00:00Z") + drift);
}

#[tokio::test]
async fn a_cancellation_falls_due_at_the_end_of_the_period_unless_it_is_undone() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
    let (leaving, staying) =
        (id(&subscribe(&server, &customer, &price, "").await), id(&subscribe(&server, &customer, &price, "").await));
    for subscription in [&leaving, &staying] {
        let path = format!("/v1/subscriptions/{subscription}");
        let after = server.post(&path, "cancel_at_period_end=true").await;
        assert_eq!(after["cancel_at"], period(&after).1);
    }
    let undone = server.post(&format!("/v1/subscriptions/{staying}"), "cancel_at_period_end=false").await;
    assert!(undone["cancel_at"].is_null() && undone["canceled_at"].is_null());

    server.move_to("2026-03-02T00:00:00Z").await;
    let ended = server.subscription(&leaving).await;
    assert_eq!((&ended["status"], &ended["ended_at"]), (&json!("canceled"), &json!(period(&ended).1)));
    assert_eq!(server.subscription(&staying).await["status"], "active");
    let gone = server.delete(&format!("/v1/subscriptions/{staying}")).await;
    assert_eq!(gone["status"], "canceled");
    assert_eq!(server.refused("DELETE", &format!("/v1/subscriptions/{staying}"), "").await.0, 404);
}

#[tokio::test]
async fn a_sandbox_that_slept_does_afterwards_what_it_would_have_done_in_time() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
    let subscription = id(&subscribe(&server, &customer, &price, "&trial_period_days=3").await);
    let file = server.file();
    let offset = server.sandbox.offset();
    let server = {
        let before = offset.load(std::sync::atomic::Ordering::SeqCst);
        let server = server.restart().await;
        assert_eq!(server.sandbox.offset().load(std::sync::atomic::Ordering::SeqCst), before);
        assert_eq!(server.file(), file);
        server
    };
    let due = server.sandbox.next_due_micros().await.unwrap() / 1_000_000;
    assert!(due <= server.now() + 3 * 86_400);
    let happened = server.move_to("2026-05-15T00:00:00Z").await;
    assert!(happened.windows(2).all(|pair| pair[0].at_micros <= pair[1].at_micros));
    assert_eq!(happened.iter().filter(|one| one.kind == "invoice.paid").count(), 4);
    assert_eq!(server.subscription(&subscription).await["status"], "active");
    assert!(server.sandbox.move_to(at("2026-05-01T00:00:00Z") * 1_000_000).await.is_err());
}

#[tokio::test]
async fn a_test_clock_moves_only_what_lives_on_it() {
    let server = Server::start().await;
    let price = server.price(4900, "month").await;
    let clock =
        id(&server.post("/v1/test_helpers/test_clocks", &format!("frozen_time={}", at("2030-05-31T00:00:00Z"))).await);
    let customer = id(&server.post("/v1/customers", &format!("test_clock={clock}")).await);
    server.give_card(&customer, "visa").await;
    let on_clock = subscribe(&server, &customer, &price, "").await;
    assert_eq!(period(&on_clock), (at("2030-05-31T00:00:00Z"), at("2030-06-30T00:00:00Z")));
    let main = subscribe(&server, &server.customer(Some("visa")).await, &price, "").await;

    let path = format!("/v1/test_helpers/test_clocks/{clock}");
    let advancing =
        server.post(&format!("{path}/advance"), &format!("frozen_time={}", at("2030-08-01T00:00:00Z"))).await;
    assert_eq!(advancing["status"], "advancing");
    while server.get(&path).await["status"] != "ready" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let moved = server.subscription(&id(&on_clock)).await;
    assert_eq!(period(&moved), (at("2030-07-31T00:00:00Z"), at("2030-08-31T00:00:00Z")));
    assert_eq!(period(&server.subscription(&id(&main)).await), period(&main));
    let listed = server.find("/v1/subscriptions", "status=all").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    server.delete(&path).await;
    assert_eq!(server.refused("GET", &format!("/v1/customers/{customer}"), "").await.0, 404);
}
