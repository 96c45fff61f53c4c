//! Which of several subscriptions counts, and since when a payment is missing.

use crate::billing::{SubscriptionFact, SubscriptionStatus};
use crate::ids::{CustomerId, PriceId, SubscriptionId};
use crate::period::{Interval, Period};
use crate::subscription::{Candidate, Stage, counting, live, past_due_since, stage};
use crate::time::Timestamp;
use proptest::prelude::*;

fn day(days: u32) -> Timestamp {
    Timestamp::from_seconds(1_767_225_600).plus_days(days)
}

fn candidate(id: &'static str, status: SubscriptionStatus, created: u32) -> Candidate<'static> {
    let ended_at = (stage(status) == Stage::Ended).then(|| day(created + 30));
    Candidate { subscription_id: id, status, created: day(created), ended_at, known_price: true }
}

#[test]
fn the_newest_live_one_counts() {
    let older = candidate("sub_a", SubscriptionStatus::Active, 1);
    let newer = candidate("sub_b", SubscriptionStatus::Trialing, 2);
    assert_eq!(counting(&[newer.clone(), older.clone()]), Some("sub_b"));
    assert_eq!(live(&[newer, older]), 2);
}

#[test]
fn a_newer_one_that_is_over_or_waits_for_its_payment_does_not_take_the_access_away() {
    let live = candidate("sub_a", SubscriptionStatus::PastDue, 1);
    for status in [SubscriptionStatus::Canceled, SubscriptionStatus::Incomplete, SubscriptionStatus::Unpaid] {
        assert_eq!(counting(&[candidate("sub_b", status, 9), live.clone()]), Some("sub_a"));
    }
}

#[test]
fn one_whose_price_is_not_of_the_catalog_does_not_count() {
    let foreign = Candidate { known_price: false, ..candidate("sub_b", SubscriptionStatus::Active, 9) };
    let ended = candidate("sub_a", SubscriptionStatus::Canceled, 1);
    assert_eq!(counting(&[foreign.clone(), ended]), Some("sub_a"));
    assert_eq!(counting(&[foreign]), None);
    assert_eq!(counting(&[]), None);
}

#[test]
fn of_ended_ones_the_last_to_end_counts() {
    let long = Candidate { ended_at: Some(day(100)), ..candidate("sub_a", SubscriptionStatus::Canceled, 1) };
    let short = Candidate { ended_at: Some(day(20)), ..candidate("sub_b", SubscriptionStatus::Canceled, 9) };
    assert_eq!(counting(&[short, long]), Some("sub_a"));
}

fn fact(status: SubscriptionStatus, latest_invoice_created: Option<Timestamp>) -> SubscriptionFact {
    SubscriptionFact {
        subscription_id: SubscriptionId::parse("sub_1").unwrap(),
        customer_id: CustomerId::parse("cus_1").unwrap(),
        status,
        price_id: PriceId::parse("price_1").unwrap(),
        lookup_key: None,
        item_id: "si_1".to_owned(),
        quantity: 1,
        interval: Interval::Month,
        anchor: day(0),
        item_period: Period::new(day(31), day(59)),
        trial: None,
        cancel_at: None,
        ended_at: None,
        created: day(0),
        default_payment_method: None,
        latest_invoice: None,
        latest_invoice_created,
        pending_price: None,
    }
}

#[test]
fn a_payment_is_missing_since_the_first_invoice_that_was_not_paid() {
    let past_due = fact(SubscriptionStatus::PastDue, Some(day(40)));
    assert_eq!(past_due_since(None, &past_due), Some(day(40)));
    assert_eq!(past_due_since(Some(day(35)), &past_due), Some(day(35)));
    assert_eq!(past_due_since(Some(day(45)), &past_due), Some(day(40)), "an older fact that comes late counts");
    assert_eq!(past_due_since(None, &fact(SubscriptionStatus::PastDue, None)), Some(day(31)), "its period's renewal");
    assert_eq!(past_due_since(Some(day(35)), &fact(SubscriptionStatus::Active, Some(day(40)))), None);
}

proptest! {
    /// Webhooks come in any order; which subscription counts does not depend on it.
    #[test]
    fn the_order_in_which_they_are_known_does_not_matter(
        statuses in prop::collection::vec((prop::sample::select(SubscriptionStatus::ALL.as_slice()), 0_u32..5, any::<bool>()), 1..6),
        turn in 0_usize..6,
    ) {
        const IDS: [&str; 6] = ["sub_a", "sub_b", "sub_c", "sub_d", "sub_e", "sub_f"];
        let mut candidates: Vec<Candidate<'_>> = statuses
            .iter()
            .zip(IDS)
            .map(|((status, created, known_price), id)| Candidate { known_price: *known_price, ..candidate(id, *status, *created) })
            .collect();
        let first = counting(&candidates);
        let turn = turn % candidates.len();
        candidates.rotate_left(turn);
        prop_assert_eq!(counting(&candidates), first);
        candidates.reverse();
        prop_assert_eq!(counting(&candidates), first);
        if let Some(id) = first {
            let chosen = candidates.iter().find(|c| c.subscription_id == id).unwrap();
            prop_assert!(chosen.known_price);
            prop_assert!(candidates.iter().filter(|c| c.known_price).all(|c| stage(c.status) <= stage(chosen.status)));
        }
    }
}
