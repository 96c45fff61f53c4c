//! Quota periods: contiguous, disjoint, clamped from the original anchor, labelled.

use crate::period::{Period, PeriodKey, month_step, quota_period};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn starts(anchor: &str, steps: std::ops::RangeInclusive<i32>) -> Vec<String> {
    steps.map(|n| month_step(at(anchor), n).to_string()).collect()
}

const DAY: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_micros(1);

#[test]
fn the_31st_of_january_gives_the_last_of_february_and_then_the_31st_of_march() {
    assert_eq!(
        starts("2026-01-31T09:00:00Z", 0..=5),
        [
            "2026-01-31T09:00:00Z",
            "2026-02-28T09:00:00Z",
            "2026-03-31T09:00:00Z",
            "2026-04-30T09:00:00Z",
            "2026-05-31T09:00:00Z",
            "2026-06-30T09:00:00Z"
        ]
    );
}

#[test]
fn a_leap_year_gives_the_29th() {
    assert_eq!(starts("2027-12-31T00:00:00Z", 2..=2), ["2028-02-29T00:00:00Z"]);
    assert_eq!(starts("2028-02-29T00:00:00Z", 12..=12), ["2029-02-28T00:00:00Z"]);
    assert_eq!(starts("2028-02-29T00:00:00Z", 48..=48), ["2032-02-29T00:00:00Z"]);
    assert_eq!(starts("2099-12-30T12:00:00Z", 2..=2), ["2100-02-28T12:00:00Z"]);
}

#[test]
fn steps_before_the_anchor_are_clamped_in_the_same_way() {
    assert_eq!(starts("2026-03-31T00:00:00Z", -1..=-1), ["2026-02-28T00:00:00Z"]);
    assert_eq!(
        quota_period(at("2026-03-31T00:00:00Z"), at("2026-03-30T23:59:59.999999Z")),
        Period::new(at("2026-02-28T00:00:00Z"), at("2026-03-31T00:00:00Z"))
    );
}

#[test]
fn steps_beyond_the_calendar_stop_at_the_ends_of_time() {
    assert_eq!(month_step(at("2026-01-31T00:00:00Z"), i32::MAX), Timestamp::MAX);
    assert_eq!(month_step(at("2026-01-31T00:00:00Z"), i32::MIN), Timestamp::MIN);
    assert_eq!(month_step(at("9999-12-15T00:00:00Z"), 1), Timestamp::MAX);
}

#[test]
fn periods_are_contiguous_and_disjoint_for_every_anchor_from_2000_to_2100() {
    let times = [Duration::ZERO, Duration::from_micros(34_200_500_000), DAY - TICK];
    let (mut day, end) = (at("2000-01-01T00:00:00Z"), at("2101-01-01T00:00:00Z"));
    let mut anchors = 0;
    while day < end {
        for time in times {
            every_period_follows_the_one_before(day.plus(time));
            anchors += 1;
        }
        day = day.plus(DAY);
    }
    assert_eq!(anchors, 36_890 * 3);
}

/// Fourteen months around an anchor: each period ends where the next begins, and holds its first and its last moment.
fn every_period_follows_the_one_before(anchor: Timestamp) {
    assert_eq!(month_step(anchor, 0), anchor);
    let mut start = month_step(anchor, -1);
    for n in 0..=13 {
        let end = month_step(anchor, n);
        let period = Period::new(start, end);
        let days = end.since(start);
        assert!(days >= DAY * 28 && days <= DAY * 31, "{anchor}: {period:?}");
        assert_eq!(quota_period(anchor, start), period, "{anchor}: the first moment");
        assert_eq!(quota_period(anchor, end.minus(TICK)), period, "{anchor}: the last moment");
        start = end;
    }
}

#[test]
fn the_second_period_that_starts_in_a_month_is_labelled_so() {
    let start = at("2026-01-31T23:59:59Z");
    assert_eq!(PeriodKey::label(start, 1).to_string(), "2026-01");
    assert_eq!(PeriodKey::label(start, 2).to_string(), "2026-01.2");
    assert_eq!(PeriodKey::label(start, 11).to_string(), "2026-01.11");
    assert!(PeriodKey::label(start, 2) > PeriodKey::label(start, 1));
    assert!(PeriodKey::label(start, 2).same_month(&PeriodKey::parse("2026-01").unwrap()));
}

#[test]
fn a_label_has_one_spelling() {
    for wrong in [
        "",
        "2026",
        "2026-1",
        "2026-00",
        "2026-13",
        "2026-01.",
        "2026-01.1",
        "2026-01.0",
        "2026-01.02",
        "2026-01.+2",
        "2026-01.99999",
        "2026-01.2.3",
        "26-01",
        "+026-01",
        "2026-01-01",
        "２０２６-01",
        " 2026-01",
    ] {
        assert!(PeriodKey::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn any_moment_lies_in_exactly_one_period(anchor in 946_684_800_000_000_i64..4_133_980_800_000_000, moment in 946_684_800_000_000_i64..4_133_980_800_000_000) {
        let (anchor, moment) = (Timestamp::from_micros(anchor), Timestamp::from_micros(moment));
        let period = quota_period(anchor, moment);
        prop_assert!(period.contains(moment));
        prop_assert_eq!(quota_period(anchor, period.end).start, period.end);
        prop_assert_eq!(quota_period(anchor, period.start.minus(TICK)).end, period.start);
    }

    #[test]
    fn a_later_step_is_a_later_moment(anchor in 946_684_800_000_000_i64..4_133_980_800_000_000, n in -1_200_i32..1_200) {
        let anchor = Timestamp::from_micros(anchor);
        prop_assert!(month_step(anchor, n) < month_step(anchor, n + 1));
    }

    #[test]
    fn every_label_reads_back_as_itself(moment in 946_684_800_000_000_i64..4_133_980_800_000_000, nth in 1_u16..) {
        let key = PeriodKey::label(Timestamp::from_micros(moment), nth);
        prop_assert_eq!(PeriodKey::parse(&key.to_string()), Ok(key));
        prop_assert_eq!(key.nth(), nth);
        prop_assert_eq!(key.is_plain_month(), nth == 1);
    }

    #[test]
    fn a_moment_reads_back_as_itself(micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()) {
        let moment = Timestamp::from_micros(micros);
        let text = moment.to_string();
        // Years before 0 and after 9999 have no spelling in RFC 3339.
        if micros >= -62_167_219_200_000_000 {
            prop_assert_eq!(Timestamp::parse_rfc3339(&text), Ok(moment), "{}", text);
        }
    }

    #[test]
    fn no_text_brings_a_reader_down(text in ".{0,64}") {
        let _ = (Timestamp::parse_rfc3339(&text), PeriodKey::parse(&text));
        let _ = crate::catalog::Catalog::parse(&text);
    }
}
