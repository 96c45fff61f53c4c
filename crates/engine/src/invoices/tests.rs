//! What the list of invoices promises.

use std::time::Duration;

use tollgate_rules::access::Permission;
use tollgate_rules::billing::InvoiceStatus;
use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::ledger::{Item, Record};
use tollgate_rules::quantity::Units;

use super::{explain, list};
use crate::access::Caller;
use crate::db::Kind;
use crate::inbox::testing::{Life, Stage};
use crate::ledger;
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

async fn used(stage: &Stage, life: &Life, units: i64) {
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::UsageWrite, Some(&life.org_id)).await.unwrap();
    let record = Record {
        request_id: RequestId::parse("explained").unwrap(),
        items: vec![Item { metric: Metric::parse("api_call").unwrap(), units: Units::new(units).unwrap() }],
        occurred_at: None,
        source: "api".to_owned(),
        force: None,
    };
    ledger::record(&stage.engine, &scope, record).await.unwrap();
}

async fn explained_to_the_cent(kind: Kind) {
    let Some(stage) = Stage::set(kind, "explained_to_the_cent").await else { return };
    let (ours, theirs) = (stage.live("pm_card_visa").await, stage.live("pm_card_visa").await);
    heard(&stage, std::slice::from_ref(&ours)).await;
    used(&stage, &ours, 1_234).await;
    stage.advance(Duration::from_secs(32 * 24 * 3_600)).await;
    heard(&stage, &[ours.clone(), theirs.clone()]).await;
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::BillingRead, Some(&ours.org_id)).await.unwrap();
    let invoices = list(&stage.engine, &scope, &Paging::default()).await.unwrap().items;
    let mut used = Vec::new();
    for invoice in &invoices {
        let explained = explain(&stage.engine, &scope, &invoice.invoice_id).await.unwrap().unwrap();
        let sum: i64 = explained.lines.iter().map(|line| line.line.total()).sum();
        assert_eq!(sum, invoice.total.minor, "the lines are the total");
        for line in &explained.lines {
            let calls = line.usage.iter().filter(|usage| usage.metric == "api_call" && usage.events > 0);
            used.extend(calls.map(|usage| (line.plan_code.clone(), usage.used, usage.overage, usage.events)));
        }
    }
    assert!(used.contains(&(Some("growth".to_owned()), 1_234, 0, 1)), "{used:?}");
    let foreign = caller.require(&stage.engine, Permission::BillingRead, Some(&theirs.org_id)).await.unwrap();
    assert_eq!(explain(&stage.engine, &foreign, &invoices[0].invoice_id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invoice_is_explained_by_lines_that_sum_up_to_it() {
    Box::pin(explained_to_the_cent(Kind::Sqlite)).await;
    Box::pin(explained_to_the_cent(Kind::Postgres)).await;
}
