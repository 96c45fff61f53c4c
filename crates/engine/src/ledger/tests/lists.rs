//! Events, series, holds, receipts: what was counted can be found and explained.

use tollgate_rules::ledger::Settle;
use tollgate_rules::period::PeriodKey;

use super::stage::{at, calls, id, metric, org, org_with, record, recorded, reserved, rights, units, usage};
use crate::ledger::{self, By, Error, EventFilter, History, Outcome};
use crate::on_both;
use crate::paging::Paging;
use crate::testing::{START, TestEngine};

on_both! {
    async fn events_are_listed_newest_first_each_exactly_once(engine: TestEngine) {
        let scope = org_with(&engine, 100).await;
        for n in 0..25 {
            recorded(&engine, &scope, &format!("id-{n}"), 1).await;
        }
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let paging = Paging::new(Some(10), cursor.as_deref()).unwrap();
            let page = ledger::events(&engine, &scope, &EventFilter::default(), &paging).await.unwrap();
            seen.extend(page.items.iter().map(|line| line.event.request_id.as_str().to_owned()));
            // What comes in meanwhile is newer than every page that follows.
            recorded(&engine, &scope, &format!("later-{}", seen.len()), 1).await;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<String> = (0..25).rev().map(|n| format!("id-{n}")).collect();
        assert_eq!(seen, expected);
    }

    async fn one_event_is_found_by_its_request_id_with_its_first_answer(engine: TestEngine) {
        let scope = org_with(&engine, 100).await;
        recorded(&engine, &scope, "a", 3).await;
        recorded(&engine, &scope, "b", 4).await;
        let asked = EventFilter { request_id: Some(id("a")), ..EventFilter::default() };
        let found = ledger::events(&engine, &scope, &asked, &Paging::default()).await.unwrap();
        assert_eq!(found.items.len(), 1);
        assert_eq!((found.items[0].event.delta, found.items[0].event.answer.used), (3, 3));
        assert!(found.items[0].actor.starts_with("operator:"));
        let none = EventFilter { metric: Some(metric("tokens")), ..asked };
        assert!(ledger::events(&engine, &scope, &none, &Paging::default()).await.unwrap().items.is_empty());
        let never = EventFilter { period_key: Some(PeriodKey::parse("2020-01").unwrap()), ..EventFilter::default() };
        assert!(ledger::events(&engine, &scope, &never, &Paging::default()).await.unwrap().items.is_empty());
    }

    async fn a_series_adds_up_to_what_was_counted(engine: TestEngine) {
        let scope = org_with(&engine, 1_000).await;
        for hour in 0..30_u32 {
            engine.set_now(START.plus(std::time::Duration::from_hours(u64::from(hour))));
            recorded(&engine, &scope, &format!("h-{hour}"), i64::from(hour) + 1).await;
        }
        let asked = |by| History { from: START, to: at(3), metric: Some(calls()), by };
        let hours = ledger::history(&engine, &scope, &asked(By::Hour)).await.unwrap();
        let days = ledger::history(&engine, &scope, &asked(By::Day)).await.unwrap();
        let keys = ledger::history(&engine, &scope, &asked(By::Key)).await.unwrap();
        assert_eq!((hours.len(), days.len(), keys.len()), (30, 2, 1));
        for series in [&hours, &days, &keys] {
            assert_eq!(series.iter().map(|point| point.units).sum::<i64>(), 465);
            assert_eq!(series.iter().map(|point| point.events).sum::<i64>(), 30);
        }
        assert_eq!(days[0].at.to_string(), "2026-01-15T00:00:00Z");
        assert!(keys[0].actor.as_deref().is_some_and(|actor| actor.starts_with("operator:")));
    }

    async fn only_open_holds_are_listed(engine: TestEngine) {
        let scope = org_with(&engine, 100).await;
        let first = reserved(&engine, &scope, "a", 3).await;
        let second = reserved(&engine, &scope, "b", 4).await;
        ledger::settle(&engine, &scope, Settle { hold_id: first.hold_id, units: units(3) }).await.unwrap();
        let open = ledger::holds(&engine, &scope, None, &Paging::default()).await.unwrap();
        assert_eq!(open.items.iter().map(|line| &line.hold_id).collect::<Vec<_>>(), [&second.hold_id]);
        engine.set_now(at(1));
        assert!(ledger::holds(&engine, &scope, None, &Paging::default()).await.unwrap().items.is_empty());
    }

    async fn a_receipt_explains_its_decision_and_cannot_be_altered(engine: TestEngine) {
        let scope = org_with(&engine, 5).await;
        let passed = ledger::record(&engine, &scope, usage("a", 5)).await.unwrap();
        let explained = ledger::explain(&engine, &scope, &passed.receipt).unwrap();
        assert!(explained.allowed && explained.verb == "record" && explained.units == 5);
        assert_eq!(explained.numbers.unwrap().used, 5);
        let denied = ledger::record(&engine, &scope, usage("b", 2)).await.unwrap();
        assert!(matches!(denied.answer, Outcome::Denied(_)));
        let explained = ledger::explain(&engine, &scope, &denied.receipt).unwrap();
        assert_eq!(explained.reason.as_deref(), Some("quota_exceeded"));
        assert!(explained.rule.starts_with("Denied: 2 api_call asked for, 0 left."), "{}", explained.rule);
        for cut in 0..denied.receipt.len() {
            let mut altered = denied.receipt.clone().into_bytes();
            altered[cut] = if altered[cut] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            // The last character of base64 carries bits that decode to nothing.
            if cut + 1 < denied.receipt.len() {
                assert_eq!(ledger::explain(&engine, &scope, &altered).unwrap_err(), Error::BadReceipt, "{cut}");
            }
        }
        let other = org(&engine, "other", rights(tollgate_rules::catalog::Included::Units(1))).await;
        assert!(matches!(record(&engine, &other, "x", 1).await.unwrap(), Outcome::Allowed(_)));
    }
}
