//! What operators give, at a billing that behaves: once, to the cent, or not at all.

use std::time::Duration;

use tollgate_connectors::billing::{Lasting, Off};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::InvoiceId;
use tollgate_rules::money::{Currency, Money};
use tollgate_sandbox::Failure;

use super::{
    Adjustment, Coupon, CreditNote, Error, Filter, Kind as Of, Promotion, Recorded, Refund, create_coupon,
    create_credit_note, create_promotion, grant_credit, list, refund,
};
use crate::access::{Caller, OrgScope};
use crate::db::Kind;
use crate::inbox::testing::{Life, Stage};
use crate::paging::Paging;
use crate::{audit, incidents, invoices, jobs};

const WHY: &str = "they waited for days";

/// A stage with one org whose life is known here too, and the right to act for it.
async fn stage(kind: Kind, test: &str) -> Option<(Stage, Life, OrgScope)> {
    let stage = Stage::set(kind, test).await?;
    let life = stage.live("pm_card_visa").await;
    hear(&stage, &life).await;
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::BillingOperate, Some(&life.org_id)).await.unwrap();
    Some((stage, life, scope))
}

async fn hear(stage: &Stage, life: &Life) {
    for delivery in stage.deliveries(std::slice::from_ref(life)).await {
        stage.deliver(&delivery).await;
    }
    stage.settle().await;
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

fn coupon() -> Coupon {
    Coupon {
        name: Some("Sorry".to_owned()),
        off: Off::Percent("25".to_owned()),
        lasting: Lasting::Forever,
        redemptions_max: None,
        redeem_by: None,
        apply: true,
    }
}

async fn listed(stage: &Stage, kind: Of) -> Vec<Recorded> {
    let filter = Filter { kind, org_id: None };
    list(&stage.engine, &stage.operator(), &filter, &Paging::default()).await.unwrap().items
}

async fn audited(stage: &Stage, action: &str) -> usize {
    let filter = audit::Filter { action: Some(action.to_owned()), ..audit::Filter::default() };
    audit::list(&stage.engine, &stage.operator(), &filter, &Paging::default()).await.unwrap().items.len()
}

/// The org's newest invoice that was paid with money.
async fn paid_invoice(stage: &Stage, scope: &OrgScope) -> InvoiceId {
    let page = invoices::list(&stage.engine, scope, &Paging::default()).await.unwrap();
    page.items.into_iter().find(|invoice| invoice.amount_paid > 0).unwrap().invoice_id
}

async fn a_coupon_lowers_the_next_invoice(kind: Kind) {
    let Some((stage, life, scope)) = stage(kind, "a_coupon_lowers_the_next_invoice").await else { return };
    let made = create_coupon(&stage.engine, &scope, coupon(), WHY).await.unwrap();
    assert_eq!(listed(&stage, Of::Coupon).await, std::slice::from_ref(&made));
    assert_eq!(audited(&stage, "coupons.create").await, 1);
    let coupon_id = made.adjustment.billing_id().to_owned();
    let asked = Promotion {
        coupon_id: coupon_id.clone(),
        code: Some("ACME-25".to_owned()),
        redemptions_max: Some(1),
        expires_at: None,
        first_time_only: false,
        for_everyone: false,
    };
    let code = create_promotion(&stage.engine, &scope, asked.clone(), WHY).await.unwrap();
    assert!(matches!(&code.adjustment, Adjustment::Promotion { code, .. } if code == "ACME-25"));
    let taken = create_promotion(&stage.engine, &scope, asked.clone(), WHY).await.unwrap_err();
    assert!(matches!(taken, Error::Refused(_)), "{taken}");
    let unknown = Promotion { coupon_id: "NONE".to_owned(), ..asked };
    let unknown = create_promotion(&stage.engine, &scope, unknown, WHY).await.unwrap_err();
    assert!(matches!(unknown, Error::Wrong { field: "couponId", .. }), "{unknown}");
    assert_eq!(listed(&stage, Of::Promotion).await.len(), 1, "what was refused is not in the book");
    stage.advance(Duration::from_secs(32 * 24 * 3_600)).await;
    hear(&stage, &life).await;
    let renewed = invoices::list(&stage.engine, &scope, &Paging::default()).await.unwrap().items.remove(0);
    assert_eq!(renewed.total, usd(29_925), "a quarter off 399.00");
    assert_eq!(renewed.lines.iter().map(tollgate_rules::billing::InvoiceLine::total).sum::<i64>(), renewed.total.minor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coupon_given_to_an_org_lowers_its_next_invoice() {
    Box::pin(a_coupon_lowers_the_next_invoice(Kind::Sqlite)).await;
    Box::pin(a_coupon_lowers_the_next_invoice(Kind::Postgres)).await;
}

async fn money_goes_back_once(kind: Kind) {
    let Some((stage, life, scope)) = stage(kind, "money_goes_back_once").await else { return };
    let invoice_id = paid_invoice(&stage, &scope).await;
    let ask = |amount| Refund { invoice_id: invoice_id.clone(), amount };
    for wrong in [0, 39_901] {
        let refused = refund(&stage.engine, &scope, ask(Some(wrong)), WHY).await.unwrap_err();
        assert!(matches!(refused, Error::Wrong { field: "amount", .. }), "{refused}");
    }
    refund(&stage.engine, &scope, ask(Some(10_000)), WHY).await.unwrap();
    let note = CreditNote {
        invoice_id: invoice_id.clone(),
        amount: 9_900,
        refund: 4_900,
        credit: 5_000,
        elsewhere: 0,
        memo: Some("For the outage".to_owned()),
    };
    let made = create_credit_note(&stage.engine, &scope, note.clone(), WHY).await.unwrap();
    assert!(
        matches!(&made.adjustment, Adjustment::CreditNote { total, refund_id: Some(_), .. } if *total == usd(9_900))
    );
    let rest = refund(&stage.engine, &scope, ask(None), WHY).await.unwrap();
    assert!(matches!(&rest.adjustment, Adjustment::Refund { amount, .. } if *amount == usd(25_000)), "{rest:?}");
    let nothing = refund(&stage.engine, &scope, ask(None), WHY).await.unwrap_err();
    assert!(matches!(nothing, Error::Wrong { field: "amount", .. }), "{nothing}");
    for wrong in [
        CreditNote { refund: 1, ..note.clone() },
        CreditNote { amount: 0, ..note.clone() },
        CreditNote { amount: 39_901, credit: 35_001, ..note.clone() },
        CreditNote { credit: -1, refund: 9_901, ..note.clone() },
    ] {
        let refused = create_credit_note(&stage.engine, &scope, wrong, WHY).await.unwrap_err();
        assert!(matches!(refused, Error::Wrong { .. }), "{refused}");
    }
    let other = stage.live("pm_card_visa").await;
    let caller = Caller::local_operator();
    let theirs = caller.require(&stage.engine, Permission::BillingOperate, Some(&other.org_id)).await.unwrap();
    let foreign = refund(&stage.engine, &theirs, ask(Some(1)), WHY).await.unwrap_err();
    assert!(matches!(foreign, Error::NotFound), "another org's invoice is none");
    assert_eq!(listed(&stage, Of::Refund).await.len(), 2);
    assert_eq!(audited(&stage, "credit-notes.create").await, 1);
    hear(&stage, &life).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_goes_back_once_and_never_more_than_was_paid() {
    Box::pin(money_goes_back_once(Kind::Sqlite)).await;
    Box::pin(money_goes_back_once(Kind::Postgres)).await;
}

async fn credit_survives_lost_answers(kind: Kind) {
    let Some((stage, _, scope)) = stage(kind, "credit_survives_lost_answers").await else { return };
    let euro = Money::new(500, Currency::parse("eur").unwrap());
    let refused = grant_credit(&stage.engine, &scope, euro, WHY).await.unwrap_err();
    assert!(matches!(refused, Error::Wrong { field: "currency", .. }), "{refused}");
    let refused = grant_credit(&stage.engine, &scope, usd(500), " ").await.unwrap_err();
    assert!(matches!(refused, Error::Wrong { field: "reason", .. }), "{refused}");
    let path = "/v1/customers/";
    for (failure, amount) in [(Failure::ErrorAfterCommit, 500), (Failure::LostAnswer, 700), (Failure::Status(429), 900)]
    {
        // The first call only reads the currency; the one that gives is hit.
        stage.sandbox.faults().fail_after(path, 1, 1, failure);
        let pending = grant_credit(&stage.engine, &scope, usd(amount), WHY).await.unwrap_err();
        assert!(matches!(pending, Error::BillingUnavailable { operation_id: Some(_) }), "{failure:?}: {pending}");
        stage.sandbox.faults().clear();
        let caller = Caller::local_operator().require_operator(Permission::JobsOperate).unwrap();
        let filter = jobs::Filter { state: Some(jobs::State::Queued), kind: Some(jobs::Kind::Operation) };
        let queued = jobs::list(&stage.engine, &caller, filter, &Paging::default()).await.unwrap().items;
        assert_eq!(queued.len(), 1);
        jobs::run(&stage.engine, &caller, &queued[0].job_id).await.unwrap();
    }
    let book = listed(&stage, Of::Credit).await;
    let left = |recorded: &Recorded| match &recorded.adjustment {
        Adjustment::Credit { credit_left, .. } => *credit_left,
        other => panic!("{other:?}"),
    };
    assert_eq!(book.iter().map(left).collect::<Vec<_>>(), [2_100, 1_200, 500], "each was given exactly once");
    assert_eq!(audited(&stage, "credits.grant").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_is_given_exactly_once_whatever_becomes_of_the_answer() {
    Box::pin(credit_survives_lost_answers(Kind::Sqlite)).await;
    Box::pin(credit_survives_lost_answers(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coupon_that_cannot_be_is_refused_before_anything_is_begun() {
    let Some((stage, _, scope)) = stage(Kind::Sqlite, "a_coupon_that_cannot_be").await else { return };
    let past = stage.engine.now().minus(Duration::from_secs(1));
    for (wrong, field) in [
        (Coupon { off: Off::Percent("100.5".to_owned()), ..coupon() }, "percentOff"),
        (Coupon { off: Off::Amount(usd(0)), ..coupon() }, "amountOff"),
        (Coupon { lasting: Lasting::Months(0), ..coupon() }, "durationInMonths"),
        (Coupon { redeem_by: Some(past), ..coupon() }, "redeemBy"),
        (Coupon { redemptions_max: Some(0), ..coupon() }, "maxRedemptions"),
    ] {
        let refused = create_coupon(&stage.engine, &scope, wrong, WHY).await.unwrap_err();
        assert!(matches!(refused, Error::Wrong { field: found, .. } if found == field), "{field}: {refused}");
    }
    assert_eq!(listed(&stage, Of::Coupon).await, []);
}

async fn money_comes_back(kind: Kind) {
    let Some(stage) = Stage::set(kind, "money_comes_back").await else { return };
    let life = stage.live("pm_card_refundFail").await;
    hear(&stage, &life).await;
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::BillingOperate, Some(&life.org_id)).await.unwrap();
    let invoice_id = paid_invoice(&stage, &scope).await;
    let asked = Refund { invoice_id: invoice_id.clone(), amount: Some(10_000) };
    let made = refund(&stage.engine, &scope, asked, WHY).await.unwrap();
    let asked = CreditNote { invoice_id, amount: 4_900, refund: 4_900, credit: 0, elsewhere: 0, memo: None };
    create_credit_note(&stage.engine, &scope, asked, WHY).await.unwrap();
    let stands = async || {
        let refund = listed(&stage, Of::Refund).await.remove(0).adjustment.refund().1.map(str::to_owned);
        (refund, listed(&stage, Of::CreditNote).await.remove(0).adjustment.refund().1.map(str::to_owned))
    };
    let open = async || {
        let filter = incidents::Filter { kind: Some(incidents::Kind::RefundFailed), ..incidents::Filter::default() };
        incidents::list(&stage.engine, &stage.operator(), &filter, &Paging::default()).await.unwrap().items
    };
    hear(&stage, &life).await;
    assert_eq!((stands().await.0.as_deref(), open().await.len()), (Some("succeeded"), 0));
    let before = audited(&stage, "refunds.update").await;
    stage.advance(Duration::from_secs(3_600)).await;
    for _ in 0..2 {
        hear(&stage, &life).await;
        assert_eq!(stands().await, (Some("failed".to_owned()), Some("failed".to_owned())));
        let open = open().await;
        assert_eq!(open.len(), 2, "one per refund: {open:?}");
        assert!(open.iter().any(|incident| incident.subject == made.adjustment.billing_id()), "{open:?}");
        assert!(open.iter().any(|incident| incident.detail.contains("expired_or_canceled_card")), "{open:?}");
        assert_eq!(audited(&stage, "refunds.update").await, before + 2, "the same heard again is no news");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_the_bank_sends_back_later_is_an_incident_and_stands_in_the_book() {
    Box::pin(money_comes_back(Kind::Sqlite)).await;
    Box::pin(money_comes_back(Kind::Postgres)).await;
}
