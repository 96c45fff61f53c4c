//! Top-ups against the sandbox over HTTP: paid once and given once, or neither, whatever happens in between.

use std::time::Duration;

use tollgate_rules::access::Permission;
use tollgate_rules::billing::InvoiceStatus;

use super::{Buy, Error, State, buy, list};
use crate::access::{Caller, OrgScope};
use crate::db::{Kind, Lane};
use crate::fault::Manner;
use crate::inbox::testing::{Life, Stage as Heard};
use crate::paging::Paging;
use crate::quotes::tests::{charged, now, paying};
use crate::subscriptions::tests::stage::{Stage, on_stage};
use crate::subscriptions::{self, Error as Refused};
use crate::testing::START;
use crate::{invoices, jobs};

fn pack(quantity: Option<i64>) -> Buy {
    Buy { topup: "api_calls_10k".to_owned(), quantity }
}

async fn granted(stage: &Stage, scope: &OrgScope) -> i64 {
    now(stage, scope).await.metric("api_call").unwrap().granted
}

async fn states(engine: &crate::Engine, scope: &OrgScope) -> Vec<State> {
    list(engine, scope, &Paging::default()).await.unwrap().items.iter().map(|one| one.state).collect()
}

on_stage! {
    async fn a_pack_is_charged_and_counts_at_once_for_as_long_as_it_lasts(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        let before = charged(&stage, &scope).await.len();
        let bought = buy(&stage, &scope, &pack(Some(2))).await.unwrap();
        assert_eq!((bought.pack.units, bought.pack.price.minor, bought.state), (20_000, 9_000, State::Paid));
        assert_eq!(charged(&stage, &scope).await[0], 9_000);
        let listed = invoices::list(&stage, &scope, &Paging::default()).await.unwrap().items;
        assert_eq!((&listed[0].invoice_id, listed[0].total.minor), (&bought.invoice_id, 9_000), "before any webhook");
        assert_eq!((granted(&stage, &scope).await, charged(&stage, &scope).await.len()), (20_000, before + 1));
        let until = bought.expires_at.unwrap();
        assert!(until >= START.plus_days(90) && until < START.plus_days(91), "{until}");
        assert_eq!(states(&stage, &scope).await, [State::Paid]);
        stage.move_to(until.plus(Duration::from_secs(7_200))).await;
        subscriptions::cancel_downgrade(&stage, &scope).await.unwrap();
        assert_eq!(granted(&stage, &scope).await, 0, "what is not used by then is gone");
    }

    async fn a_declined_card_gives_nothing_and_leaves_nothing_to_pay(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        stage.pay_with(&scope, "pm_card_chargeCustomerFail").await;
        let refused = buy(&stage, &scope, &pack(None)).await;
        assert!(matches!(refused, Err(Error::Subscription(Refused::PaymentFailed { .. }))), "{refused:?}");
        assert_eq!(granted(&stage, &scope).await, 0);
        assert_eq!(states(&stage, &scope).await, [State::Declined]);
        let bought = &list(&stage, &scope, &Paging::default()).await.unwrap().items[0];
        let invoice = stage.billing().invoice(&bought.invoice_id).await.unwrap().unwrap();
        assert_eq!((invoice.status, invoice.amount_paid), (InvoiceStatus::Void, 0));
        stage.pay_with(&scope, "pm_card_visa").await;
        buy(&stage, &scope, &pack(None)).await.unwrap();
        assert_eq!(granted(&stage, &scope).await, 10_000);
    }

    async fn a_payment_that_must_be_confirmed_gives_the_units_once_it_is(stage: Stage) {
        let scope = paying(&stage, "starter").await;
        stage.pay_with(&scope, "pm_card_authenticationRequired").await;
        let refused = buy(&stage, &scope, &pack(None)).await;
        assert!(matches!(refused, Err(Error::Subscription(Refused::PaymentActionRequired { .. }))), "{refused:?}");
        assert_eq!((granted(&stage, &scope).await, states(&stage, &scope).await), (0, vec![State::Waiting]));
        let invoice_id = list(&stage, &scope, &Paging::default()).await.unwrap().items[0].invoice_id.clone();
        stage.pay_with(&scope, "pm_card_visa").await;
        let key = tollgate_connectors::billing::IdempotencyKey::parse("tollgate:test:confirm").unwrap();
        stage.billing().pay_one_off(&key, &invoice_id).await.unwrap();
        let paid = stage.billing().invoice(&invoice_id).await.unwrap().unwrap();
        for _ in 0..2 {
            let mut tx = stage.db().begin(Lane::Control).await.unwrap();
            invoices::apply_fact(&stage, &mut tx, scope.org_key(), &paid).await.unwrap();
            tx.commit().await.unwrap();
            stage.ledger().forget(scope.org_key());
        }
        assert_eq!((granted(&stage, &scope).await, states(&stage, &scope).await), (10_000, vec![State::Paid]));
    }

    async fn what_cannot_be_bought_is_refused_before_anything_is_charged(stage: Stage) {
        let refusal = async |scope: &OrgScope, wanted: &Buy| buy(&stage, scope, wanted).await.unwrap_err();
        let nobody = stage.org("Nobody").await;
        assert!(matches!(refusal(&nobody, &pack(None)).await, Error::Subscription(Refused::NoCustomer)));
        let customer = stage.customer("Customer").await;
        assert!(matches!(refusal(&customer, &pack(None)).await, Error::Subscription(Refused::NoSubscription)));
        let trying = stage.trialing("plan_starter_m").await;
        assert!(matches!(refusal(&trying, &pack(None)).await, Error::Subscription(Refused::PaymentFailed { .. })));
        let unknown = Buy { topup: "gold".to_owned(), quantity: None };
        assert!(matches!(refusal(&trying, &unknown).await, Error::Unknown));
        for quantity in [0, -1, 1_001, i64::MAX] {
            assert!(matches!(refusal(&trying, &pack(Some(quantity))).await, Error::BadQuantity));
        }
        assert_eq!(states(&stage, &trying).await, []);
    }
}

/// Every place where a purchase may end early.
const POINTS: [&str; 8] = [
    "topup.begun",
    "topup.before_draft_stored",
    "topup.before_item_stored",
    "topup.drafted",
    "topup.noted",
    "topup.before_pay_stored",
    "topup.paid",
    "topup.given",
];

async fn bought_once_at_every_point(kind: Kind) {
    let bounds = |limits: &mut crate::limits::Limits| {
        limits.operation_lease = Duration::from_millis(150);
        limits.operation_join = Duration::from_millis(50);
        limits.clock_skew = Duration::from_millis(10);
    };
    let Some(stage) = Heard::set_with(kind, "bought_once_at_every_point", bounds).await else { return };
    let life = stage.live("pm_card_visa").await;
    hear(&stage, &life).await;
    let scope = Caller::local_operator().require(&stage.engine, Permission::BillingWrite, Some(&life.org_id)).await;
    let scope = scope.unwrap();
    let mut bought = 0;
    for point in POINTS {
        for manner in [Manner::Fail, Manner::Vanish] {
            stage.engine.faults().plan(point, manner, 1);
            let (engine, by) = (stage.engine.engine.clone(), scope.clone());
            let _struck = tokio::spawn(async move { buy(&engine, &by, &pack(None)).await }).await;
            bought += 1;
            // The process comes back: the lease runs out, and the job takes the purchase up again.
            tokio::time::sleep(Duration::from_millis(200)).await;
            resume(&stage).await;
            if bought % 4 == 0 {
                hear(&stage, &life).await;
            }
            once(&stage, &life, &scope, bought).await;
        }
    }
    println!(
        "PROOF: top-ups {kind:?}: {} crash points, failed and vanished, each charged and given exactly once",
        POINTS.len()
    );
}

async fn hear(stage: &Heard, life: &Life) {
    for delivery in stage.deliveries(std::slice::from_ref(life)).await {
        stage.deliver(&delivery).await;
    }
    stage.settle().await;
}

async fn resume(stage: &Heard) {
    let caller = Caller::local_operator().require_operator(Permission::JobsOperate).unwrap();
    let filter = jobs::Filter { state: Some(jobs::State::Queued), kind: Some(jobs::Kind::Operation) };
    let queued = jobs::list(&stage.engine, &caller, filter, &Paging::default()).await.unwrap().items;
    for job in queued {
        jobs::run(&stage.engine, &caller, &job.job_id).await.unwrap();
    }
}

/// So many invoices were paid for it, so many purchases and grants are there, and nothing waits to be paid.
async fn once(stage: &Heard, life: &Life, scope: &OrgScope, bought: i64) {
    let (mut after, mut paid) = (None, 0);
    loop {
        let page = stage.engine.billing().invoices_page(&life.customer_id, after.as_deref()).await.unwrap();
        for invoice in &page.items {
            let for_pack = invoice.subscription_id.is_none();
            assert!(
                !for_pack || invoice.status == InvoiceStatus::Paid,
                "{:?}: {:?}",
                invoice.invoice_id,
                invoice.status
            );
            paid += i64::from(for_pack && invoice.amount_paid == 4_500);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paid, bought, "one paid invoice for each purchase");
    let shown = subscriptions::entitlements(&stage.engine, scope, None).await.unwrap();
    assert_eq!(shown.metric("api_call").unwrap().granted, bought * 10_000, "one grant for each purchase");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_that_ends_early_anywhere_is_charged_and_given_exactly_once_on_sqlite() {
    Box::pin(bought_once_at_every_point(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_that_ends_early_anywhere_is_charged_and_given_exactly_once_on_postgres() {
    Box::pin(bought_once_at_every_point(Kind::Postgres)).await;
}
