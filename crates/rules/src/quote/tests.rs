//! Kinds of change, the arithmetic of prorations, and what guards against arbitrage.

use super::*;
use crate::catalog::Catalog;
use proptest::prelude::*;
use serde_json::Value;

fn plan(code: &str) -> Plan {
    Catalog::parse(Catalog::default_text()).unwrap().plan(code).unwrap().clone()
}

fn change(from: (&str, Interval, i64), to: (&str, Interval, i64)) -> Change {
    let (old, new) = (plan(from.0), plan(to.0));
    let before = Terms { plan_code: &old.code, rank: old.rank, interval: from.1, quantity: from.2 };
    let after = Terms { plan_code: &new.code, rank: new.rank, interval: to.1, quantity: to.2 };
    Change::between(&before, &after)
}

#[test]
fn the_plan_decides_first_then_the_interval_then_the_seats() {
    use Interval::{Month, Year};
    assert_eq!(change(("starter", Month, 1), ("growth", Month, 1)), Change::Upgrade);
    assert_eq!(change(("starter", Year, 9), ("growth", Month, 1)), Change::Upgrade);
    assert_eq!(change(("pro", Month, 1), ("growth", Year, 5)), Change::Downgrade);
    assert_eq!(change(("pro", Month, 4), ("pro", Year, 1)), Change::LongerInterval);
    assert_eq!(change(("pro", Year, 1), ("pro", Month, 4)), Change::ShorterInterval);
    assert_eq!(change(("pro", Month, 1), ("pro", Month, 2)), Change::MoreSeats);
    assert_eq!(change(("pro", Month, 2), ("pro", Month, 1)), Change::FewerSeats);
    assert_eq!(change(("pro", Month, 2), ("pro", Month, 2)), Change::Same);
    assert_eq!(
        (Change::Upgrade.when(), Change::FewerSeats.when(), Change::Same.when()),
        (Some(When::Now), Some(When::PeriodEnd), None)
    );
}

#[test]
fn every_official_vector_of_a_proration_comes_out_to_the_cent() {
    let folder = std::env::var("TOLLGATE_CONTRACTS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/contracts").to_owned());
    let Ok(text) = std::fs::read_to_string(format!("{folder}/stripe/proration_vectors.json")) else {
        println!("skipped: no contract data beside the repository");
        return;
    };
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let mut checked = 0;
    for vector in vectors["proration"].as_array().unwrap() {
        let amount = |side: &str| {
            vector[side]["unit_amount"]
                .as_i64()
                .zip(vector[side]["quantity"].as_i64())
                .map(|(unit, count)| unit * count)
        };
        let (left, whole) = match (vector["fraction"].as_str(), vector["period_end"].as_i64()) {
            (Some(fraction), _) => {
                fraction.split_once('/').map(|(left, whole)| (left.parse().unwrap(), whole.parse().unwrap())).unwrap()
            }
            (None, Some(end)) => {
                (end - vector["proration_date"].as_i64().unwrap(), end - vector["period_start"].as_i64().unwrap())
            }
            (None, None) => continue,
        };
        for (side, sign, member) in [("old", -1, "credit"), ("new", 1, "debit")] {
            if let (Some(full), Some(expected)) = (amount(side), vector[member].as_i64()) {
                assert_eq!(sign * share(full, left, whole), expected, "{} {member}", vector["id"]);
                checked += 1;
            }
        }
    }
    // The two told as stories: 2000 credited at one third, and 1000 billed credited at one third.
    assert_eq!((share(2_000, 1, 3), share(1_000, 1, 3)), (667, 333));
    assert!(checked >= 5, "only {checked} amounts were checked");
}

fn month() -> Period {
    Period::new(Timestamp::from_seconds(1_769_850_000), Timestamp::from_seconds(1_769_850_000 + 2_592_000))
}

fn burned(used: i64, included: Option<i64>) -> Vec<Burned> {
    vec![Burned { metric: Metric::parse("api_call").unwrap(), used, included, owed: 0, owed_then: 0 }]
}

#[test]
fn what_is_used_up_is_not_given_back_unless_the_plan_says_so() {
    let half = Timestamp::from_seconds(1_769_850_000 + 1_296_000);
    let mut starter = plan("starter");
    assert!(gives_back(&starter, &burned(5_000, Some(10_000)), half, month()));
    assert!(!gives_back(&starter, &burned(5_001, Some(10_000)), half, month()));
    assert!(gives_back(&starter, &burned(9_999, None), half, month()));
    starter.anti_arbitrage = false;
    assert!(gives_back(&starter, &burned(10_000, Some(10_000)), half, month()));
}

#[test]
fn a_change_to_a_plan_that_includes_less_than_was_used_is_told() {
    let used = burned(4_200, Some(10_000));
    assert_eq!(
        effects(&plan("trial"), &used)[0].warning().as_deref(),
        Some("You already used 4,200 of 1,000 api_call.")
    );
    assert_eq!(effects(&plan("growth"), &used)[0].warning(), None);
    assert_eq!(effects(&plan("growth"), &used)[0].debt(), None);
    let owing = Burned { owed_then: 9_100, ..used[0].clone() };
    let effect = effects(&plan("starter"), &[owing]).remove(0);
    assert_eq!((effect.included_after, effect.owed_after), (Some(900), 9_100));
    assert_eq!(
        effect.debt().as_deref(),
        Some("You used 9,100 api_call more than was paid for: they are taken off the periods that follow.")
    );
    assert_eq!([grouped(0), grouped(999), grouped(1_000), grouped(-1_234_567)], ["0", "999", "1,000", "-1,234,567"]);
}

proptest! {
    #[test]
    fn a_proration_lies_between_nothing_and_the_whole(old in 0_i64..10_000_000, new in 0_i64..10_000_000, at in 0_i64..=2_592_000) {
        let at = Timestamp::from_seconds(1_769_850_000 + at);
        let proration = Proration::at(at, month(), old, new);
        prop_assert!((-old..=0).contains(&proration.credit) && (0..=new).contains(&proration.debit));
        prop_assert_eq!(Proration::at(at, month(), old, old).net(), 0);
        prop_assert_eq!(Proration::at(month().end, month(), old, new).net(), 0);
        prop_assert_eq!(Proration::at(month().start, month(), old, new).net(), new - old);
    }
}
