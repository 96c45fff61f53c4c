//! Credentials, parameters, cards, and objects by themselves.

use serde_json::json;

use super::harness::{Server, id};

#[tokio::test]
async fn a_call_needs_a_test_key() {
    let server = Server::start().await;
    let url = format!("{}/v1/customers", server.sandbox.base_url());
    let client = reqwest::Client::new();
    for (header, status) in [
        (None, 401),
        (Some("Bearer sk_live_1"), 401),
        (Some("Bearer rk_test_1"), 200),
        (Some("Basic c2tfdGVzdF8xMjM6"), 200),
    ] {
        let mut request = client.get(&url);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{header:?}");
        assert!(answer.headers()["request-id"].to_str().unwrap().starts_with("req_"));
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused_by_name() {
    let server = Server::start().await;
    let customer = server.customer(None).await;
    let cases = [
        ("POST", "/v1/customers", "colour=red".to_owned(), 400, "parameter_unknown", "colour"),
        (
            "POST",
            "/v1/customers",
            "invoice_settings[colour]=red".to_owned(),
            400,
            "parameter_unknown",
            "invoice_settings[colour]",
        ),
        ("POST", "/v1/subscriptions", format!("customer={customer}"), 400, "parameter_missing", "items"),
        (
            "POST",
            "/v1/prices",
            "currency=usd&product=p&unit_amount=ten".to_owned(),
            400,
            "parameter_invalid_integer",
            "unit_amount",
        ),
        ("POST", "/v1/products", "name=".to_owned(), 400, "parameter_invalid_empty", "name"),
        ("GET", "/v1/customers/cus_nobody", String::new(), 404, "resource_missing", "id"),
        ("POST", "/v1/setup_intents", "customer=cus_nobody".to_owned(), 400, "resource_missing", "customer"),
    ];
    for (method, path, form, status, code, param) in cases {
        let (got, error) = server.refused(method, path, &form).await;
        assert_eq!((got, &error["code"], &error["param"]), (status, &json!(code), &json!(param)), "{path} {form}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(server.refused("GET", "/v1/nothing", "").await.0, 404);
    let (status, _) =
        server.refused("POST", "/v1/subscriptions", &format!("customer={customer}&payment_behavior=hope")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn cards_do_what_their_names_promise() {
    let server = Server::start().await;
    let customer = server.customer(None).await;
    for (card, code, decline_code) in [
        ("chargeDeclined", "card_declined", json!("generic_decline")),
        ("chargeDeclinedInsufficientFunds", "card_declined", json!("insufficient_funds")),
        ("chargeDeclinedExpiredCard", "expired_card", json!(null)),
    ] {
        let path = format!("/v1/payment_methods/pm_card_{card}/attach");
        let (status, error) = server.refused("POST", &path, &format!("customer={customer}")).await;
        assert_eq!((status, &error["type"], &error["code"]), (402, &json!("card_error"), &json!(code)));
        assert_eq!(error["decline_code"], decline_code);
    }
    let method = server.give_card(&customer, "visa").await;
    let again = server.post(&format!("/v1/payment_methods/{method}/attach"), &format!("customer={customer}")).await;
    assert_eq!((id(&again), &again["card"]["last4"]), (method.clone(), &json!("4242")));
    let other = server.customer(None).await;
    assert_eq!(
        server.refused("POST", &format!("/v1/payment_methods/{method}/attach"), &format!("customer={other}")).await.0,
        400
    );
    let listed = server.find(&format!("/v1/customers/{customer}/payment_methods"), "type=card").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);

    server.post(&format!("/v1/payment_methods/{method}/detach"), "").await;
    let without = server.get(&format!("/v1/customers/{customer}")).await;
    assert!(without["invoice_settings"]["default_payment_method"].is_null());
}

#[tokio::test]
async fn a_setup_intent_saves_a_card_or_says_why_not() {
    let server = Server::start().await;
    let customer = server.customer(None).await;
    let form = format!("customer={customer}&usage=off_session&automatic_payment_methods[enabled]=true");
    let intent = server.post("/v1/setup_intents", &form).await;
    assert_eq!(intent["status"], "requires_payment_method");
    let path = format!("/v1/setup_intents/{}", id(&intent));
    let (status, error) =
        server.refused("POST", &format!("{path}/confirm"), "payment_method=pm_card_chargeDeclined").await;
    assert_eq!((status, &error["code"]), (402, &json!("card_declined")));
    assert_eq!(server.get(&path).await["last_setup_error"]["code"], "card_declined");

    let saved = server.post(&format!("{path}/confirm"), "payment_method=pm_card_visa").await;
    assert_eq!(saved["status"], "succeeded");
    let method = server.get(&format!("/v1/payment_methods/{}", saved["payment_method"].as_str().unwrap())).await;
    assert_eq!(method["customer"], customer);
    assert_eq!(server.refused("POST", &format!("{path}/cancel"), "").await.0, 400);

    let asked = server
        .post("/v1/setup_intents", &format!("{form}&confirm=true&payment_method=pm_card_authenticationRequired"))
        .await;
    assert_eq!(asked["status"], "requires_action");
    let page = reqwest::get(asked["next_action"]["redirect_to_url"]["url"].as_str().unwrap()).await.unwrap();
    assert!(page.text().await.unwrap().contains("succeeded"));
    assert_eq!(server.get(&format!("/v1/setup_intents/{}", id(&asked))).await["status"], "succeeded");
    server.events().await;
}

#[tokio::test]
async fn a_lookup_key_belongs_to_one_price_and_can_be_transferred() {
    let server = Server::start().await;
    let product = id(&server.post("/v1/products", "name=Starter&id=tg_starter").await);
    assert_eq!(
        server.refused("POST", "/v1/products", "name=Starter&id=tg_starter").await.1["code"],
        "resource_already_exists"
    );
    let form =
        format!("product={product}&currency=usd&unit_amount=4900&recurring[interval]=month&lookup_key=plan_starter_m");
    let first = id(&server.post("/v1/prices", &form).await);
    assert_eq!(server.refused("POST", "/v1/prices", &form).await.0, 400);
    let second = id(&server.post("/v1/prices", &format!("{form}&transfer_lookup_key=true")).await);
    let found = server.find("/v1/prices", "lookup_keys[0]=plan_starter_m&active=true&expand[0]=data.product").await;
    assert_eq!((id(&found["data"][0]), &found["data"][0]["product"]["name"]), (second, &json!("Starter")));
    assert!(server.get(&format!("/v1/prices/{first}")).await["lookup_key"].is_null());
    server.post(&format!("/v1/prices/{first}"), "active=false&nickname=old").await;
    assert_eq!(
        server.find("/v1/prices", &format!("product={product}&active=false")).await["data"][0]["nickname"],
        "old"
    );
}

#[tokio::test]
async fn a_customer_keeps_what_it_is_told_until_it_is_deleted() {
    let server = Server::start().await;
    let customer =
        id(&server.post("/v1/customers", "email=a%40b.example&metadata[org]=org_1&address[city]=Oslo").await);
    let path = format!("/v1/customers/{customer}");
    let after = server.post(&path, "metadata[org]=&metadata[plan]=pro&name=Acme&address=").await;
    assert_eq!(
        (&after["metadata"], &after["name"], &after["address"]),
        (&json!({"plan": "pro"}), &json!("Acme"), &json!(null))
    );
    let events = server.events().await;
    let update = events.iter().find(|event| event["type"] == "customer.updated").unwrap();
    assert_eq!(update["data"]["previous_attributes"]["metadata"], json!({"org": "org_1", "plan": null}));
    server.delete(&path).await;
    assert_eq!(server.get(&path).await["deleted"], true);
    assert_eq!(server.find("/v1/customers", "email=a%40b.example").await["data"], json!([]));
    assert_eq!(server.refused("POST", &path, "name=B").await.0, 404);
}

#[tokio::test]
async fn answers_are_expanded_where_asked_and_where_possible() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
    let form =
        format!("customer={customer}&items[0][price]={price}&expand[]=latest_invoice.payments&expand[]=customer");
    let subscription = server.post("/v1/subscriptions", &form).await;
    assert_eq!(subscription["customer"]["id"], customer);
    let payment = &subscription["latest_invoice"]["payments"]["data"][0];
    assert_eq!(payment["status"], "paid");
    let intent =
        server.get(&format!("/v1/payment_intents/{}", payment["payment"]["payment_intent"].as_str().unwrap())).await;
    let charge = server.get(&format!("/v1/charges/{}", intent["latest_charge"].as_str().unwrap())).await;
    assert_eq!((&charge["paid"], &charge["amount"]), (&json!(true), &json!(4900)));
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    assert_eq!(server.refused("GET", &path, "expand[]=colour").await.0, 400);
    assert_eq!(server.refused("GET", &path, "expand[]=a.b.c.d.e").await.0, 400);
    let invoice = subscription["latest_invoice"]["id"].as_str().unwrap();
    let lines = server.get(&format!("/v1/invoices/{invoice}/lines")).await;
    assert_eq!(lines["data"][0]["amount"], 4900);
    let page = reqwest::get(subscription["latest_invoice"]["hosted_invoice_url"].as_str().unwrap()).await.unwrap();
    assert!(page.text().await.unwrap().contains("$49.00"));
}
