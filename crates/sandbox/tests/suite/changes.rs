//! Changing a subscription: prorations to the cent, held changes, the end of a trial.

use serde_json::{Value, json};
use tollgate_sandbox::contract;

use super::harness::{Server, id};

fn vectors() -> Option<Value> {
    let text = contract::folder()
        .and_then(|folder| std::fs::read_to_string(folder.join("stripe/proration_vectors.json")).ok());
    if text.is_none() {
        println!("skipped: no contract data beside the repository");
    }
    text.map(|text| serde_json::from_str(&text).unwrap())
}

/// A subscription to `old` whose current period is the one of a vector, on a test clock at `at`.
async fn in_period(server: &Server, old: i64, start: i64, mode: &str) -> (String, Value) {
    let clock = id(&server.post("/v1/test_helpers/test_clocks", &format!("frozen_time={start}")).await);
    let customer = id(&server.post("/v1/customers", &format!("test_clock={clock}")).await);
    server.give_card(&customer, "visa").await;
    let price = server.price(old, "month").await;
    let form = format!("customer={customer}&items[0][price]={price}&billing_mode[type]={mode}");
    (clock, server.post("/v1/subscriptions", &form).await)
}

async fn advance(server: &Server, clock: &str, to: i64) {
    let path = format!("/v1/test_helpers/test_clocks/{clock}");
    server.post(&format!("{path}/advance"), &format!("frozen_time={to}")).await;
    while server.get(&path).await["status"] != "ready" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn item(subscription: &Value) -> String {
    id(&subscription["items"]["data"][0])
}

fn amounts(invoice: &Value) -> Vec<i64> {
    invoice["lines"]["data"].as_array().unwrap().iter().map(|line| line["amount"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_preview_of_an_upgrade_is_the_one_in_stripes_documentation() {
    let Some(vectors) = vectors() else { return };
    let vector = &vectors["proration"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == "docs_preview_upgrade")
        .unwrap()
        .clone();
    let server = Server::start().await;
    let start = vector["period_start"].as_i64().unwrap();
    let (clock, subscription) = in_period(&server, 1000, start, "flexible").await;
    assert_eq!(subscription["items"]["data"][0]["current_period_end"], vector["period_end"]);
    let date = vector["proration_date"].as_i64().unwrap();
    advance(&server, &clock, date).await;
    let price = server.price(3252, "month").await;
    let details = |behaviour: &str| {
        format!(
            "subscription={}&subscription_details[items][0][id]={}&subscription_details[items][0][price]={price}\
             &subscription_details[proration_behavior]={behaviour}&subscription_details[proration_date]={date}",
            id(&subscription),
            item(&subscription),
        )
    };
    let next = server.post("/v1/invoices/create_preview", &details("create_prorations")).await;
    assert_eq!((amounts(&next), &next["total"]), (vec![-166, 541, 3252], &vector["preview_total"]));
    assert_eq!(next["lines"]["data"][0]["description"], "Unused time on Plan 1000 month after 01 Sep 2020");
    assert_eq!(next["lines"]["data"][2]["period"]["end"], vector["next_period"]["end"]);
    let now = server.post("/v1/invoices/create_preview", &details("always_invoice")).await;
    assert_eq!((amounts(&now), &now["amount_due"]), (vec![-166, 541], &json!(375)));

    let form = format!(
        "items[0][id]={}&items[0][price]={price}&proration_behavior=always_invoice&proration_date={date}\
         &payment_behavior=pending_if_incomplete&expand[]=latest_invoice",
        item(&subscription)
    );
    let changed = server.post(&format!("/v1/subscriptions/{}", id(&subscription)), &form).await;
    assert_eq!(
        (amounts(&changed["latest_invoice"]), &changed["latest_invoice"]["status"]),
        (vec![-166, 541], &json!("paid"))
    );
    assert_eq!(changed["latest_invoice"]["billing_reason"], "subscription_update");
    assert_eq!(changed["items"]["data"][0]["current_period_end"], vector["period_end"]);
    server.events().await;
}

#[tokio::test]
async fn credits_come_from_the_present_price_or_from_what_was_billed() {
    let Some(vectors) = vectors() else { return };
    let server = Server::start().await;
    for vector in vectors["proration"].as_array().unwrap() {
        let Some(mode) = vector["billing_mode"].as_str().filter(|_| vector["fraction"] == "1/3") else { continue };
        // 1 April to 1 May 2026: the 21st at midnight leaves a third.
        let (start, day) = (1_775_001_600, 86_400);
        let (clock, subscription) = in_period(&server, 1000, start, mode).await;
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let (low, high) =
            (subscription["items"]["data"][0]["price"]["id"].as_str().unwrap(), server.price(2000, "month").await);
        let change = |price: &str, behaviour: &str| {
            format!(
                "items[0][id]={}&items[0][price]={price}&proration_behavior={behaviour}&expand[]=latest_invoice",
                item(&subscription)
            )
        };
        advance(&server, &clock, start + 10 * day).await;
        let unbilled = server.post(&path, &change(&high, "none")).await;
        assert_eq!(unbilled["latest_invoice"]["total"], 1000);
        advance(&server, &clock, start + 20 * day).await;
        let back = server.post(&path, &change(low, "always_invoice")).await;
        let expected = [vector["credit"].as_i64().unwrap(), vector["debit"].as_i64().unwrap()];
        assert_eq!(amounts(&back["latest_invoice"]), expected, "{mode}");
        assert_eq!(back["latest_invoice"]["total"], vector["invoice_total"]);
        let customer = server.get(&format!("/v1/customers/{}", back["customer"].as_str().unwrap())).await;
        assert_eq!(customer["balance"], vector["invoice_total"], "a negative total becomes credit");
    }
}

#[tokio::test]
async fn prorations_of_halves_and_of_recorded_invoices_are_met() {
    let Some(vectors) = vectors() else { return };
    let server = Server::start().await;
    for vector in vectors["proration"].as_array().unwrap() {
        if vector["id"] != "recorded_28_day_month" && vector["id"] != "docs_half_period" {
            continue;
        }
        let start = vector["period_start"].as_i64().unwrap_or(1_775_001_600);
        let (clock, subscription) = in_period(&server, 1000, start, "flexible").await;
        let date = vector["proration_date"].as_i64().unwrap_or(start + 15 * 86_400);
        advance(&server, &clock, date).await;
        let price = server.price(2000, "month").await;
        let form = format!(
            "items[0][id]={}&items[0][price]={price}&proration_behavior=always_invoice&expand[]=latest_invoice",
            item(&subscription)
        );
        let changed = server.post(&format!("/v1/subscriptions/{}", id(&subscription)), &form).await;
        assert_eq!(json!(amounts(&changed["latest_invoice"])[0]), vector["credit"], "{}", vector["id"]);
        if let Some(debit) = vector["debit"].as_i64() {
            assert_eq!(amounts(&changed["latest_invoice"])[1], debit);
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_is_not_paid_changes_nothing_until_it_is() {
    let server = Server::start().await;
    let (customer, low, high) =
        (server.customer(Some("visa")).await, server.price(4900, "month").await, server.price(39_900, "month").await);
    let subscription = server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={low}")).await;
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    server.give_card(&customer, "chargeCustomerFail").await;
    let form = format!(
        "items[0][id]={}&items[0][price]={high}&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete",
        item(&subscription)
    );
    let held = server.post(&path, &format!("{form}&expand[]=latest_invoice")).await;
    assert_eq!((&held["status"], &held["items"]["data"][0]["price"]["id"]), (&json!("active"), &json!(low)));
    assert_eq!(held["pending_update"]["subscription_items"][0]["price"]["id"], high);
    assert_eq!(held["latest_invoice"]["status"], "open");

    server.give_card(&customer, "visa").await;
    server.post(&format!("/v1/invoices/{}/pay", id(&held["latest_invoice"])), "").await;
    let applied = server.get(&path).await;
    assert_eq!((&applied["items"]["data"][0]["price"]["id"], &applied["pending_update"]), (&json!(high), &json!(null)));
    let about = server.events_about(&id(&subscription)).await;
    assert!(about.contains(&"customer.subscription.pending_update_applied".to_owned()));
}

#[tokio::test]
async fn a_held_upgrade_is_given_up_after_a_day_or_with_its_invoice() {
    let server = Server::start().await;
    let (low, high) = (server.price(4900, "month").await, server.price(39_900, "month").await);
    for give_up in ["wait", "void"] {
        let customer = server.customer(Some("visa")).await;
        let subscription =
            server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={low}")).await;
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        server.give_card(&customer, "chargeCustomerFail").await;
        let form = format!(
            "items[0][id]={}&items[0][price]={high}&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete",
            item(&subscription)
        );
        let held = server.post(&path, &form).await;
        let invoice = format!("/v1/invoices/{}", held["latest_invoice"].as_str().unwrap());
        if give_up == "void" {
            assert_eq!(server.post(&format!("{invoice}/void"), "").await["status"], "void");
        } else {
            server.move_to_second(server.now() + 24 * 3_600).await;
            assert_eq!(server.get(&invoice).await["status"], "void");
        }
        let after = server.get(&path).await;
        assert_eq!((&after["pending_update"], &after["items"]["data"][0]["price"]["id"]), (&json!(null), &json!(low)));
        let about = server.events_about(&id(&subscription)).await;
        assert_eq!(about.last().unwrap(), "customer.subscription.pending_update_expired");
        let foreign = format!("{form}&default_payment_method=pm_x");
        assert_eq!(server.refused("POST", &path, &foreign).await.0, 400);
    }
}

#[tokio::test]
async fn ending_a_trial_charges_at_once_or_not_at_all() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(None).await, server.price(4900, "month").await);
    let form = format!("customer={customer}&items[0][price]={price}&trial_period_days=14");
    let trial = server.post("/v1/subscriptions", &form).await;
    let path = format!("/v1/subscriptions/{}", id(&trial));
    assert_eq!(server.refused("POST", &path, "trial_end=now").await.0, 400);
    server.give_card(&customer, "chargeCustomerFail").await;
    let (status, _) = server.refused("POST", &path, "trial_end=now&payment_behavior=error_if_incomplete").await;
    assert_eq!(status, 402);
    assert_eq!(server.get(&path).await["status"], "trialing");

    server.give_card(&customer, "visa").await;
    let paid = server.post(&path, "trial_end=now&payment_behavior=pending_if_incomplete&expand[]=latest_invoice").await;
    assert_eq!((&paid["status"], &paid["latest_invoice"]["amount_paid"]), (&json!("active"), &json!(4900)));
    assert_eq!(paid["billing_cycle_anchor"], paid["items"]["data"][0]["current_period_start"]);
    assert!(paid["trial_end"].as_i64().unwrap() <= server.now());
}

#[tokio::test]
async fn three_d_secure_is_asked_for_and_carried_on_with() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("authenticationRequired")).await, server.price(4900, "month").await);
    let form = format!("customer={customer}&items[0][price]={price}&expand[]=latest_invoice.payments");
    let waiting = server.post("/v1/subscriptions", &form).await;
    assert_eq!(waiting["status"], "incomplete");
    let intent =
        waiting["latest_invoice"]["payments"]["data"][0]["payment"]["payment_intent"].as_str().unwrap().to_owned();
    let asked = server.get(&format!("/v1/payment_intents/{intent}")).await;
    assert_eq!(asked["status"], "requires_action");
    reqwest::get(asked["next_action"]["redirect_to_url"]["url"].as_str().unwrap()).await.unwrap();
    assert_eq!(server.subscription(&id(&waiting)).await["status"], "active");
    let about = server.events().await;
    assert!(about.iter().any(|event| event["type"] == "invoice.payment_action_required"));
}

#[tokio::test]
async fn kept_prorations_stand_on_the_next_invoice_and_a_new_interval_starts_a_new_period() {
    let server = Server::start_at("2026-04-01T00:00:00Z").await;
    let (customer, low) = (server.customer(Some("visa")).await, server.price(1000, "month").await);
    let subscription = server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={low}")).await;
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    server.move_to("2026-04-16T00:00:00Z").await;
    let more = server.post(&path, &format!("items[0][id]={}&items[0][quantity]=3", item(&subscription))).await;
    assert_eq!(more["latest_invoice"], subscription["latest_invoice"]);
    server.move_to("2026-05-02T00:00:00Z").await;
    let renewed = server.find(&path, "expand[]=latest_invoice").await;
    let lines = amounts(&renewed["latest_invoice"]);
    assert_eq!((lines.iter().sum::<i64>(), lines.last()), (4000, Some(&3000)));

    let year = server.price(10_000, "year").await;
    let form = format!(
        "items[0][id]={}&items[0][price]={year}&billing_cycle_anchor[type]=now&expand[]=latest_invoice",
        item(&subscription)
    );
    let yearly = server.post(&path, &form).await;
    assert_eq!(yearly["items"]["data"][0]["quantity"], 1, "a price without a quantity resets it");
    assert_eq!(yearly["billing_cycle_anchor"], yearly["items"]["data"][0]["current_period_start"]);
    let lines = amounts(&yearly["latest_invoice"]);
    assert!(lines[0] < 0 && lines[1] == 10_000);
    let item = &yearly["items"]["data"][0];
    assert_eq!(
        item["current_period_end"].as_i64().unwrap() - item["current_period_start"].as_i64().unwrap(),
        365 * 86_400
    );
    server.events().await;
}
