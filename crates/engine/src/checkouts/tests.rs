//! What holds for checkouts: the page is clicked through at the sandbox, its events arrive in any order.

use tollgate_rules::access::Role;
use tollgate_rules::ids::OrgId;

use super::{NewCheckout, PREFIX, create, create_for_new_org};
use crate::access::{Caller, OrgScope};
use crate::db::{Kind, Statement};
use crate::fault::Manner;
use crate::inbox::testing::{Delivery, Stage as Inbox, sized};
use crate::members;
use crate::paging::Paging;
use crate::subscriptions::tests::stage::on_stage;
use crate::subscriptions::{self, Error};
use crate::testing::START;
use crate::{audit, inbox, jobs, orgs};

/// Counts what a checkout may make only once.
const MADE: Statement = Statement::new(
    "test.checkout_made",
    "SELECT (SELECT COUNT(*) FROM organizations) AS orgs, (SELECT COUNT(*) FROM invitations) AS invited,
            (SELECT COUNT(*) FROM customers) AS customers, (SELECT COUNT(*) FROM subscriptions) AS subscriptions,
            (SELECT COUNT(*) FROM usage_counters WHERE metric = 'api_call') AS counters",
);

fn wanted(lookup: &str) -> NewCheckout {
    NewCheckout {
        email: "ann@example.com".to_owned(),
        price_lookup: lookup.to_owned(),
        success_url: "https://app.test/done?s={CHECKOUT_SESSION_ID}".to_owned(),
        cancel_url: "https://app.test/back".to_owned(),
    }
}

/// Fills the page in; where the browser is sent, or the status of a refusal.
async fn fill_in(url: &str, form: &str) -> Result<String, u16> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = client.post(url).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(form.to_owned()).send().await.unwrap();
    match answer.headers().get("location") {
        Some(location) => Ok(location.to_str().unwrap().to_owned()),
        None => Err(answer.status().as_u16()),
    }
}

async fn made(engine: &crate::Engine) -> [i64; 5] {
    let mut connection = engine.db().read().await.unwrap();
    let row = connection.one(&MADE, &[]).await.unwrap();
    ["orgs", "invited", "customers", "subscriptions", "counters"].map(|name| row.i64(name).unwrap())
}

/// Everything Stripe has to tell, oldest first.
async fn everything(stage: &Inbox) -> Vec<Delivery> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = stage.engine.billing().events_page(START, after.as_deref()).await.unwrap();
        all.extend(page.items.into_iter().map(|(hint, raw)| Delivery { hint, raw }));
        after = page.next;
        if after.is_none() {
            all.reverse();
            return all;
        }
    }
}

/// The only org that a checkout made.
async fn the_org(engine: &crate::Engine) -> OrgScope {
    let operator = Caller::local_operator();
    let scope = operator.require_operator(tollgate_rules::access::Permission::OrgsList).unwrap();
    let page = orgs::list(engine, &scope, &orgs::Filter::default(), &Paging::default()).await.unwrap();
    let org_id: &OrgId = &page.items.iter().find(|org| org.owner_user_id.as_str().starts_with(PREFIX)).unwrap().org_id;
    operator.require(engine, tollgate_rules::access::Permission::OrgRead, Some(org_id)).await.unwrap()
}

/// The events that matter, in this order, some of them twice; one more order each time.
fn orders(rounds: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![vec![0, 1, 2], vec![2, 1, 0], vec![1, 0, 2], vec![1, 2, 0], vec![0, 2, 1], vec![2, 0, 1]];
    orders.extend([vec![0, 0, 1, 1, 2, 2], vec![2, 2, 0, 1, 2], vec![1, 1, 2, 0, 1]]);
    orders.truncate(rounds);
    orders
}

async fn any_order(kind: Kind) {
    for order in orders(sized(4, 9)) {
        let Some(stage) = Inbox::set(kind, "checkout_any_order").await else { return };
        let operator = Caller::local_operator();
        let operator = operator.require_operator(tollgate_rules::access::Permission::OrgsCreate).unwrap();
        let page = create_for_new_org(&stage.engine, &operator, "Acme", &wanted("plan_starter_m")).await.unwrap();
        assert_eq!(made(&stage.engine).await, [0; 5], "a page alone makes nothing");
        let back = fill_in(&page.url, "card=visa").await;
        assert_eq!(back, Ok(format!("https://app.test/done?s={}", page.session_id)));
        let all = everything(&stage).await;
        let telling = ["checkout.session.completed", "customer.subscription.created", "invoice.paid"];
        let telling = telling.map(|kind| all.iter().find(|one| one.hint.kind == kind).unwrap());
        for index in &order {
            stage.deliver(telling[*index]).await;
            stage.settle().await;
            assert_eq!(made(&stage.engine).await, [1, 1, 1, 1, 1], "{kind:?} {order:?} after {index}");
        }
        for delivery in all.iter().rev() {
            stage.deliver(delivery).await;
        }
        stage.settle().await;
        assert_eq!(made(&stage.engine).await, [1, 1, 1, 1, 1], "{kind:?} {order:?}");
        it_is_what_was_bought(&stage).await;
    }
}

async fn it_is_what_was_bought(stage: &Inbox) {
    let org = the_org(&stage.engine).await;
    let has = subscriptions::entitlements(&stage.engine, &org, None).await.unwrap();
    let trial_of = has.trial_of.as_ref().map(|code| code.as_str().to_owned());
    assert_eq!((trial_of.as_deref(), has.metric("api_call").unwrap().included), (Some("starter"), Some(1_000)));
    let pending = members::pending(&stage.engine, &org, &Paging::default()).await.unwrap();
    assert_eq!((pending.items[0].email.as_str(), pending.items[0].role), ("ann@example.com", Role::Owner));
    jobs::run_due(&stage.engine).await.unwrap();
    assert_eq!(stage.engine.letters().len(), 1, "the owner's invitation");
    let journal = audit::verify(&stage.engine, &stage.operator(), Some(org.org_id())).await.unwrap();
    assert!(journal.unsealed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completed_checkout_makes_its_org_once_in_any_order_of_events_on_sqlite() {
    Box::pin(any_order(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completed_checkout_makes_its_org_once_in_any_order_of_events_on_postgres() {
    Box::pin(any_order(Kind::Postgres)).await;
}

/// The handler vanishes at each point of making the org; the next delivery makes it whole.
async fn vanishing(kind: Kind) {
    for point in
        ["checkout.org_made", "checkout.owner_invited", "inbox.process.before_commit", "inbox.process.after_commit"]
    {
        let bounds = |limits: &mut crate::limits::Limits| {
            limits.customer_lease = std::time::Duration::from_millis(150);
            limits.clock_skew = std::time::Duration::from_millis(10);
        };
        let Some(stage) = Inbox::set_with(kind, "checkout_vanishing", bounds).await else { return };
        let operator = Caller::local_operator();
        let operator = operator.require_operator(tollgate_rules::access::Permission::OrgsCreate).unwrap();
        let page = create_for_new_org(&stage.engine, &operator, "Acme", &wanted("plan_starter_m")).await.unwrap();
        fill_in(&page.url, "card=visa").await.unwrap();
        let all = everything(&stage).await;
        let paid = all.iter().find(|one| one.hint.kind == "invoice.paid").unwrap();
        stage.engine.faults().plan(point, Manner::Vanish, 1);
        stage.deliver(paid).await;
        let (engine, event_id) = (stage.engine.engine.clone(), paid.hint.event_id.clone());
        let _gone = tokio::spawn(async move { inbox::process(&engine, &event_id).await }).await;
        assert!(stage.engine.faults().spent(), "{point} was never reached");
        for delivery in &all {
            stage.deliver(delivery).await;
        }
        stage.settle().await;
        let [orgs, invited, customers, subscriptions, _] = made(&stage.engine).await;
        assert_eq!([orgs, invited, customers, subscriptions], [1; 4], "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_org_that_is_being_made_when_the_process_dies_is_made_once() {
    Box::pin(vanishing(Kind::Sqlite)).await;
    Box::pin(vanishing(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_webhook_lost_a_checkout_is_found_all_the_same_and_a_forged_mark_is_not() {
    let Some(stage) = Inbox::set(Kind::Sqlite, "checkout_lost").await else { return };
    let operator = Caller::local_operator();
    let operator = operator.require_operator(tollgate_rules::access::Permission::OrgsCreate).unwrap();
    let page = create_for_new_org(&stage.engine, &operator, "Acme", &wanted("plan_growth_m")).await.unwrap();
    fill_in(&page.url, "card=authenticationRequired&answer=pass").await.unwrap();
    let forged = tollgate_connectors::billing::NewCheckout {
        checkout_id: "chk_nobody_asked_for".to_owned(),
        customer_id: None,
        email: Some("eve@example.com".to_owned()),
        org_id: OrgId::parse("org_eve").unwrap(),
        org_name: Some("Eve".to_owned()),
        price_id: the_price(&stage).await,
        quantity: 1,
        trial_days: None,
        collect_tax: false,
        success_url: "https://eve.test/".to_owned(),
        cancel_url: "https://eve.test/".to_owned(),
    };
    let forged = stage.engine.billing().create_checkout(&stage.key(), &forged).await.unwrap();
    fill_in(&forged.url.unwrap(), "card=visa").await.unwrap();
    inbox::reconcile::reconcile(&stage.engine).await.unwrap();
    stage.settle().await;
    assert_eq!(made(&stage.engine).await, [1, 1, 1, 1, 1], "one of ours, and nothing of the other");
}

async fn the_price(stage: &Inbox) -> tollgate_rules::ids::PriceId {
    let found = stage.engine.billing().prices(&["plan_starter_m".to_owned()]).await.unwrap();
    found[0].price_id.clone()
}

on_stage! {
    async fn an_org_that_is_there_subscribes_by_checkout_and_keeps_its_customer(stage: Stage) {
        let scope = stage.org("Acme").await;
        let first = create(&stage, &scope, &wanted("plan_starter_m")).await.unwrap();
        let second = create(&stage, &scope, &wanted("plan_growth_m")).await.unwrap();
        assert_eq!(fill_in(&first.url, "card=visa").await, Err(410), "an org has one open page");
        fill_in(&second.url, "card=visa").await.unwrap();
        inbox::reconcile::reconcile(&stage).await.unwrap();
        let has = subscriptions::entitlements(&stage, &scope, None).await.unwrap();
        assert_eq!(has.trial_of.unwrap().as_str(), "growth");
        let again = create(&stage, &scope, &wanted("plan_growth_m")).await;
        assert!(matches!(again, Err(Error::AlreadySubscribed)), "{again:?}");
    }

    async fn who_had_a_trial_pays_at_once(stage: Stage) {
        let scope = stage.trialing("plan_starter_m").await;
        subscriptions::cancel(&stage, &scope, subscriptions::EndsAt::Now).await.unwrap();
        let page = create(&stage, &scope, &wanted("plan_starter_m")).await.unwrap();
        fill_in(&page.url, "card=visa").await.unwrap();
        inbox::reconcile::reconcile(&stage).await.unwrap();
        let has = subscriptions::entitlements(&stage, &scope, None).await.unwrap();
        assert_eq!((has.trial_of, has.plan_code.unwrap().as_str()), (None, "starter"));
    }

    async fn what_is_wrong_is_named_and_nothing_is_asked_for(stage: Stage) {
        let scope = stage.org("Acme").await;
        let good = wanted("plan_starter_m");
        let refused = create(&stage, &scope, &wanted("plan_gold_m")).await;
        assert!(matches!(refused, Err(Error::UnknownPrice)), "{refused:?}");
        let refused = create(&stage, &scope, &NewCheckout { email: "ann".to_owned(), ..good.clone() }).await;
        assert!(matches!(refused, Err(Error::BadEmail)), "{refused:?}");
        let refused = create(&stage, &scope, &NewCheckout { success_url: "/done".to_owned(), ..good.clone() }).await;
        assert!(matches!(refused, Err(Error::BadUrl("successUrl"))), "{refused:?}");
        let refused = create(&stage, &scope, &NewCheckout { cancel_url: "mailto:a@b.c".to_owned(), ..good.clone() }).await;
        assert!(matches!(refused, Err(Error::BadUrl("cancelUrl"))), "{refused:?}");
        let refused = create_for_new_org(&stage, &stage.operator(), " ", &good).await;
        assert!(matches!(refused, Err(Error::BadOrgName)), "{refused:?}");
        let asked = stage.sandbox.faults();
        asked.clear();
        assert_eq!(made(&stage).await[2..4], [0, 0]);
    }
}
