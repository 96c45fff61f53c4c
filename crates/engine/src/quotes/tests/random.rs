//! Preview = charge, over random changes at random moments.

use tollgate_rules::billing::InvoiceLine;

use super::*;
use crate::adjustments::{self, Coupon, Lasting, Off};
use crate::db::Kind;
use crate::subscriptions::{self, EndsAt};

/// Charges in one world: its clock goes on by years, and a sandbox remembers all it ever billed.
const CHARGES_PER_WORLD: usize = 250;
/// Wishes of one org.
const WISHES: u32 = 6;

/// Deterministic, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn random_coupon(stage: &Stage, scope: &OrgScope, dice: &mut Dice) -> String {
    let coupon = Coupon {
        name: None,
        off: Off::Percent((dice.roll(90) + 5).to_string()),
        lasting: Lasting::Once,
        redemptions_max: None,
        redeem_by: None,
        apply: false,
    };
    let made = adjustments::create_coupon(stage, scope, coupon, "to see what it costs").await.unwrap();
    made.adjustment.billing_id().to_owned()
}

async fn random_wish(stage: &Stage, scope: &OrgScope, dice: &mut Dice) -> Wanted {
    let plan = ["starter", "growth", "pro"][usize::try_from(dice.roll(3)).unwrap()];
    let interval = [None, Some(Interval::Month), Some(Interval::Year)][usize::try_from(dice.roll(3)).unwrap()];
    let quantity = (dice.roll(3) > 0).then(|| i64::try_from(dice.roll(20)).unwrap() + 1);
    let coupon = if dice.roll(4) == 0 { Some(random_coupon(stage, scope, dice).await) } else { None };
    Wanted { interval, quantity, coupon, ..wanted(plan) }
}

/// One change, shown and made; whether anything was charged.
async fn one(stage: &Stage, scope: &OrgScope, wish: &Wanted) -> bool {
    let quote = match preview(stage, scope, wish).await {
        Ok(quote) if quote.immediate => quote,
        Ok(quote) => {
            assert_eq!((quote.amount.minor, quote.proration, quote.items.len()), (0, 0, 0));
            return false;
        }
        Err(Error::AlreadyOnPlan) => return false,
        Err(error) => panic!("{wish:?}: {error}"),
    };
    let total: i64 = quote.items.iter().map(|item| item.amount).sum();
    let quote = match upgrade(stage, scope, &confirm(&quote)).await {
        Err(Error::QuoteStale(new)) => {
            upgrade(stage, scope, &confirm(&new)).await.unwrap();
            *new
        }
        done => {
            done.unwrap();
            assert!(quote.amount.minor >= total.min(0) || total < 0, "{quote:?}");
            quote
        }
    };
    let customer = ensure_customer(stage, scope, "billing@example.com").await.unwrap().customer_id;
    let newest = stage.billing().invoices_page(&customer, None).await.unwrap().items.remove(0);
    assert_eq!(newest.amount_paid, quote.amount.minor, "{wish:?}: {newest:?} {quote:?}");
    let charged: Vec<(i64, bool)> = newest.lines.iter().map(|line| (line.amount.minor, line.proration)).collect();
    let shown: Vec<(i64, bool)> = quote.items.iter().map(|item| (item.amount, item.proration)).collect();
    assert_eq!(charged, shown[..charged.len()], "line by line; discounts follow");
    assert_eq!(quote.items.iter().map(|item| item.amount).sum::<i64>(), newest.total.minor, "{wish:?}: {quote:?}");
    assert_eq!(newest.lines.iter().map(InvoiceLine::total).sum::<i64>(), newest.total.minor);
    true
}

/// Lives through changes of one org after the other until so many were charged; how many were wished for.
async fn world(stage: &Stage, dice: &mut Dice, wanted: usize) -> u32 {
    let (mut charges, mut wishes, mut at) = (0, 0, START);
    let mut org: Option<OrgScope> = None;
    while charges < wanted {
        if wishes % WISHES == 0
            && let Some(before) = org.take()
        {
            subscriptions::cancel(stage, &before, EndsAt::Now).await.unwrap();
        }
        let scope = match org.take() {
            Some(scope) => scope,
            None => paying(stage, "starter").await,
        };
        wishes += 1;
        at = at.plus(Duration::from_secs(dice.roll(9 * 86_400)));
        stage.move_to(at).await;
        // Time passed at Stripe: the mirror hears of it as from a webhook.
        subscriptions::cancel_downgrade(stage, &scope).await.unwrap();
        let wish = random_wish(stage, &scope, dice).await;
        charges += usize::from(one(stage, &scope, &wish).await);
        org = Some(scope);
    }
    wishes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_is_charge_over_random_changes() {
    let wanted: usize = crate::ledger::tests::stage::size(40, 10_000);
    let (mut dice, mut charges, mut wishes) = (Dice(7), 0, 0);
    while charges < wanted {
        let Some(stage) = Stage::open(Kind::Sqlite, "preview_is_charge").await else { return };
        let part = CHARGES_PER_WORLD.min(wanted - charges);
        wishes += world(&stage, &mut dice, part).await;
        charges += part;
    }
    println!("PROOF: preview = charge: {charges} random changes ({wishes} wishes), to the cent and line by line");
}
