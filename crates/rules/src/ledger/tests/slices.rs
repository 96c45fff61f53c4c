//! Slices under random commands of two keys, one with a slice and one without.

use super::*;
use crate::ids::KeyId;

fn key() -> KeyId {
    KeyId::parse("key_a").unwrap()
}

fn sliced(included: i64, units: i64, strict: bool) -> Book {
    let mut book = book(Some(included), OveragePolicy::HardStop, strict);
    book.slices =
        vec![Slice { key_id: key(), period_no: 1, metric: metric(0), units, used: 0, held: 0, changed: false }];
    book
}

/// What one key recorded or was charged, of the sliced metric: counted again from the events.
#[derive(Default)]
struct Counted {
    used: i64,
    forced: i64,
}

fn check_slice(book: &Book, own: &[RequestId]) {
    let slice = &book.slices[0];
    let mut counted = Counted::default();
    let of_slice = |event: &&Event| event.metric == metric(0) && event.verb != Verb::Correct;
    for event in book.appended.iter().filter(of_slice).filter(|event| own.contains(&event.request_id)) {
        counted.used += event.delta;
        counted.forced += event.forced;
    }
    let open = book.holds.values().filter(|hold| hold.state == HoldState::Open && hold.slice.is_some());
    assert_eq!(slice.used, counted.used, "the events of the slice do not add up");
    assert_eq!(slice.held, open.map(|hold| hold.units).sum::<i64>(), "the holds of the slice do not add up");
    let fitting =
        book.holds.values().filter(|hold| hold.state == HoldState::Open && hold.slice.is_some() && !hold.would_deny);
    let promised = fitting.map(|hold| hold.units).sum::<i64>();
    assert!(counted.used - counted.forced + promised <= slice.units, "the slice overshot");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_key_never_goes_beyond_its_slice_and_no_other_is_bound_by_it(
        units in 0_i64..20, strict: bool, steps in proptest::collection::vec((any::<bool>(), 0_u8..20, any_command()), 1..80),
    ) {
        let mut book = sliced(40, units, strict);
        let mut own = Vec::new();
        let (mut now, key) = (START, key());
        for (mine, seconds, command) in steps {
            now = now.plus(Duration::from_secs(seconds.into()));
            let known = command.request_id().is_none_or(|id| !book.known(id).is_empty());
            let answer = decide(&mut book, &command, mine.then_some(&key), now);
            if let Some(id) = command.request_id().filter(|_| mine && !known && super::super::oracle::word(&answer) == "ok") {
                own.push(id.clone());
            }
            if let Ok(Answer::Recorded(Outcome::Denied(denial)) | Answer::Reserved(Outcome::Denied(denial))) = &answer {
                prop_assert!(mine || denial.rule.slice().is_none(), "a slice bound another key");
                prop_assert!(strict, "shadow mode denies nothing");
            }
            check_invariants(&book);
            check_slice(&book, &own);
        }
    }

    #[test]
    fn a_check_with_a_slice_says_what_a_record_would(used in 0_i64..20, held in 0_i64..10, asked in 1_i64..30, strict: bool) {
        let mut book = sliced(40, 20, strict);
        book.slices[0].used = used;
        book.slices[0].held = held;
        let asked_for = Check { metric: metric(0), units: units(asked) };
        let checked = check(&Standing::from(&book), &asked_for, Some(&key()), START);
        let checked = matches!(checked, Ok(Outcome::Allowed(_)));
        let recorded = decide(&mut book, &record(1, vec![(0, asked)], false), Some(&key()), START);
        prop_assert_eq!(checked, matches!(recorded, Ok(Answer::Recorded(Outcome::Allowed(_)))));
    }
}

#[test]
fn a_denial_names_the_slice_only_where_the_org_has_room() {
    let mut book = sliced(10, 3, true);
    let denied = |book: &mut Book, count| match decide(book, &record(9, vec![(0, count)], false), Some(&key()), START) {
        Ok(Answer::Recorded(Outcome::Denied(denial))) => *denial,
        other => panic!("{other:?}"),
    };
    let slice = denied(&mut book, 4).rule.slice().unwrap().clone();
    assert_eq!((slice.key_id, slice.units, slice.used), (key(), 3, 0));
    assert_eq!(denied(&mut book, 13).rule, Rule::Allowance, "ten are included and two granted");
    decide(&mut book, &record(1, vec![(0, 4)], false), None, START).unwrap();
    assert_eq!(book.slices[0].used, 0, "another caller's units are not the key's");
    decide(&mut book, &record(2, vec![(0, 5)], true), Some(&key()), START).unwrap();
    assert_eq!((book.slices[0].used, book.slices[0].remaining()), (5, 0), "forced units count too");
    let other = decide(&mut book, &record(3, vec![(1, 5)], false), Some(&key()), START).unwrap();
    assert!(matches!(other, Answer::Recorded(Outcome::Allowed(_))), "a metric without a slice is not bound");
    let zero = Zero { request_id: id(4), metric: metric(0), reason: "again".to_owned() };
    decide(&mut book, &Command::Zero(zero), None, START).unwrap();
    assert_eq!(book.slices[0].remaining(), 3);
}
