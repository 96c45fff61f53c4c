//! Hosted checkout: sessions, the page people click through, and what completing one makes.

use serde_json::Value;

use crate::suite::harness::{Server, id};

/// A page as a browser gets it, redirects not followed: status, `Location`, text.
pub(crate) async fn visit(url: &str, form: Option<&str>) -> (u16, String, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = match form {
        Some(form) => {
            client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())
        }
        None => client.get(url),
    };
    let answer = request.send().await.unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), location.unwrap_or_default(), answer.text().await.unwrap())
}

async fn begin(server: &Server, more: &str) -> Value {
    let price = server.price(4_900, "month").await;
    let form = format!(
        "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1\
         &success_url=https://app.test/done?s={{CHECKOUT_SESSION_ID}}&cancel_url=https://app.test/back{more}"
    );
    server.post("/v1/checkout/sessions", &form).await
}

async fn kinds(server: &Server) -> Vec<String> {
    let events = server.find("/v1/events", "limit=100").await;
    events["data"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_completed_checkout_has_a_customer_a_paid_subscription_and_an_invoice() {
    let server = Server::start().await;
    let session =
        begin(&server, "&customer_email=ann@example.com&metadata[k]=v&subscription_data[metadata][org]=o1").await;
    assert_eq!((session["status"].as_str(), session["amount_total"].as_i64()), (Some("open"), Some(4_900)));
    assert!(!kinds(&server).await.iter().any(|kind| kind.starts_with("customer")), "nothing exists before it is paid");
    let url = session["url"].as_str().unwrap();
    let (status, _, page) = visit(url, None).await;
    assert_eq!(status, 200);
    assert!(page.contains("$49.00") && page.contains("ann@example.com") && !page.contains("<script"), "{page}");
    let (status, location, _) = visit(url, Some("card=visa&name=Ann")).await;
    assert_eq!((status, location), (303, format!("https://app.test/done?s={}", id(&session))));
    let done = server.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    assert_eq!((done["status"].as_str(), done["payment_status"].as_str()), (Some("complete"), Some("paid")));
    assert_eq!(done["customer_details"]["email"], "ann@example.com");
    let subscription = server.subscription(done["subscription"].as_str().unwrap()).await;
    assert_eq!(
        (subscription["status"].as_str(), subscription["metadata"]["org"].as_str()),
        (Some("active"), Some("o1"))
    );
    assert_eq!(subscription["customer"], done["customer"]);
    assert!(subscription["default_payment_method"].is_string());
    let invoice = server.get(&format!("/v1/invoices/{}", done["invoice"].as_str().unwrap())).await;
    assert_eq!((invoice["status"].as_str(), invoice["amount_paid"].as_i64()), (Some("paid"), Some(4_900)));
    let items = server.get(&format!("/v1/checkout/sessions/{}/line_items", id(&session))).await;
    assert_eq!(items["data"][0]["amount_total"], 4_900);
    let told = kinds(&server).await;
    for kind in ["customer.created", "customer.subscription.created", "invoice.paid", "checkout.session.completed"] {
        assert_eq!(told.iter().filter(|told| *told == kind).count(), 1, "{kind}: {told:?}");
    }
    assert_eq!(visit(url, Some("card=visa")).await.0, 410, "a session is completed once");
    let found = server.find("/v1/checkout/sessions", &format!("subscription={}", id(&subscription))).await;
    assert_eq!(id(&found["data"][0]), id(&session));
}

#[tokio::test]
async fn a_trial_by_checkout_charges_nothing_and_keeps_the_card() {
    let server = Server::start().await;
    let more = "&subscription_data[trial_period_days]=14&subscription_data[trial_settings][end_behavior][missing_payment_method]=cancel";
    let customer = server.customer(None).await;
    let session = begin(&server, &format!("{more}&customer={customer}")).await;
    assert_eq!((session["amount_subtotal"].as_i64(), session["amount_total"].as_i64()), (Some(0), Some(0)));
    let (status, _, page) = visit(session["url"].as_str().unwrap(), None).await;
    assert!(status == 200 && page.contains("Free until 2026-02-14"), "{page}");
    assert_eq!(visit(session["url"].as_str().unwrap(), Some("card=authenticationRequired&answer=pass")).await.0, 303);
    let done = server.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    assert_eq!(
        (done["payment_status"].as_str(), done["customer"].as_str()),
        (Some("no_payment_required"), Some(&*customer))
    );
    let subscription = server.subscription(done["subscription"].as_str().unwrap()).await;
    assert_eq!(subscription["status"], "trialing");
    assert!(subscription["default_payment_method"].is_string());
}

#[tokio::test]
async fn a_declined_card_leaves_nothing_and_another_one_completes() {
    let server = Server::start().await;
    let session = begin(&server, "&customer_email=ann@example.com").await;
    let url = session["url"].as_str().unwrap();
    for card in ["chargeDeclined", "chargeDeclinedInsufficientFunds", "chargeCustomerFail", ""] {
        let (status, _, page) = visit(url, Some(&format!("card={card}"))).await;
        assert_eq!(status, 402, "{card}");
        assert!(page.contains("role=alert") && page.contains("name=card"), "the form is there again: {page}");
    }
    assert!(!kinds(&server).await.iter().any(|kind| kind.starts_with("customer") || kind.starts_with("invoice")));
    let (status, _, page) = visit(url, Some("card=authenticationRequired")).await;
    assert!(
        status == 200 && page.contains("value=pass") && page.contains("value=\"authenticationRequired\""),
        "{page}"
    );
    assert_eq!(visit(url, Some("card=authenticationRequired&answer=fail")).await.0, 402);
    assert_eq!(visit(url, Some("card=authenticationRequired&answer=pass")).await.0, 303);
    let done = server.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    let subscription = server.subscription(done["subscription"].as_str().unwrap()).await;
    assert_eq!((done["payment_status"].as_str(), subscription["status"].as_str()), (Some("paid"), Some("active")));
}

#[tokio::test]
async fn a_session_nobody_completes_expires_after_a_day_or_when_asked() {
    let server = Server::start().await;
    let (first, second) = (begin(&server, "").await, begin(&server, "").await);
    let expired = server.post(&format!("/v1/checkout/sessions/{}/expire", id(&first)), "").await;
    assert_eq!((expired["status"].as_str(), expired["url"].as_str()), (Some("expired"), None));
    assert_eq!(server.refused("POST", &format!("/v1/checkout/sessions/{}/expire", id(&first)), "").await.0, 400);
    assert_eq!(visit(first["url"].as_str().unwrap(), Some("card=visa&email=a@b.c")).await.0, 410);
    server.move_to_second(second["expires_at"].as_i64().unwrap() - 1).await;
    let path = format!("/v1/checkout/sessions/{}", id(&second));
    assert_eq!(server.get(&path).await["status"], "open");
    server.move_to_second(second["expires_at"].as_i64().unwrap()).await;
    assert_eq!(server.get(&path).await["status"], "expired");
    assert_eq!(kinds(&server).await.iter().filter(|kind| *kind == "checkout.session.expired").count(), 2);
}

#[tokio::test]
async fn a_session_that_cannot_be_is_refused_by_name() {
    let server = Server::start().await;
    let (price, customer) = (server.price(100, "month").await, server.customer(None).await);
    let item = format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1");
    let url = "success_url=https://app.test/";
    for (form, param) in [
        (format!("{item}&success_url=/done"), "success_url"),
        (format!("{item}&success_url=javascript:alert(1)"), "success_url"),
        (format!("{item}&{url}&cancel_url=app"), "cancel_url"),
        (format!("{item}&{url}&customer={customer}&customer_email=a@b.c"), "customer_email"),
        (format!("{item}&{url}&customer=cus_none"), "customer"),
        (format!("{item}&{url}&subscription_data[trial_period_days]=0"), "subscription_data[trial_period_days]"),
        (format!("{item}&{url}&expires_at=1"), "expires_at"),
        (
            format!("mode=subscription&{url}&line_items[0][price]=price_none&line_items[0][quantity]=1"),
            "line_items[0][price]",
        ),
        (format!("mode=subscription&{url}&line_items[0][price]={price}"), "line_items[0]"),
    ] {
        let (status, error) = server.refused("POST", "/v1/checkout/sessions", &form).await;
        assert_eq!((status, error["param"].as_str()), (400, Some(param)), "{form}: {error}");
    }
}

#[tokio::test]
async fn a_promotion_code_and_a_tax_id_filled_in_are_on_the_invoice() {
    let server = Server::start().await;
    let coupon = id(&server.post("/v1/coupons", "percent_off=50&duration=once").await);
    let form = format!("promotion[type]=coupon&promotion[coupon]={coupon}&code=HALF");
    server.post("/v1/promotion_codes", &form).await;
    let session = begin(&server, "&allow_promotion_codes=true&tax_id_collection[enabled]=true").await;
    let url = session["url"].as_str().unwrap();
    let unknown = visit(url, Some("card=visa&email=ann@example.com&promotion_code=NONE")).await;
    assert!(unknown.0 == 400 && unknown.2.contains("not valid"), "{unknown:?}");
    let filled = "card=visa&email=ann@example.com&promotion_code=half&tax_id_type=eu_vat&tax_id=DE000000000";
    assert_eq!(visit(url, Some(filled)).await.0, 303);
    let done = server.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    assert_eq!(
        (done["amount_total"].as_i64(), done["total_details"]["amount_discount"].as_i64()),
        (Some(2_450), Some(2_450))
    );
    assert_eq!(done["customer_details"]["tax_ids"][0]["value"], "DE000000000");
}
