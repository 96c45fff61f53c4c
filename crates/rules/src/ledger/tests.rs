//! The ledger's decisions under random commands, compared with a naive model, and held to their invariants after every step.

use super::oracle::Oracle;
use super::*;
use crate::catalog::{DenyStatus, OveragePolicy};
use crate::ids::{HoldId, Metric, RequestId};
use crate::period::{Period, PeriodKey};
use crate::quantity::Units;
use crate::subscription::Access;
use crate::time::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

mod slices;

const START: Timestamp = Timestamp::from_seconds(1_768_467_600);

fn metric(index: usize) -> Metric {
    Metric::parse(["api_call", "tokens"][index % 2]).unwrap()
}

fn id(number: u8) -> RequestId {
    RequestId::parse(&format!("id-{number}")).unwrap()
}

fn hold(number: u8) -> HoldId {
    HoldId::parse(&format!("hold_{number}")).unwrap()
}

fn units(units: i64) -> Units {
    Units::new(units).unwrap()
}

fn book(included: Option<i64>, policy: OveragePolicy, strict: bool) -> Book {
    let period = Period::new(START, START.plus_days(31));
    let open = OpenPeriod { no: 1, key: PeriodKey::label(START, 1), period };
    let head = Head {
        access: Access::Allowed,
        plan_code: None,
        plan_version: Some(1),
        trial_of: None,
        deny_status: DenyStatus::default(),
        strict,
        period: Some(open),
        spend_cap: None,
        valid_until: period.end,
        org_name: "Acme".to_owned(),
        sliced: false,
    };
    let limit = Limit { included, granted: 2, policy, version: 1 };
    let counter =
        |index| Counter { period_no: 1, metric: metric(index), limit, draws: None, used: 0, held: 0, changed: false };
    Book::new(head, vec![counter(0), counter(1)])
}

/// One step: a command and how many seconds pass before it.
#[derive(Clone, Debug)]
struct Step {
    seconds: u8,
    command: Command,
}

fn record(request_id: u8, items: Vec<(usize, i64)>, force: bool) -> Command {
    Command::Record(Record {
        request_id: id(request_id),
        items: items.into_iter().map(|(of, count)| Item { metric: metric(of), units: units(count) }).collect(),
        occurred_at: None,
        source: "api".to_owned(),
        force: force.then(|| "it happened".to_owned()),
    })
}

fn reserve(request_id: u8, of: usize, count: i64, seconds: i64) -> Command {
    Command::Reserve(Reserve {
        request_id: id(request_id),
        // One id, one hold: a repeat under a fresh hold id is answered with the first.
        hold_id: hold(request_id),
        metric: metric(of),
        units: units(count),
        ttl: HoldTtl::from_seconds(seconds).unwrap(),
        source: "api".to_owned(),
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let ids = 0_u8..24;
    prop_oneof![
        6 => (ids.clone(), proptest::collection::vec((0_usize..2, 1_i64..6), 1..3)).prop_map(|(r, items)| record(r, items, false)),
        1 => (ids.clone(), 0_usize..2, 1_i64..6).prop_map(|(r, of, count)| record(r, vec![(of, count)], true)),
        4 => (ids.clone(), 0_usize..2, 1_i64..6, 1_i64..40).prop_map(|(r, of, count, ttl)| reserve(r, of, count, ttl)),
        4 => (ids.clone(), 1_i64..8).prop_map(|(h, count)| Command::Settle(Settle { hold_id: hold(h), units: units(count) })),
        2 => ids.clone().prop_map(|h| Command::Release(Release { hold_id: hold(h) })),
        1 => (ids.clone(), 1_i64..40).prop_map(|(h, ttl)| {
            Command::Extend(Extend { hold_id: hold(h), ttl: HoldTtl::from_seconds(ttl).unwrap() })
        }),
        2 => (ids.clone(), ids, -6_i64..6).prop_map(|(r, corrects, units)| Command::Correct(Correct {
            request_id: id(r), corrects: id(corrects), metric: None, units, reason: "wrong".to_owned(),
        })),
    ]
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0_u8..20, any_command()).prop_map(|(seconds, command)| Step { seconds, command }), 1..80)
}

fn any_limit() -> impl Strategy<Value = (Option<i64>, OveragePolicy, bool)> {
    let metered = OveragePolicy::Metered { amount_minor: 300, per_units: 10 };
    prop_oneof![
        6 => (0_i64..40).prop_map(|included| (Some(included), OveragePolicy::HardStop, true)),
        1 => (0_i64..40).prop_map(|included| (Some(included), OveragePolicy::HardStop, false)),
        1 => (0_i64..40).prop_map(move |included| (Some(included), metered, true)),
        1 => Just((None, OveragePolicy::HardStop, true)),
    ]
}

fn sum(book: &Book, of: &Metric, value: fn(&Event) -> i64) -> i64 {
    book.appended.iter().filter(|event| event.metric == *of).map(value).sum()
}

/// What must hold after every step.
fn check_invariants(book: &Book) {
    for counter in &book.counters {
        let used = sum(book, &counter.metric, |event| event.delta);
        assert_eq!(counter.used, used, "the events of {} do not add up", counter.metric);
        let open = book.holds.values().filter(|hold| hold.state == HoldState::Open && hold.metric == counter.metric);
        assert_eq!(
            counter.held,
            open.map(|hold| hold.units).sum::<i64>(),
            "the holds of {} do not add up",
            counter.metric
        );
        if let (OveragePolicy::HardStop, Some(total)) = (counter.limit.policy, counter.limit.total()) {
            let forced = sum(book, &counter.metric, |event| event.forced);
            assert!(
                used - forced <= total,
                "{} overshot: {used} used, {forced} forced, {total} allowed",
                counter.metric
            );
        }
    }
}

fn run(book: &mut Book, steps: &[Step]) -> Vec<Result<Answer, Refusal>> {
    let mut now = START;
    let mut answers = Vec::new();
    for step in steps {
        now = now.plus(Duration::from_secs(step.seconds.into()));
        answers.push(decide(book, &step.command, None, now));
        check_invariants(book);
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn decisions_agree_with_a_naive_model_and_keep_every_invariant((included, policy, strict) in any_limit(), steps in any_steps()) {
        let mut book = book(included, policy, strict);
        let mut oracle = Oracle::new(included.map(|included| included + 2), policy, strict);
        let mut now = START;
        for step in &steps {
            now = now.plus(Duration::from_secs(step.seconds.into()));
            let answer = decide(&mut book, &step.command, None, now);
            let expected = oracle.answer(&step.command, now);
            prop_assert_eq!(super::oracle::word(&answer), expected, "{:?}", step.command);
            check_invariants(&book);
            for index in 0..2 {
                let (_, counter) = book.counter(1, &metric(index)).unwrap();
                prop_assert_eq!(counter.used, oracle.used(&metric(index)));
                prop_assert_eq!(counter.held, oracle.held(&metric(index), now));
            }
        }
    }

    #[test]
    fn the_same_commands_give_the_same_answers((included, policy, strict) in any_limit(), steps in any_steps()) {
        let (mut left, mut right) = (book(included, policy, strict), book(included, policy, strict));
        prop_assert_eq!(run(&mut left, &steps), run(&mut right, &steps));
        prop_assert_eq!(left.appended, right.appended);
        prop_assert_eq!(left.counters, right.counters);
    }

    #[test]
    fn an_accepted_command_repeated_at_once_gives_its_first_answer_and_adds_nothing(steps in any_steps()) {
        let mut book = book(Some(30), OveragePolicy::HardStop, true);
        let mut now = START;
        for step in &steps {
            now = now.plus(Duration::from_secs(step.seconds.into()));
            let first = decide(&mut book, &step.command, None, now);
            let (events, counters) = (book.appended.len(), book.counters.clone());
            let again = decide(&mut book, &step.command, None, now);
            prop_assert_eq!(super::oracle::content(&first), super::oracle::content(&again));
            prop_assert_eq!((events, counters), (book.appended.len(), book.counters.clone()));
        }
    }

    #[test]
    fn a_denied_or_refused_command_leaves_no_trace(steps in any_steps()) {
        let mut book = book(Some(10), OveragePolicy::HardStop, true);
        let mut now = START;
        for step in &steps {
            now = now.plus(Duration::from_secs(step.seconds.into()));
            book.expire_holds(now);
            let (events, counters, holds) = (book.appended.len(), book.counters.clone(), book.holds.clone());
            let answer = decide(&mut book, &step.command, None, now);
            if super::oracle::content(&answer).is_err() {
                prop_assert_eq!((events, counters, holds), (book.appended.len(), book.counters.clone(), book.holds.clone()));
            }
        }
    }

    #[test]
    fn a_check_says_what_a_record_would(used in 0_i64..20, held in 0_i64..20, asked in 1_i64..30, strict: bool) {
        let mut book = book(Some(20), OveragePolicy::HardStop, strict);
        book.counters[0].used = used;
        book.counters[0].held = held;
        let asked_for = Check { metric: metric(0), units: units(asked) };
        let checked = matches!(check(&Standing::from(&book), &asked_for, None, START), Ok(Outcome::Allowed(_)));
        let recorded = matches!(decide(&mut book, &record(1, vec![(0, asked)], false), None, START), Ok(Answer::Recorded(Outcome::Allowed(_))));
        prop_assert_eq!(checked, recorded);
    }

    #[test]
    fn no_sum_ever_wraps(used in 0..=TOTAL_MAX, granted in 0..i64::MAX, asked in 1..=TOTAL_MAX) {
        let mut book = book(Some(i64::MAX), OveragePolicy::HardStop, true);
        book.counters[0].limit.granted = granted;
        book.counters[0].used = used;
        let answer = decide(&mut book, &record(1, vec![(0, asked), (0, asked)], true), None, START);
        match answer {
            Ok(_) => prop_assert!(book.counters[0].used <= TOTAL_MAX && book.counters[0].used > used),
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::TotalTooLarge(metric(0)));
                prop_assert_eq!(book.counters[0].used, used);
            }
        }
    }
}

#[test]
fn a_slow_clock_writes_into_the_open_period_never_before_it() {
    let mut book = book(Some(10), OveragePolicy::HardStop, true);
    let early = START.minus(Duration::from_hours(5));
    decide(&mut book, &record(1, vec![(0, 1)], false), None, early).unwrap();
    assert_eq!(book.appended[0].recorded_at, START);
}

#[test]
fn a_hold_lives_from_a_second_to_a_day() {
    for wrong in [0, -1, 86_401, i64::MAX] {
        assert_eq!(HoldTtl::from_seconds(wrong), Err(InvalidTtl));
    }
    assert_eq!(HoldTtl::from_seconds(86_400).unwrap().duration(), Duration::from_hours(24));
}
