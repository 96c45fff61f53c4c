//! What the list of invoices promises.

use std::time::Duration;

use tollgate_rules::access::Permission;
use tollgate_rules::billing::InvoiceStatus;

use super::list;
use crate::access::Caller;
use crate::db::Kind;
use crate::inbox::testing::{Life, Stage};
use crate::paging::Paging;

async fn heard(stage: &Stage, lives: &[Life]) {
    for delivery in stage.deliveries(lives).await {
        stage.deliver(&delivery).await;
    }
    stage.settle().await;
}

async fn listed_by_pages(kind: Kind) {
    let Some(stage) = Stage::set(kind, "listed_by_pages").await else { return };
    let (ours, theirs) = (stage.live("pm_card_visa").await, stage.live("pm_card_visa").await);
    for _ in 0..3 {
        stage.advance(Duration::from_secs(32 * 24 * 3_600)).await;
    }
    heard(&stage, &[ours.clone(), theirs]).await;
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::BillingRead, Some(&ours.org_id)).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let paging = Paging::new(Some(2), cursor.as_deref()).unwrap();
        let page = list(&stage.engine, &scope, &paging).await.unwrap();
        seen.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.iter().all(|invoice| invoice.customer_id == ours.customer_id), "only the org's own");
    assert!(seen.is_sorted_by(|newer, older| newer.created >= older.created));
    let paid = seen.iter().filter(|invoice| invoice.status == InvoiceStatus::Paid && invoice.total.minor == 39_900);
    assert_eq!(paid.count(), 4, "the upgrade and three renewals");
    let at_stripe = stage.engine.billing().invoices_page(&ours.customer_id, None).await.unwrap().items.len();
    assert_eq!(seen.len(), at_stripe, "none twice, none missing");
    let foreign = Paging::new(None, Some("bm9uc2Vuc2U")).unwrap();
    assert!(list(&stage.engine, &scope, &foreign).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orgs_invoices_are_listed_newest_first_by_pages() {
    Box::pin(listed_by_pages(Kind::Sqlite)).await;
    Box::pin(listed_by_pages(Kind::Postgres)).await;
}
