//! Corrections, resets, and the recount that finds planted drift.

use tollgate_rules::ledger::{Correct, Refusal};
use tollgate_rules::period::PeriodKey;

use super::stage::{at, id, operator, org_ref, org_with, record, recorded, recount, reserved, usage, used};
use crate::db::Lane;
use crate::ledger::{self, Counters, Error, Outcome, Reset};
use crate::on_both;
use crate::testing::TestEngine;

on_both! {
    async fn a_correction_is_a_line_of_its_own_in_the_period_of_what_it_corrects(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 8).await;
        engine.set_now(at(31));
        recorded(&engine, &scope, "b", 1).await;
        let corrected = ledger::correct(&engine, &scope, correction("fix", "a", -3)).await.unwrap().answer;
        assert_eq!((corrected.numbers.period_key.to_string().as_str(), corrected.numbers.used), ("2026-01", 5));
        let again = ledger::correct(&engine, &scope, correction("fix", "a", -3)).await.unwrap().answer;
        assert_eq!((again.repeat, again.numbers), (true, corrected.numbers));
        assert_eq!(used(&engine, &scope).await, 1);
        assert_eq!(recount(&engine).await.events, 3);
    }

    async fn a_correction_never_brings_used_below_zero(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 2).await;
        refused(ledger::correct(&engine, &scope, correction("x", "a", -3)).await, Refusal::BelowZero);
        refused(ledger::correct(&engine, &scope, correction("x", "never", -1)).await, Refusal::CorrectsUnknown(id("never")));
        refused(ledger::correct(&engine, &scope, correction("x", "a", 0)).await, Refusal::CorrectionUnits);
        refused(ledger::correct(&engine, &scope, correction("a", "a", -1)).await, Refusal::Reused(id("a")));
        assert_eq!(used(&engine, &scope).await, 2);
    }

    async fn a_reset_opens_the_period_once_and_zero_brings_used_to_zero(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        recorded(&engine, &scope, "a", 10).await;
        engine.set_now(at(31));
        let reset = |counters| Reset {
            period_key: PeriodKey::parse("2026-02").unwrap(),
            org_ids: None,
            counters,
            reason: "the month turned".to_owned(),
        };
        let done = ledger::reset(&engine, &operator(), &reset(Counters::Keep)).await.unwrap();
        assert_eq!((done.updated, done.already_open), (1, 0));
        let done = ledger::reset(&engine, &operator(), &reset(Counters::Keep)).await.unwrap();
        assert_eq!((done.updated, done.already_open), (0, 1));
        recorded(&engine, &scope, "b", 10).await;
        assert!(matches!(record(&engine, &scope, "c", 1).await.unwrap(), Outcome::Denied(_)));
        let done = ledger::reset(&engine, &operator(), &reset(Counters::Zero)).await.unwrap();
        assert_eq!(done.updated, 1);
        recorded(&engine, &scope, "c", 10).await;
        assert_eq!(used(&engine, &scope).await, 10);
    }

    async fn a_recount_finds_planted_drift_and_a_rebuild_puts_it_right(engine: TestEngine) {
        let scope = org_with(&engine, 100).await;
        recorded(&engine, &scope, "a", 8).await;
        reserved(&engine, &scope, "h", 5).await;
        let mut tx = engine.db().begin(Lane::Control).await.unwrap();
        ledger::sql::plant_drift(&mut tx, scope.org_key()).await.unwrap();
        tx.commit().await.unwrap();
        let found = ledger::verify(&engine, &operator(), None).await.unwrap();
        let numbers: Vec<&str> = found.drifts.iter().map(|drift| drift.number).collect();
        assert_eq!((found.drift, numbers), (1 + 2 + 3, vec!["used", "held", "rollup"]));
        let rebuilt = ledger::rebuild(&engine, &operator(), &org_ref(&scope)).await.unwrap();
        assert_eq!(rebuilt.drift, 0);
        let repeated = ledger::record(&engine, &scope, usage("a", 8)).await.unwrap().answer;
        assert!(matches!(repeated, Outcome::Allowed(answer) if answer.repeat));
        recount(&engine).await;
    }
}

fn correction(request_id: &str, corrects: &str, units: i64) -> Correct {
    Correct {
        request_id: id(request_id),
        corrects: id(corrects),
        metric: None,
        units,
        reason: "counted twice".to_owned(),
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, why: Refusal) {
    assert_eq!(answer.unwrap_err(), Error::Refused(why));
}
