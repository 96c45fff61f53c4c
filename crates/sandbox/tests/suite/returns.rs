//! What goes back to customers: balance, refunds, credit notes; and what is charged beside a subscription.

use serde_json::Value;

use crate::suite::discounts::{latest_invoice, lines_total};
use crate::suite::harness::{Server, id};

/// A customer with one paid invoice of 4,000, and that invoice with its payment intent.
async fn paid(server: &Server) -> (String, Value, String) {
    let (price, customer) = (server.price(4_000, "month").await, server.customer(Some("visa")).await);
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = server.post("/v1/subscriptions", &form).await;
    let invoice = latest_invoice(server, &subscription).await;
    let payments = server.find("/v1/invoice_payments", &format!("invoice={}", id(&invoice))).await;
    let intent = payments["data"][0]["payment"]["payment_intent"].as_str().unwrap().to_owned();
    (customer, invoice, intent)
}

#[tokio::test]
async fn credit_pays_the_next_invoices_and_every_change_is_an_entry() {
    let server = Server::start().await;
    let (price, customer) = (server.price(1_000, "month").await, server.customer(Some("visa")).await);
    let path = format!("/v1/customers/{customer}/balance_transactions");
    let credit = server.post(&path, "amount=-1500&currency=usd&description=Sorry").await;
    assert_eq!((credit["ending_balance"].as_i64(), credit["type"].as_str()), (Some(-1_500), Some("adjustment")));
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = id(&server.post("/v1/subscriptions", &form).await);
    let first = latest_invoice(&server, &server.subscription(&subscription).await).await;
    assert_eq!((first["total"].as_i64(), first["amount_due"].as_i64()), (Some(1_000), Some(0)));
    assert_eq!((first["starting_balance"].as_i64(), first["ending_balance"].as_i64()), (Some(-1_500), Some(-500)));
    server.move_to("2026-03-01T12:00:00Z").await;
    let second = latest_invoice(&server, &server.subscription(&subscription).await).await;
    assert_eq!(second["amount_due"], 500);
    let entries = server.get(&path).await;
    let ledger: Vec<_> = entries["data"].as_array().unwrap().iter().map(|one| one["ending_balance"].as_i64()).collect();
    assert_eq!(ledger, [Some(0), Some(-500), Some(-1_500)]);
    let (status, error) = server.refused("POST", &path, "amount=-5&currency=eur").await;
    assert_eq!((status, error["param"].as_str()), (400, Some("currency")));
    assert_eq!(server.refused("POST", &path, "amount=0&currency=usd").await.0, 400);
}

#[tokio::test]
async fn a_refund_never_gives_back_more_than_was_paid() {
    let server = Server::start().await;
    let (_, _, intent) = paid(&server).await;
    let form = |amount: i64| format!("payment_intent={intent}&amount={amount}&reason=requested_by_customer");
    assert_eq!(server.refused("POST", "/v1/refunds", &form(4_001)).await.0, 400);
    assert_eq!(server.refused("POST", "/v1/refunds", &form(0)).await.0, 400);
    let part = server.post("/v1/refunds", &form(1_500)).await;
    assert_eq!(part["status"], "succeeded");
    assert_eq!(server.refused("POST", "/v1/refunds", &form(2_501)).await.0, 400);
    let rest = server.post("/v1/refunds", &format!("payment_intent={intent}")).await;
    assert_eq!(rest["amount"], 2_500);
    let charge = server.get(&format!("/v1/charges/{}", rest["charge"].as_str().unwrap())).await;
    assert_eq!((charge["refunded"].as_bool(), charge["amount_refunded"].as_i64()), (Some(true), Some(4_000)));
    let (status, error) = server.refused("POST", "/v1/refunds", &format!("payment_intent={intent}")).await;
    assert_eq!((status, error["code"].as_str()), (400, Some("charge_already_refunded")));
    let listed = server.find("/v1/refunds", &format!("payment_intent={intent}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refund_that_the_bank_sends_back_fails_later() {
    let server = Server::start().await;
    let (price, customer) = (server.price(4_000, "month").await, server.customer(Some("refundFail")).await);
    server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}")).await;
    let charge = server.find("/v1/charges", &format!("customer={customer}")).await["data"][0].clone();
    let refund = id(&server.post("/v1/refunds", &format!("charge={}", id(&charge))).await);
    server.move_to_second(server.now() + 120).await;
    let refund = server.get(&format!("/v1/refunds/{refund}")).await;
    assert_eq!(refund["status"], "failed");
    assert_eq!(server.get(&format!("/v1/charges/{}", id(&charge))).await["amount_refunded"], 0);
    assert!(server.events_about(&id(&refund)).await.contains(&"refund.failed".to_owned()));
}

#[tokio::test]
async fn a_credit_note_of_a_paid_invoice_splits_what_goes_back() {
    let server = Server::start().await;
    let (customer, invoice, _) = paid(&server).await;
    let (invoice, line) = (id(&invoice), id(&invoice["lines"]["data"][0]));
    let form = |more: &str| format!("invoice={invoice}&{more}");
    let lines = format!("lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][amount]=1000");
    let wanted = form(&format!("{lines}&refund_amount=600&credit_amount=400&reason=product_unsatisfactory"));
    let preview = server.find("/v1/credit_notes/preview", &wanted).await;
    assert_eq!(preview["total"], 1_000);
    assert_eq!(server.get("/v1/credit_notes").await["data"], serde_json::json!([]), "a preview stores nothing");
    let note = server.post("/v1/credit_notes", &wanted).await;
    assert_eq!((note["type"].as_str(), note["post_payment_amount"].as_i64()), (Some("post_payment"), Some(1_000)));
    assert_eq!(note["refunds"][0]["amount_refunded"], 600);
    assert_eq!(server.get(&format!("/v1/customers/{customer}")).await["balance"], -400);
    assert_eq!(server.get(&format!("/v1/invoices/{invoice}")).await["post_payment_credit_notes_amount"], 1_000);
    for wrong in ["amount=500&refund_amount=400", "amount=3001&credit_amount=3001", "amount=0", "memo=x"] {
        assert_eq!(server.refused("POST", "/v1/credit_notes", &form(wrong)).await.0, 400, "{wrong}");
    }
    let number = note["number"].as_str().unwrap();
    assert!(number.ends_with("-CN-01"), "{number}");
    assert_eq!(server.refused("POST", &format!("/v1/credit_notes/{}/void", id(&note)), "").await.0, 400);
}

#[tokio::test]
async fn a_credit_note_of_an_open_invoice_lowers_what_is_due() {
    let server = Server::start().await;
    let (price, customer) = (server.price(4_000, "month").await, server.customer(Some("chargeCustomerFail")).await);
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = server.post("/v1/subscriptions", &form).await;
    let invoice = id(&latest_invoice(&server, &subscription).await);
    let note = |amount: i64| format!("invoice={invoice}&amount={amount}");
    let first = server.post("/v1/credit_notes", &note(1_000)).await;
    let path = format!("/v1/invoices/{invoice}");
    assert_eq!(server.get(&path).await["amount_due"], 3_000);
    server.post(&format!("/v1/credit_notes/{}/void", id(&first)), "").await;
    assert_eq!(server.get(&path).await["amount_due"], 4_000);
    assert_eq!(server.refused("POST", "/v1/credit_notes", &note(4_001)).await.0, 400);
    server.post("/v1/credit_notes", &note(4_000)).await;
    let settled = server.get(&path).await;
    assert_eq!(
        (settled["status"].as_str(), settled["pre_payment_credit_notes_amount"].as_i64()),
        (Some("paid"), Some(4_000))
    );
}

#[tokio::test]
async fn invoice_items_come_with_the_next_invoice_or_one_of_their_own() {
    let server = Server::start().await;
    let (customer, _, _) = paid(&server).await;
    let item =
        server.post("/v1/invoiceitems", &format!("customer={customer}&amount=700&currency=usd&description=Help")).await;
    let off = server.post("/v1/invoiceitems", &format!("customer={customer}&amount=-200&currency=usd")).await;
    server.move_to("2026-03-01T12:00:00Z").await;
    let renewed = server.find("/v1/invoices", &format!("customer={customer}&limit=1")).await["data"][0].clone();
    assert_eq!((renewed["total"].as_i64(), lines_total(&renewed)), (Some(4_500), 4_500));
    assert_eq!(server.get(&format!("/v1/invoiceitems/{}", id(&item))).await["invoice"], renewed["id"]);
    assert_eq!(server.refused("DELETE", &format!("/v1/invoiceitems/{}", id(&off)), "").await.0, 400);
    let form = "currency=usd&unit_amount=250&product_data[name]=Top-up";
    let once = id(&server.post("/v1/prices", form).await);
    server.post("/v1/invoiceitems", &format!("customer={customer}&pricing[price]={once}&quantity=4")).await;
    let form = format!("customer={customer}&pending_invoice_items_behavior=include&auto_advance=false");
    let draft = server.post("/v1/invoices", &form).await;
    assert_eq!((draft["status"].as_str(), draft["total"].as_i64()), (Some("draft"), Some(1_000)));
    let settled = server.post(&format!("/v1/invoices/{}/pay", id(&draft)), "").await;
    assert_eq!((settled["status"].as_str(), settled["amount_paid"].as_i64()), (Some("paid"), Some(1_000)));
    let empty = server.post("/v1/invoices", &format!("customer={customer}")).await;
    let onto = format!("customer={customer}&amount=90&currency=usd&invoice={}", id(&empty));
    server.post("/v1/invoiceitems", &onto).await;
    assert_eq!(server.get(&format!("/v1/invoices/{}", id(&empty))).await["total"], 90);
    server.delete(&format!("/v1/invoices/{}", id(&empty))).await;
    let pending = server.find("/v1/invoiceitems", &format!("customer={customer}&pending=true")).await;
    assert_eq!(pending["data"].as_array().unwrap().len(), 1, "the item of the deleted draft waits again");
}
