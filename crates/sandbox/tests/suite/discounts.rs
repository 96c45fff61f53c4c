//! Coupons, promotion codes and what they take off invoices.

use serde_json::Value;

use crate::suite::harness::{Server, id};

/// The sum that an invoice's lines come to, discounts and tax worked in: always its total.
pub(crate) fn lines_total(invoice: &Value) -> i64 {
    let sum =
        |list: &Value| list.as_array().into_iter().flatten().map(|one| one["amount"].as_i64().unwrap()).sum::<i64>();
    let line = |line: &Value| {
        let added = line["taxes"].as_array().into_iter().flatten().filter(|tax| tax["tax_behavior"] == "exclusive");
        line["amount"].as_i64().unwrap() - sum(&line["discount_amounts"])
            + added.map(|tax| tax["amount"].as_i64().unwrap()).sum::<i64>()
    };
    invoice["lines"]["data"].as_array().unwrap().iter().map(line).sum()
}

pub(crate) async fn latest_invoice(server: &Server, subscription: &Value) -> Value {
    let invoice = server.get(&format!("/v1/invoices/{}", subscription["latest_invoice"].as_str().unwrap())).await;
    assert_eq!(lines_total(&invoice), invoice["total"].as_i64().unwrap(), "{invoice:#}");
    invoice
}

fn amounts(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|one| one["amount"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_percentage_is_taken_off_each_invoice_as_long_as_it_lasts() {
    let server = Server::start().await;
    let (price, customer) = (server.price(4_999, "month").await, server.customer(Some("visa")).await);
    let coupon = "id=SPRING&percent_off=12.5&duration=repeating&duration_in_months=2";
    let coupon = server.post("/v1/coupons", coupon).await;
    assert_eq!(coupon["percent_off"].to_string(), "12.5");
    let form = format!("customer={customer}&items[0][price]={price}&discounts[0][coupon]=SPRING&expand[0]=discounts");
    let subscription = server.post("/v1/subscriptions", &form).await;
    assert_eq!(subscription["discounts"][0]["source"]["coupon"], "SPRING");
    let invoice = latest_invoice(&server, &subscription).await;
    assert_eq!((invoice["subtotal"].as_i64(), invoice["total"].as_i64()), (Some(4_999), Some(4_374)));
    assert_eq!(amounts(&invoice["total_discount_amounts"]), [625], "624.875 rounds up");
    server.move_to("2026-02-28T12:00:00Z").await;
    let subscription = server.subscription(&id(&subscription)).await;
    assert_eq!(latest_invoice(&server, &subscription).await["total"], 4_374);
    server.move_to("2026-03-31T12:00:00Z").await;
    let subscription = server.subscription(&id(&subscription)).await;
    assert_eq!(latest_invoice(&server, &subscription).await["total"], 4_999, "two months are over");
    assert_eq!(subscription["discounts"], serde_json::json!([]));
    assert_eq!(server.get("/v1/coupons/SPRING").await["times_redeemed"], 1);
}

#[tokio::test]
async fn an_amount_is_split_over_the_lines_and_the_last_takes_the_rest() {
    let server = Server::start().await;
    let (one, two) = (server.price(1_000, "month").await, server.price(2_000, "month").await);
    for (mode, credit) in [("classic", -250), ("flexible", -417)] {
        let customer = server.customer(Some("visa")).await;
        let coupon = id(&server.post("/v1/coupons", "amount_off=500&currency=usd&duration=forever").await);
        let form = format!(
            "customer={customer}&items[0][price]={one}&items[1][price]={two}&discounts[0][coupon]={coupon}&billing_mode[type]={mode}"
        );
        let subscription = server.post("/v1/subscriptions", &form).await;
        let invoice = latest_invoice(&server, &subscription).await;
        assert_eq!(invoice["total"], 2_500);
        let each = |line: &Value| amounts(&line["discount_amounts"]);
        let mut taken: Vec<_> = invoice["lines"]["data"].as_array().unwrap().iter().flat_map(each).collect();
        taken.sort_unstable();
        assert_eq!(taken, [166, 334], "the vector `amount_off_two_items_invoice`");
        // Half of the period later the smaller item is removed: the vectors `amount_off_remove_item_…`.
        let item = &subscription["items"]["data"][0];
        let bounds = ["current_period_start", "current_period_end"].map(|bound| item[bound].as_i64().unwrap());
        let (path, half) = (format!("/v1/subscriptions/{}", id(&subscription)), (bounds[0] + bounds[1]) / 2);
        let form = format!(
            "items[0][id]={}&items[0][deleted]=true&proration_behavior=always_invoice&proration_date={half}",
            id(item)
        );
        let after = server.post(&path, &form).await;
        assert_eq!(latest_invoice(&server, &after).await["total"], credit, "{mode}");
    }
}

#[tokio::test]
async fn what_counts_once_is_used_up_by_the_first_invoice_that_charges() {
    let server = Server::start().await;
    let (price, customer) = (server.price(1_000, "month").await, server.customer(Some("visa")).await);
    let coupon = id(&server.post("/v1/coupons", "percent_off=50").await);
    let form = format!("customer={customer}&items[0][price]={price}&discounts[0][coupon]={coupon}&trial_period_days=7");
    let subscription = id(&server.post("/v1/subscriptions", &form).await);
    server.move_to("2026-02-07T12:00:00Z").await;
    let paid = server.subscription(&subscription).await;
    assert_eq!(latest_invoice(&server, &paid).await["total"], 500, "the trial's invoice of nothing did not use it up");
    server.move_to("2026-03-07T12:00:00Z").await;
    let renewed = server.subscription(&subscription).await;
    assert_eq!(latest_invoice(&server, &renewed).await["total"], 1_000);
}

#[tokio::test]
async fn a_promotion_code_keeps_its_restrictions() {
    let server = Server::start().await;
    let (price, customer) = (server.price(1_000, "month").await, server.customer(Some("visa")).await);
    let coupon = id(&server.post("/v1/coupons", "amount_off=300&currency=usd&duration=forever").await);
    let promotion = format!("promotion[type]=coupon&promotion[coupon]={coupon}");
    let code = |more: &str| format!("{promotion}&{more}");
    let first =
        server.post("/v1/promotion_codes", &code("code=WELCOME&restrictions[first_time_transaction]=true")).await;
    let found = server.find("/v1/promotion_codes", "code=welcome&active=true").await;
    assert_eq!(found["data"][0]["id"], first["id"], "codes are the same whatever their case");
    let (status, error) = server.refused("POST", "/v1/promotion_codes", &code("code=welcome")).await;
    assert_eq!((status, error["code"].as_str()), (400, Some("resource_already_exists")));
    let form = format!("customer={customer}&items[0][price]={price}&discounts[0][promotion_code]={}", id(&first));
    let subscription = server.post("/v1/subscriptions", &form).await;
    assert_eq!(latest_invoice(&server, &subscription).await["total"], 700);
    let (status, error) = server.refused("POST", "/v1/subscriptions", &form).await;
    assert_eq!((status, error["code"].as_str()), (400, Some("coupon_expired")), "no longer a first-time customer");
    let least = code("restrictions[minimum_amount]=5000&restrictions[minimum_amount_currency]=usd");
    let dear = server.post("/v1/promotion_codes", &least).await;
    let form = format!("customer={customer}&items[0][price]={price}&discounts[0][promotion_code]={}", id(&dear));
    assert_eq!(server.refused("POST", "/v1/subscriptions", &form).await.0, 400);
    let other = server.customer(None).await;
    let theirs = server.post("/v1/promotion_codes", &code(&format!("customer={other}"))).await;
    let form = format!("customer={customer}&items[0][price]={price}&discounts[0][promotion_code]={}", id(&theirs));
    assert_eq!(server.refused("POST", "/v1/subscriptions", &form).await.0, 400);
}

#[tokio::test]
async fn a_coupon_past_its_date_its_number_or_of_another_currency_is_refused() {
    let server = Server::start().await;
    let (price, customer) = (server.price(1_000, "month").await, server.customer(Some("visa")).await);
    let until = server.now() + 3_600;
    server.post("/v1/coupons", &format!("id=SHORT&percent_off=10&redeem_by={until}")).await;
    server.post("/v1/coupons", "id=FEW&percent_off=10&max_redemptions=1").await;
    server.post("/v1/coupons", "id=EURO&amount_off=100&currency=eur").await;
    let form = |coupon: &str| format!("customer={customer}&items[0][price]={price}&discounts[0][coupon]={coupon}");
    server.post("/v1/subscriptions", &form("FEW")).await;
    assert_eq!(server.get("/v1/coupons/FEW").await["valid"], false);
    server.move_to_second(until + 1).await;
    assert_eq!(server.get("/v1/coupons/SHORT").await["valid"], false);
    for (coupon, code) in [("FEW", Some("coupon_expired")), ("SHORT", Some("coupon_expired")), ("EURO", None)] {
        let (status, error) = server.refused("POST", "/v1/subscriptions", &form(coupon)).await;
        assert_eq!((status, error["code"].as_str()), (400, code), "{coupon}: {error}");
    }
    for wrong in [
        "percent_off=0",
        "percent_off=100.1",
        "amount_off=5",
        "percent_off=5&amount_off=5",
        "percent_off=5&duration=repeating",
        "percent_off=5&redeem_by=1",
    ] {
        assert_eq!(server.refused("POST", "/v1/coupons", wrong).await.0, 400, "{wrong}");
    }
    server.delete("/v1/coupons/FEW").await;
    assert_eq!(server.refused("GET", "/v1/coupons/FEW", "").await.0, 404);
}

#[tokio::test]
async fn a_preview_with_a_coupon_is_what_the_change_charges() {
    let server = Server::start().await;
    let (low, high) = (server.price(1_000, "month").await, server.price(4_000, "month").await);
    let customer = server.customer(Some("visa")).await;
    let coupon = id(&server.post("/v1/coupons", "percent_off=25&duration=forever").await);
    let subscription = server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={low}")).await;
    let (subscription, item) = (id(&subscription), id(&subscription["items"]["data"][0]));
    server.move_to("2026-02-10T00:00:00Z").await;
    let at = server.now();
    let details = format!(
        "subscription_details[items][0][id]={item}&subscription_details[items][0][price]={high}\
         &subscription_details[proration_behavior]=always_invoice&subscription_details[proration_date]={at}"
    );
    let form = format!("subscription={subscription}&discounts[0][coupon]={coupon}&{details}");
    let previewed = server.post("/v1/invoices/create_preview", &form).await;
    assert_eq!(server.get(&format!("/v1/coupons/{coupon}")).await["times_redeemed"], 0, "a preview redeems nothing");
    let form = format!(
        "items[0][id]={item}&items[0][price]={high}&proration_behavior=always_invoice&proration_date={at}\
         &payment_behavior=pending_if_incomplete&discounts[0][coupon]={coupon}"
    );
    let after = server.post(&format!("/v1/subscriptions/{subscription}"), &form).await;
    let charged = latest_invoice(&server, &after).await;
    assert_eq!(charged["total"], previewed["total"]);
    assert_eq!(after["discounts"].as_array().unwrap().len(), 1, "the change brought its discount");
    server.move_to("2026-02-28T12:00:00Z").await;
    let renewed = server.subscription(&subscription).await;
    assert_eq!(latest_invoice(&server, &renewed).await["total"], 3_000);
}
