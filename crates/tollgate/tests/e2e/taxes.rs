//! Tax worked out by where the customer is: shown before, charged as shown, on every way to sell.

use reqwest::Method;
use serde_json::{Value, json};

use crate::database::Database;
use crate::payments::{checkout, fill_in};
use crate::server::{Options, Server};
use crate::tenant::{Tenant, advance, text};

/// A server that lets Stripe work tax out, in a world where Germany takes 19 %.
async fn taxing(place: &tempfile::TempDir, database: &Database) -> Server {
    let options = Options::dev(&place.path().join("data"), database)
        .arguments(&["--clock", "2026-01-15T09:00:00Z"])
        .variable("TOLLGATE_AUTOMATIC_TAX", "1");
    let server = Server::start(options).await;
    let rate = "display_name=VAT&percentage=19&inclusive=false&country=DE&tax_type=vat";
    assert_eq!(server.stripe(Method::POST, "/v1/tax_rates", rate).await["country"], "DE");
    server
}

/// The sum of a quote's lines, and of those of them that are tax.
fn sums(quote: &Value) -> (i64, i64) {
    let items = quote["items"].as_array().unwrap();
    let amount = |item: &Value| item["amount"].as_i64().unwrap();
    let tax = items.iter().filter(|item| item["description"] == "Tax").map(amount).sum();
    (items.iter().map(amount).sum(), tax)
}

async fn newest_total(server: &Server, org: &Tenant) -> i64 {
    advance(server, "1s").await;
    org.api.get("/api/invoices.list?limit=1").await.data()[0]["total"].as_i64().unwrap()
}

/// Shows a change and makes it; what it cost and the tax in it.
async fn change(server: &Server, org: &Tenant, wanted: &Value) -> (i64, i64) {
    let quote = org.api.ok("/api/plans/preview", wanted).await;
    let (sum, tax) = sums(&quote);
    assert_eq!(quote["amount"], sum, "{quote}");
    let upgraded = org.api.post("/api/plans/upgrade.now", &json!({"quoteId": quote["quoteId"]})).await;
    assert_eq!(upgraded.status, 200, "{}", upgraded.text);
    assert_eq!(newest_total(server, org).await, sum, "{quote}");
    (sum, tax)
}

#[tokio::test]
async fn nothing_is_sold_untaxed_and_what_is_shown_is_charged_with_its_tax() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let server = taxing(&place, &database).await;
        let operator = server.operator();
        let org_id =
            text(&operator.ok("/api/orgs.create", &json!({"name": "Acme", "ownerUserId": "user_1"})).await["orgId"]);
        let of = |mut body: Value| {
            body["orgId"] = json!(org_id);
            body
        };
        operator.post("/api/payments/tax.set", &of(json!({}))).await.refused(409, "no_customer");
        operator.ok("/api/stripe/customer.ensure", &of(json!({"email": "a@example.com"}))).await;
        let subscribe = of(json!({"priceLookup": "plan_starter_m"}));
        operator.post("/api/stripe/subscription.create", &subscribe).await.refused(409, "tax_location_needed");
        for (wrong, pointer) in [
            (json!({"address": {"country": "Germany"}}), "/address/country"),
            (json!({"taxIds": [{"type": "eu_vat", "value": "no"}]}), "/taxIds"),
            (json!({"taxIds": [{"type": "EU", "value": "DE123456789"}]}), "/taxIds"),
        ] {
            let refused = operator.post("/api/payments/tax.set", &of(wrong)).await.refused(422, "validation_failed");
            assert_eq!(refused["error"]["details"]["errors"][0]["pointer"], pointer, "{refused}");
        }
        let known = json!({"address": {"country": "DE", "postalCode": "10115"}, "taxIds": [{"type": "eu_vat", "value": "DE123456789"}]});
        let set = operator.ok("/api/payments/tax.set", &of(known.clone())).await;
        assert_eq!((&set["address"]["country"], &set["taxIds"][0]["verification"]), (&json!("DE"), &json!("pending")));
        assert_eq!(operator.ok("/api/payments/tax.set", &of(known)).await["taxIds"], set["taxIds"], "the same again");
        let made = operator.ok("/api/stripe/subscription.create", &subscribe).await;
        let key = operator
            .ok(
                "/api/keys.create",
                &of(json!({"name": "t", "scopes": ["billing:read", "billing:write", "entitlements:read"]})),
            )
            .await;
        let (secret, subscription_id) = (text(&key["secret"]), text(&made["subscriptionId"]));
        let org = Tenant { org_id: org_id.clone(), subscription_id, api: server.with_key(&secret), secret };
        org.add_card("pm_card_visa").await;
        assert_eq!(change(&server, &org, &json!({"newPlanCode": "starter"})).await, (4_900 + 931, 931));
        let (sum, tax) = change(&server, &org, &json!({"newPlanCode": "growth", "quantity": 2})).await;
        assert!((sum - tax) * 19 / 100 <= tax + 1 && tax > 10_000, "{sum} {tax}");
        org.api.ok("/api/plans/downgrade.schedule", &json!({"newPlanCode": "starter", "quantity": 1})).await;
        advance(&server, "1mo").await;
        advance(&server, "2h").await;
        assert_eq!(newest_total(&server, &org).await, 4_900 + 931, "the renewal is taxed too");
        let one = operator.ok("/api/payments/tax.set", &of(json!({"taxIds": []}))).await;
        assert_eq!((&one["taxIds"], &one["address"]["country"]), (&json!([]), &json!("DE")), "the rest stays");
        assert_eq!(org.api.get("/api/payments/tax.get").await.data(), one);
    }
}

#[tokio::test]
async fn checkout_asks_where_the_customer_is_and_by_which_tax_id_it_is_taxed() {
    let place = tempfile::tempdir().unwrap();
    let server = taxing(&place, &Database::Embedded).await;
    let operator = server.operator();
    let made = operator.ok("/api/payments/checkout.create", &checkout(&json!({"orgName": "Acme"}))).await;
    let form = "card=visa&name=Ann&country=DE&postal_code=10115&tax_id_type=eu_vat&tax_id=DE123456789";
    assert!(fill_in(&text(&made["url"]), form).await.is_ok());
    advance(&server, "1s").await;
    let org_id = text(&operator.get("/api/admin/orgs.list").await.data()[0]["orgId"]);
    let known = operator.get(&format!("/api/payments/tax.get?orgId={org_id}")).await.data();
    assert_eq!((&known["address"]["country"], &known["taxIds"][0]["value"]), (&json!("DE"), &json!("DE123456789")));
    advance(&server, "15d").await;
    let invoices = operator.get(&format!("/api/invoices.list?orgId={org_id}")).await.data();
    assert_eq!((&invoices[0]["total"], &invoices[0]["status"]), (&json!(4_900 + 931), &json!("paid")), "{invoices}");
}
