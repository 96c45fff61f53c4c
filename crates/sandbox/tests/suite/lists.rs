//! Cursor lists.

use serde_json::{Value, json};

use super::harness::{Server, id};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn lists_are_paged_newest_first_in_both_directions() {
    let server = Server::start().await;
    let mut all = Vec::new();
    for n in 0..7 {
        all.insert(0, id(&server.post("/v1/customers", &format!("name=n{n}")).await));
    }
    let first = server.find("/v1/customers", "limit=3").await;
    assert_eq!((ids(&first), &first["has_more"]), (all[..3].to_vec(), &json!(true)));
    let last = server.find("/v1/customers", &format!("limit=4&starting_after={}", all[2])).await;
    assert_eq!((ids(&last), &last["has_more"]), (all[3..].to_vec(), &json!(false)));
    let back = server.find("/v1/customers", &format!("limit=2&ending_before={}", all[3])).await;
    assert_eq!((ids(&back), &back["has_more"]), (all[1..3].to_vec(), &json!(true)));
    assert_eq!(back["url"], "/v1/customers");
}

#[tokio::test]
async fn wrong_cursors_and_limits_are_refused() {
    let server = Server::start().await;
    let customer = server.customer(None).await;
    for query in [
        "limit=0".to_owned(),
        "limit=101".to_owned(),
        "starting_after=cus_nobody".to_owned(),
        format!("starting_after={customer}&ending_before={customer}"),
    ] {
        assert_eq!(server.refused("GET", "/v1/customers", &query).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_filter_reaches_past_what_it_leaves_out() {
    let server = Server::start().await;
    let wanted = id(&server.post("/v1/products", "name=wanted&active=false").await);
    for n in 0..25 {
        server.post("/v1/products", &format!("name=n{n}")).await;
    }
    assert_eq!(ids(&server.find("/v1/products", "active=false&limit=5").await), [wanted]);
    let since = server.now() - 60;
    assert_eq!(ids(&server.find("/v1/products", &format!("created[gte]={since}&limit=100")).await).len(), 26);
    assert_eq!(ids(&server.find("/v1/products", &format!("created[lt]={since}")).await).len(), 0);
}

#[tokio::test]
async fn subscriptions_are_listed_by_status_customer_and_price() {
    let server = Server::start().await;
    let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
    let form = format!("customer={customer}&items[0][price]={price}");
    let gone = id(&server.post("/v1/subscriptions", &form).await);
    server.delete(&format!("/v1/subscriptions/{gone}")).await;
    let live = id(&server.post("/v1/subscriptions", &form).await);
    for (query, expected) in [
        (format!("customer={customer}"), vec![&live]),
        (format!("customer={customer}&status=all"), vec![&live, &gone]),
        ("status=canceled".to_owned(), vec![&gone]),
        ("status=trialing".to_owned(), vec![]),
        (format!("price={price}"), vec![&live]),
    ] {
        let found = ids(&server.find("/v1/subscriptions", &query).await);
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}
