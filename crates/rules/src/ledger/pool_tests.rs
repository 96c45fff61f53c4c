//! Credit pools and spend caps under random commands: the pool is never overshot, and gives exactly what was taken of it.

use super::*;
use crate::catalog::{DenyStatus, Draws, OveragePolicy};
use crate::ids::{HoldId, Metric, RequestId};
use crate::period::{Period, PeriodKey};
use crate::quantity::Units;
use crate::subscription::Access;
use crate::time::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

const START: Timestamp = Timestamp::from_seconds(1_768_467_600);
const METRICS: [&str; 3] = ["credit", "image", "token"];
const RATES: [i64; 3] = [0, 5, 2];

fn metric(index: usize) -> Metric {
    Metric::parse(METRICS[index]).unwrap()
}

fn id(number: u8) -> RequestId {
    RequestId::parse(&format!("id-{number}")).unwrap()
}

fn hold(number: u8) -> HoldId {
    HoldId::parse(&format!("hold_{number}")).unwrap()
}

fn head(spend_cap: Option<SpendCap>) -> Head {
    let period = Period::new(START, START.plus_days(31));
    Head {
        access: Access::Allowed,
        plan_code: None,
        plan_version: Some(1),
        trial_of: None,
        deny_status: DenyStatus::default(),
        strict: true,
        period: Some(OpenPeriod { no: 1, key: PeriodKey::label(START, 1), period }),
        spend_cap,
        valid_until: period.end,
        org_name: "Acme".to_owned(),
        sliced: false,
    }
}

fn counter(index: usize, included: Option<i64>, policy: OveragePolicy) -> Counter {
    Counter {
        period_no: 1,
        metric: metric(index),
        limit: Limit { included, granted: 0, policy, version: 1 },
        draws: (RATES[index] > 0).then(|| Draws { pool: metric(0), rate: RATES[index] }),
        used: 0,
        held: 0,
        changed: false,
    }
}

/// A pool of credits that images and tokens draw on; tokens have a limit of their own as well.
fn pooled(included: i64) -> Book {
    let hard = OveragePolicy::HardStop;
    Book::new(head(None), vec![counter(0, Some(included), hard), counter(1, None, hard), counter(2, Some(40), hard)])
}

/// The same with credits that are charged beyond what is included, and a cap on what that may cost.
fn capped(included: i64, cap: i64) -> Book {
    let metered = OveragePolicy::Metered { amount_minor: 30, per_units: 10 };
    let hard = OveragePolicy::HardStop;
    let head = head(Some(SpendCap { minor: cap }));
    Book::new(head, vec![counter(0, Some(included), metered), counter(1, None, hard), counter(2, None, hard)])
}

fn record(request_id: u8, items: &[(usize, i64)], force: bool) -> Command {
    let item = |(of, units): &(usize, i64)| Item { metric: metric(*of), units: Units::new(*units).unwrap() };
    Command::Record(Record {
        request_id: id(request_id),
        items: items.iter().map(item).collect(),
        occurred_at: None,
        source: "api".to_owned(),
        force: force.then(|| "it happened".to_owned()),
    })
}

fn reserve(request_id: u8, of: usize, units: i64, seconds: i64) -> Command {
    Command::Reserve(Reserve {
        request_id: id(request_id),
        hold_id: hold(request_id),
        metric: metric(of),
        units: Units::new(units).unwrap(),
        ttl: HoldTtl::from_seconds(seconds).unwrap(),
        source: "api".to_owned(),
    })
}

fn settle(of: u8, units: i64) -> Command {
    Command::Settle(Settle { hold_id: hold(of), units: Units::new(units).unwrap() })
}

fn correct(request_id: u8, corrects: u8, units: i64) -> Command {
    let (request_id, corrects) = (id(request_id), id(corrects));
    Command::Correct(Correct { request_id, corrects, metric: None, units, reason: "wrong".to_owned() })
}

/// What never goes past a limit: no force, no correction, no settle above its hold.
fn orderly() -> impl Strategy<Value = (u8, Command)> {
    let ids = 0_u8..20;
    let command = prop_oneof![
        6 => (ids.clone(), prop::collection::vec((0_usize..3, 1_i64..6), 1..4))
            .prop_map(|(name, items)| record(name, &items, false)),
        4 => (ids.clone(), 0_usize..3, 1_i64..6, 1_i64..40).prop_map(|(name, of, units, ttl)| reserve(name, of, units, ttl)),
        2 => ids.clone().prop_map(|name| settle(name, 1)),
        2 => ids.clone().prop_map(|name| Command::Release(Release { hold_id: hold(name) })),
        1 => (ids, 1_i64..40).prop_map(|(name, seconds)| {
            Command::Extend(Extend { hold_id: hold(name), ttl: HoldTtl::from_seconds(seconds).unwrap() })
        }),
    ];
    (0_u8..20, command)
}

fn anything() -> impl Strategy<Value = (u8, Command)> {
    let ids = 0_u8..20;
    let wild = prop_oneof![
        2 => (ids.clone(), 0_usize..3, 1_i64..9).prop_map(|(name, of, units)| record(name, &[(of, units)], true)),
        2 => (ids.clone(), 1_i64..9).prop_map(|(name, units)| settle(name, units)),
        2 => (ids.clone(), ids, -6_i64..6).prop_map(|(name, corrects, units)| correct(name, corrects, units)),
    ];
    prop_oneof![3 => orderly(), 1 => (0_u8..20, wild)]
}

fn sum(book: &Book, of: &Metric, value: fn(&Event) -> i64) -> i64 {
    book.appended.iter().filter(|event| event.metric == *of).map(value).sum()
}

/// Units of credits that were used directly, not drawn by another metric.
fn direct(book: &Book) -> i64 {
    let own = book.appended.iter().filter(|event| event.metric == metric(0) && !event.is_draw());
    own.map(|event| event.delta).sum()
}

fn check_the_pool(book: &Book) {
    let of = |index: usize| &book.counters[index];
    for counter in &book.counters {
        assert_eq!(counter.used, sum(book, &counter.metric, |event| event.delta), "the events of {}", counter.metric);
        let open = book.holds.values().filter(|hold| hold.state == HoldState::Open && hold.metric == counter.metric);
        assert_eq!(counter.held, open.map(|hold| hold.units).sum::<i64>(), "the holds of {}", counter.metric);
        if let (OveragePolicy::HardStop, Some(total)) = (counter.limit.policy, counter.limit.total()) {
            let forced = sum(book, &counter.metric, |event| event.forced);
            assert!(counter.used - forced <= total, "{} overshot: {} of {total}", counter.metric, counter.used);
        }
    }
    let drawn = of(1).used * RATES[1] + of(2).used * RATES[2];
    assert_eq!(of(0).used, drawn + direct(book), "the pool gave what was taken of it");
    let own = |hold: &&Hold| hold.metric == metric(0) && !is_companion(&hold.hold_id) && hold.state == HoldState::Open;
    let held: i64 = book.holds.values().filter(own).map(|hold| hold.units).sum();
    assert_eq!(of(0).held, of(1).held * RATES[1] + of(2).held * RATES[2] + held, "the pool holds what is held of it");
}

/// An answer whose mark of a repeat is taken off; the word of a refusal.
fn content(answer: &Result<Answer, Refusal>) -> Result<Answer, &'static str> {
    super::oracle::content(answer)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_pool_is_never_overshot_and_gives_exactly_what_is_taken_of_it(
        included in 0_i64..120, steps in prop::collection::vec(anything(), 1..70),
    ) {
        let mut book = pooled(included);
        let mut now = START;
        for (seconds, command) in &steps {
            now = now.plus(Duration::from_secs((*seconds).into()));
            book.expire_holds(now);
            let before = (book.appended.len(), book.counters.clone(), book.holds.clone());
            let answer = decide(&mut book, command, None, now);
            check_the_pool(&book);
            if content(&answer).is_err() {
                prop_assert_eq!(before, (book.appended.len(), book.counters.clone(), book.holds.clone()));
            } else {
                prop_assert_eq!(content(&answer), content(&decide(&mut book, command, None, now)), "{:?} again", command);
                check_the_pool(&book);
            }
        }
    }

    #[test]
    fn overage_never_costs_more_than_the_cap(
        (included, cap) in (0_i64..60, 0_i64..400), steps in prop::collection::vec(orderly(), 1..70),
    ) {
        let mut book = capped(included, cap);
        let mut now = START;
        for (seconds, command) in &steps {
            now = now.plus(Duration::from_secs((*seconds).into()));
            book.expire_holds(now);
            // A settle after its hold ran out is charged whatever it costs: the work was done.
            let late = |settle: &Settle| book.holds.get(&settle.hold_id).is_some_and(|hold| hold.state != HoldState::Open);
            if matches!(command, Command::Settle(settle) if late(settle)) {
                continue;
            }
            let answer = decide(&mut book, command, None, now);
            prop_assert!(spent(&book.counters, 1) <= cap, "{:?}: {:?}", command, answer);
            check_the_pool(&book);
        }
    }

    #[test]
    fn a_check_of_a_pool_says_what_a_record_would(
        included in 0_i64..60, used in 0_i64..20, cap in 0_i64..200, of in 0_usize..3, asked in 1_i64..12, metered: bool,
    ) {
        let mut book = if metered { capped(included, cap) } else { pooled(included) };
        book.counters[0].used = used;
        let asked_for = Check { metric: metric(of), units: Units::new(asked).unwrap() };
        let checked = check(&Standing::from(&book), &asked_for, None, START);
        let recorded = decide(&mut book, &record(1, &[(of, asked)], false), None, START);
        match (checked, recorded) {
            (Ok(Outcome::Allowed(_)), Ok(Answer::Recorded(Outcome::Allowed(_)))) => {}
            (Ok(Outcome::Denied(left)), Ok(Answer::Recorded(Outcome::Denied(right)))) => prop_assert_eq!(left, right),
            (left, right) => prop_assert!(false, "{:?} but {:?}", left, right),
        }
    }
}

fn denied(answer: Result<Answer, Refusal>) -> Box<Denial> {
    match answer {
        Ok(Answer::Recorded(Outcome::Denied(denial)) | Answer::Reserved(Outcome::Denied(denial))) => denial,
        other => panic!("{other:?} is no denial"),
    }
}

#[test]
fn a_denial_names_the_pool_and_who_drew_on_it() {
    let mut book = pooled(12);
    decide(&mut book, &record(1, &[(1, 2)], false), None, START).unwrap();
    let denial = denied(decide(&mut book, &record(2, &[(1, 1)], false), None, START));
    assert_eq!((denial.metric.as_str(), denial.requested), ("credit", 5));
    assert_eq!(denial.rule, Rule::Pool { drawn_by: metric(1) });
    assert_eq!(denial.numbers.unwrap().remaining, Some(2));
    let Ok(Answer::Recorded(Outcome::Allowed(one))) = decide(&mut book, &record(3, &[(2, 1)], false), None, START)
    else {
        panic!("one token fits")
    };
    assert_eq!(one.items[0].numbers.remaining, Some(0), "the pool pays for no further token");
}

#[test]
fn what_would_cost_more_than_the_cap_is_refused_and_the_included_units_are_not() {
    let mut book = capped(10, 30);
    decide(&mut book, &record(1, &[(0, 20)], false), None, START).unwrap();
    let denial = denied(decide(&mut book, &record(2, &[(0, 1)], false), None, START));
    assert_eq!(denial.rule, Rule::SpendCap { cap_minor: 30, spent_minor: 30 });
    let mut fresh = capped(10, 0);
    decide(&mut fresh, &record(1, &[(0, 10)], false), None, START).unwrap();
    let denial = denied(decide(&mut fresh, &reserve(2, 0, 1, 30), None, START));
    assert_eq!(denial.rule, Rule::SpendCap { cap_minor: 0, spent_minor: 0 });
}

#[test]
fn a_hold_settles_at_the_rate_it_was_taken_at() {
    let mut book = pooled(100);
    decide(&mut book, &reserve(1, 1, 4, 60), None, START).unwrap();
    book.counters[1].draws = Some(Draws { pool: metric(0), rate: 9 });
    decide(&mut book, &settle(1, 3), None, START).unwrap();
    assert_eq!((book.counters[0].used, book.counters[0].held), (15, 0));
    let named = decide(&mut book, &Command::Release(Release { hold_id: companion(&hold(1)) }), None, START);
    assert_eq!(named, Err(Refusal::HoldNotFound), "a companion is not a hold of its own");
}
