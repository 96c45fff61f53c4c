//! The customer portal and the hosted invoice: what customers can do for themselves, by clicking.

use serde_json::Value;

use crate::suite::checkout::visit;
use crate::suite::discounts::latest_invoice;
use crate::suite::harness::{Server, id};

/// A customer with a subscription that this card pays, and a portal session of theirs.
async fn customer(server: &Server, card: &str) -> (String, Value, String) {
    let (price, customer) = (server.price(4_900, "month").await, server.customer(Some(card)).await);
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = server.post("/v1/subscriptions", &form).await;
    let form = format!("customer={customer}&return_url=https://app.test/back");
    let session = server.post("/v1/billing_portal/sessions", &form).await;
    (customer, subscription, session["url"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_customer_sees_plan_next_invoice_and_invoices_and_cancels_and_stays() {
    let server = Server::start().await;
    let (_, subscription, url) = customer(&server, "visa").await;
    let (status, _, page) = visit(&url, None).await;
    assert_eq!(status, 200);
    for word in [
        "Plan 4900 month",
        "Next invoice: $49.00 on 2026-02-28",
        "···· 4242",
        "https://app.test/back",
        "/hosted/invoices/in_",
    ] {
        assert!(page.contains(word), "{word}: {page}");
    }
    let act = |action: &str| format!("action={action}&object={}", id(&subscription));
    assert_eq!(visit(&url, Some(&act("cancel"))).await.0, 303);
    assert_eq!(server.subscription(&id(&subscription)).await["cancel_at_period_end"], true);
    assert!(visit(&url, None).await.2.contains("Ends on 2026-02-28"));
    assert_eq!(visit(&url, Some(&act("resume"))).await.0, 303);
    assert_eq!(server.subscription(&id(&subscription)).await["cancel_at_period_end"], false);
}

#[tokio::test]
async fn a_customer_changes_cards() {
    let server = Server::start().await;
    let (customer, subscription, url) = customer(&server, "visa").await;
    assert_eq!(visit(&url, Some("action=add_card&card=mastercard")).await.0, 303);
    let methods = server.find("/v1/payment_methods", &format!("customer={customer}")).await;
    assert_eq!(methods["data"].as_array().unwrap().len(), 2);
    let (new, old) = (id(&methods["data"][0]), id(&methods["data"][1]));
    assert_eq!(server.subscription(&id(&subscription)).await["default_payment_method"], *new);
    assert_eq!(visit(&url, Some(&format!("action=default_card&object={old}"))).await.0, 303);
    assert_eq!(visit(&url, Some(&format!("action=remove_card&object={new}"))).await.0, 303);
    let (status, _, page) = visit(&url, Some("action=add_card&card=chargeDeclined")).await;
    assert!(status == 402 && page.contains("Your card was declined."), "{status} {page}");
    let methods = server.find("/v1/payment_methods", &format!("customer={customer}")).await;
    assert_eq!(methods["data"].as_array().unwrap().iter().map(id).collect::<Vec<_>>(), [old]);
}

#[tokio::test]
async fn nobody_reaches_another_customers_things_or_an_old_address() {
    let server = Server::start().await;
    let (_, theirs, _) = customer(&server, "visa").await;
    let (_, _, url) = customer(&server, "visa").await;
    let refused = visit(&url, Some(&format!("action=cancel&object={}", id(&theirs)))).await;
    assert_eq!(refused.0, 400, "{}", refused.2);
    assert_eq!(server.subscription(&id(&theirs)).await["cancel_at_period_end"], false);
    assert_eq!(visit(&format!("{url}x"), None).await.0, 404);
    server.move_to_second(server.now() + 3_600).await;
    assert_eq!(visit(&url, None).await.0, 404, "the address is short-lived");
}

#[tokio::test]
async fn a_configuration_says_what_customers_may_do() {
    let server = Server::start().await;
    let (customer, subscription, _) = customer(&server, "visa").await;
    let standard = server.find("/v1/billing_portal/configurations", "is_default=true").await;
    assert_eq!(standard["data"].as_array().unwrap().len(), 1, "made with the first session");
    let form = "features[invoice_history][enabled]=true&business_profile[headline]=Acme";
    let own = server.post("/v1/billing_portal/configurations", form).await;
    assert_eq!(
        (own["is_default"].as_bool(), own["features"]["subscription_cancel"]["enabled"].as_bool()),
        (Some(false), Some(false))
    );
    let form = format!("customer={customer}&configuration={}", id(&own));
    let session = server.post("/v1/billing_portal/sessions", &form).await;
    let url = session["url"].as_str().unwrap();
    let page = visit(url, None).await.2;
    assert!(page.contains("Invoices") && !page.contains("Cancel at the end") && !page.contains("Add card"), "{page}");
    assert_eq!(visit(url, Some(&format!("action=cancel&object={}", id(&subscription)))).await.0, 400);
    let path = format!("/v1/billing_portal/configurations/{}", id(&own));
    let changed = server.post(&path, "features[subscription_cancel][enabled]=true").await;
    assert_eq!(changed["features"]["invoice_history"]["enabled"], true, "what is not named stays");
    assert_eq!(visit(url, Some(&format!("action=cancel&object={}", id(&subscription)))).await.0, 303);
    server.post(&path, "active=false").await;
    let form = format!("customer={customer}&configuration={}", id(&own));
    assert_eq!(server.refused("POST", "/v1/billing_portal/sessions", &form).await.0, 400);
    let form = format!("customer={customer}&return_url=app");
    let (status, error) = server.refused("POST", "/v1/billing_portal/sessions", &form).await;
    assert_eq!((status, error["param"].as_str()), (400, Some("return_url")));
}

#[tokio::test]
async fn an_open_invoice_is_paid_on_its_page_with_another_card() {
    let server = Server::start().await;
    let (_, subscription, _) = customer(&server, "visa").await;
    let owner = subscription["customer"].as_str().unwrap();
    let card =
        id(&server.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={owner}")).await);
    server.post(&format!("/v1/customers/{owner}"), &format!("invoice_settings[default_payment_method]={card}")).await;
    server.post(&format!("/v1/subscriptions/{}", id(&subscription)), &format!("default_payment_method={card}")).await;
    server.move_to("2026-02-28T11:00:00Z").await;
    let late = server.subscription(&id(&subscription)).await;
    let invoice = latest_invoice(&server, &late).await;
    assert_eq!((late["status"].as_str(), invoice["status"].as_str()), (Some("past_due"), Some("open")));
    let url = invoice["hosted_invoice_url"].as_str().unwrap();
    assert!(visit(url, None).await.2.contains("Pay $49.00"));
    let (status, _, page) = visit(url, Some("card=chargeCustomerFail")).await;
    assert!(status == 402 && page.contains("declined"), "{status} {page}");
    assert_eq!(visit(url, Some("card=authenticationRequired")).await.0, 303);
    let paid = server.get(&format!("/v1/invoices/{}", id(&invoice))).await;
    assert_eq!(
        (paid["status"].as_str(), server.subscription(&id(&subscription)).await["status"].as_str()),
        (Some("paid"), Some("active"))
    );
    assert_eq!(visit(url, Some("card=visa")).await.0, 409, "it is paid once");
}
