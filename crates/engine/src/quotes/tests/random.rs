//! Preview = charge, over random changes at random moments.

use super::*;
use crate::db::Kind;
use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;

/// Deterministic, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn random_wish(dice: &mut Dice) -> Wanted {
    let plan = ["starter", "growth", "pro"][usize::try_from(dice.roll(3)).unwrap()];
    let interval = [None, Some(Interval::Month), Some(Interval::Year)][usize::try_from(dice.roll(3)).unwrap()];
    let quantity = (dice.roll(3) > 0).then(|| i64::try_from(dice.roll(20)).unwrap() + 1);
    Wanted { interval, quantity, ..wanted(plan) }
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
    assert_eq!(charged, shown, "line by line");
    assert_eq!(newest.lines.iter().map(|line| line.amount.minor).sum::<i64>(), newest.total.minor);
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_is_charge_over_random_changes() {
    let wanted: usize = crate::ledger::tests::stage::size(40, 10_000);
    let Some(stage) = Stage::open(Kind::Sqlite, "preview_is_charge").await else { return };
    let (mut dice, mut charges, mut at): (Dice, usize, Timestamp) = (Dice(7), 0, START);
    let mut scope: Option<(OrgId, OrgScope)> = None;
    let mut changes = 0;
    while charges < wanted {
        if changes % 6 == 0 || scope.is_none() {
            let fresh = paying(&stage, "starter").await;
            scope = Some((fresh.org_id().clone(), fresh));
        }
        changes += 1;
        at = at.plus(Duration::from_secs(dice.roll(9 * 86_400)));
        stage.move_to(at).await;
        let (_, scope) = scope.as_ref().unwrap();
        // Time passed at Stripe: the mirror hears of it as from a webhook.
        crate::subscriptions::cancel_downgrade(&stage, scope).await.unwrap();
        charges += usize::from(one(&stage, scope, &random_wish(&mut dice)).await);
    }
    println!("PROOF: preview = charge: {charges} random changes ({changes} wishes), to the cent and line by line");
}
