//! A year in a minute: many orgs with mixed plans, behaviour and cards live through twelve months; then everything is counted again.

use std::collections::BTreeMap;
use std::time::Duration;

use tollgate_rules::billing::{InvoiceLine, SubscriptionStatus};
use tollgate_rules::ids::PlanCode;
use tollgate_rules::period::Interval;
use tollgate_rules::quantity::Units;

use super::{Stage, compared, days, live_until};
use crate::access::OrgScope;
use crate::clock::Entropy;
use crate::db::Kind;
use crate::ledger::tests::stage::{recount, size};
use crate::ledger::{self, Item, Record};
use crate::paging::Paging;
use crate::quotes::Wanted;
use crate::subscriptions::{self, EndsAt, Upgrade};
use crate::{invoices, plans};
use tollgate_rules::ids::{Metric, RequestId};

const PLANS: [&str; 3] = ["starter", "growth", "pro"];
/// What an org of each plan uses in a month at most: above what is included.
const BURNS: [u64; 3] = [11_000, 115_000, 1_050_000];

/// An org and how it behaves.
struct Life {
    scope: OrgScope,
    plan: usize,
}

fn index(random: &Entropy, sides: usize) -> usize {
    usize::try_from(random.up_to(u64::try_from(sides - 1).unwrap())).unwrap()
}

/// Signs up to some plan, by the month or the year, with some card or none.
async fn sign_up(stage: &Stage, random: &Entropy) -> Life {
    let plan = index(random, PLANS.len());
    let interval = if random.up_to(4) == 0 { 'y' } else { 'm' };
    let scope = stage.trialing(&format!("plan_{}_{interval}", PLANS[plan])).await;
    if random.up_to(9) > 0 {
        stage.pay_with(&scope, "pm_card_visa").await;
        if random.up_to(3) == 0 {
            let now = Upgrade { new_plan_code: PlanCode::parse(PLANS[plan]).ok(), ..Upgrade::default() };
            subscriptions::upgrade(stage, &scope, &now).await.unwrap();
        }
    }
    Life { scope, plan }
}

/// A month: some usage, and now and then a change. What cannot be (a downgrade below the lowest plan, a change after the end) is refused.
async fn month(stage: &Stage, life: &mut Life, random: &Entropy, name: &str) {
    for part in 0..=random.up_to(1) {
        let units = i64::try_from(random.up_to(BURNS[life.plan])).unwrap() + 1;
        let item = Item { metric: Metric::parse("api_call").unwrap(), units: Units::new(units).unwrap() };
        let record = Record {
            request_id: RequestId::parse(&format!("{name}-{part}")).unwrap(),
            items: vec![item],
            occurred_at: None,
            source: "api".to_owned(),
            force: None,
        };
        ledger::record(stage, &life.scope, record).await.unwrap();
    }
    let wanted = |plan: usize| Wanted {
        plan_code: PlanCode::parse(PLANS[plan]).unwrap(),
        interval: None,
        quantity: None,
        coupon: None,
    };
    match random.up_to(19) {
        0 | 1 if life.plan + 1 < PLANS.len() => {
            let upgrade = Upgrade { new_plan_code: PlanCode::parse(PLANS[life.plan + 1]).ok(), ..Upgrade::default() };
            life.plan += usize::from(subscriptions::upgrade(stage, &life.scope, &upgrade).await.is_ok());
        }
        2 if life.plan > 0 => {
            let _refused = subscriptions::schedule_downgrade(stage, &life.scope, &wanted(life.plan - 1)).await;
        }
        3 => {
            let _refused = subscriptions::cancel(stage, &life.scope, EndsAt::PeriodEnd).await;
        }
        4 => stage.pay_with(&life.scope, "pm_card_chargeCustomerFail").await,
        5 => stage.pay_with(&life.scope, "pm_card_visa").await,
        _ => {}
    }
}

/// Every invoice adds up to its total, and every line of it can be explained; how many there were.
async fn every_invoice_is_explained(stage: &Stage, scope: &OrgScope) -> usize {
    let (mut paging, mut seen) = (Paging::new(Some(200), None).unwrap(), 0);
    loop {
        let page = invoices::list(stage, scope, &paging).await.unwrap();
        for invoice in &page.items {
            let lines: i64 = invoice.lines.iter().map(InvoiceLine::total).sum();
            assert_eq!(lines, invoice.total.minor, "{invoice:?}");
            let explained = invoices::explain(stage, scope, &invoice.invoice_id).await.unwrap().unwrap();
            assert_eq!(explained.lines.len(), invoice.lines.len());
            seen += 1;
        }
        let Some(next) = page.next else { return seen };
        paging = Paging::new(Some(200), Some(&next)).unwrap();
    }
}

/// What recurs per month, from Stripe's own subscriptions and prices.
async fn mrr_at_stripe(stage: &Stage) -> i64 {
    let mut amounts: BTreeMap<String, i64> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = stage.billing().recurring_prices_page(after.as_deref()).await.unwrap();
        let whole = page.items.iter().filter_map(|price| Some((price.price_id.to_string(), price.amount?.minor)));
        amounts.extend(whole);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut sum = 0;
    loop {
        let page = stage.billing().subscriptions_page(None, after.as_deref()).await.unwrap();
        for fact in &page.items {
            if matches!(fact.status, SubscriptionStatus::Active | SubscriptionStatus::PastDue) {
                let all = amounts[fact.price_id.as_str()] * fact.quantity;
                sum += match fact.interval {
                    Interval::Month => all,
                    Interval::Year => (all + 6).div_euclid(12),
                };
            }
        }
        after = page.next;
        if after.is_none() {
            return sum;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_of_many_orgs_adds_up() {
    let orgs = size(50, 1_000);
    // A page of a hundred subscriptions takes a while when a thousand orgs were charged at the same moment.
    let patient = Stage::open_with(Kind::Sqlite, "a_year_of_many_orgs_adds_up", |_, pacing| {
        pacing.deadline = Duration::from_secs(60);
    });
    let Some(stage) = patient.await else { return };
    let began = stage.clock().monotonic.now();
    let random = Entropy::seeded(2026);
    let mut lives = Vec::with_capacity(orgs);
    for _ in 0..orgs {
        lives.push(sign_up(&stage, &random).await);
    }
    for step in 1..=12_u64 {
        for (number, life) in lives.iter_mut().enumerate() {
            month(&stage, life, &random, &format!("{step}-{number}")).await;
        }
        // What was used is reported while its invoice is open, then the month passes.
        live_until(&stage, days(step * 31 - 1)).await;
        live_until(&stage, days(step * 31)).await;
    }
    let ledger = recount(&stage.engine).await;
    let found = compared(&stage).await;
    assert_eq!((ledger.drift, found.drift), (0, 0), "{:?}", found.orgs);
    let mut explained = 0;
    for life in &lives {
        explained += every_invoice_is_explained(&stage, &life.scope).await;
    }
    let here = plans::what_if(&stage, &stage.operator(), &plans::catalog(&stage), days(0)).await.unwrap();
    let mrr = here.money.get("usd").map_or(0, |money| money.mrr_before);
    assert_eq!(mrr, mrr_at_stripe(&stage).await, "recurring per month, here and from Stripe's own subscriptions");
    let took = stage.clock().monotonic.now().saturating_sub(began);
    println!(
        "PROOF: a year in a minute: {orgs} orgs through 12 months in {} s: drift 0, {explained} invoices add up and are explained, \
         {} units charged, MRR {mrr} both ways",
        took.as_secs(),
        found.billed,
    );
}
