//! Tax by hand, tax by place, tax ids.

use serde_json::Value;

use crate::suite::discounts::latest_invoice;
use crate::suite::harness::{Server, id};

async fn rate(server: &Server, form: &str) -> String {
    id(&server.post("/v1/tax_rates", form).await)
}

async fn subscribe(server: &Server, customer: &str, price: &str, more: &str) -> Value {
    let form = format!("customer={customer}&items[0][price]={price}&{more}");
    let subscription = server.post("/v1/subscriptions", &form).await;
    latest_invoice(server, &subscription).await
}

#[tokio::test]
async fn a_rate_is_added_to_or_contained_in_what_a_line_costs_after_discounts() {
    let server = Server::start().await;
    let price = server.price(1_999, "month").await;
    let added = rate(&server, "display_name=GST&inclusive=false&percentage=7.7&tax_type=gst").await;
    let contained = rate(&server, "display_name=VAT&inclusive=true&percentage=19&country=DE").await;
    let coupon = id(&server.post("/v1/coupons", "amount_off=500&currency=usd&duration=forever").await);
    let customer = server.customer(Some("visa")).await;
    let more = format!("default_tax_rates[0]={added}&discounts[0][coupon]={coupon}");
    let invoice = subscribe(&server, &customer, &price, &more).await;
    assert_eq!(invoice["total_taxes"][0]["amount"], 115, "7.7 % of 1,499 is 115.423");
    assert_eq!((invoice["total_excluding_tax"].as_i64(), invoice["total"].as_i64()), (Some(1_499), Some(1_614)));
    let invoice = subscribe(&server, &customer, &price, &format!("default_tax_rates[0]={contained}")).await;
    assert_eq!(invoice["total_taxes"][0]["amount"], 319, "19/119 of 1,999 is 319.17");
    assert_eq!((invoice["total_excluding_tax"].as_i64(), invoice["total"].as_i64()), (Some(1_680), Some(1_999)));
    for wrong in ["display_name=X&inclusive=false&percentage=101", "display_name=X&inclusive=false&percentage=-1"] {
        assert_eq!(server.refused("POST", "/v1/tax_rates", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn automatic_tax_goes_by_where_the_customer_is() {
    let server = Server::start().await;
    let price = server.price(1_000, "month").await;
    rate(&server, "display_name=USt&inclusive=false&percentage=19&country=DE&tax_type=vat").await;
    rate(&server, "display_name=GST&inclusive=false&percentage=5&country=CA&tax_type=gst").await;
    rate(&server, "display_name=QST&inclusive=false&percentage=9.975&country=CA&state=QC&tax_type=qst").await;
    let automatic = "automatic_tax[enabled]=true";
    let customer = server.customer(Some("visa")).await;
    let form = format!("customer={customer}&items[0][price]={price}&{automatic}");
    let (status, error) = server.refused("POST", "/v1/subscriptions", &form).await;
    assert_eq!((status, error["code"].as_str()), (400, Some("customer_tax_location_invalid")));
    let path = format!("/v1/customers/{customer}");
    for (address, exempt, tax) in [
        ("address[country]=DE", "none", 190),
        ("address[country]=CA&address[state]=QC", "none", 50 + 100),
        ("address[country]=CA&address[state]=ON", "none", 50),
        ("address[country]=FR", "none", 0),
        ("address[country]=DE", "reverse", 0),
        ("address[country]=DE", "exempt", 0),
    ] {
        server.post(&path, &format!("{address}&tax_exempt={exempt}")).await;
        let invoice = subscribe(&server, &customer, &price, automatic).await;
        assert_eq!(invoice["total"], 1_000 + tax, "{address} {exempt}");
        assert_eq!(invoice["automatic_tax"]["status"], "complete");
    }
    let (status, _) = server.refused("POST", "/v1/customers", "tax[validate_location]=immediately").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_renewal_whose_place_is_lost_waits_as_a_draft() {
    let server = Server::start().await;
    let (price, customer) = (server.price(1_000, "month").await, server.customer(Some("visa")).await);
    let path = format!("/v1/customers/{customer}");
    server.post(&path, "address[country]=DE").await;
    let form = format!("customer={customer}&items[0][price]={price}&automatic_tax[enabled]=true");
    let subscription = id(&server.post("/v1/subscriptions", &form).await);
    server.post(&path, "address=").await;
    server.move_to("2026-03-01T12:00:00Z").await;
    let renewed = server.subscription(&subscription).await;
    let invoice = latest_invoice(&server, &renewed).await;
    assert_eq!((invoice["status"].as_str(), invoice["amount_paid"].as_i64()), (Some("draft"), Some(0)));
    assert_eq!(invoice["last_finalization_error"]["code"], "customer_tax_location_invalid");
    assert!(server.events_about(&id(&invoice)).await.contains(&"invoice.finalization_failed".to_owned()));
}

#[tokio::test]
async fn a_tax_id_is_verified_a_little_later_and_stands_on_invoices() {
    let server = Server::start().await;
    let (price, customer) = (server.price(1_000, "month").await, server.customer(Some("visa")).await);
    let path = format!("/v1/customers/{customer}/tax_ids");
    let good = server.post(&path, "type=eu_vat&value=DE000000000").await;
    assert_eq!((good["country"].as_str(), good["verification"]["status"].as_str()), (Some("DE"), Some("pending")));
    let bad = id(&server.post(&path, "type=eu_vat&value=DE111111111").await);
    let (status, error) = server.refused("POST", &path, "type=eu_vat&value=12").await;
    assert_eq!((status, error["code"].as_str()), (400, Some("tax_id_invalid")));
    server.move_to_second(server.now() + 60).await;
    assert_eq!(server.get(&format!("{path}/{}", id(&good))).await["verification"]["status"], "verified");
    assert_eq!(server.get(&format!("{path}/{bad}")).await["verification"]["status"], "unverified");
    server.delete(&format!("{path}/{bad}")).await;
    assert_eq!(server.get(&path).await["data"].as_array().unwrap().len(), 1);
    let invoice = subscribe(&server, &customer, &price, "").await;
    assert_eq!(invoice["customer_tax_ids"][0]["value"], "DE000000000");
    assert!(server.events_about(&id(&good)).await.contains(&"customer.tax_id.updated".to_owned()));
}
