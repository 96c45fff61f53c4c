//! What holds for alerts and summaries.

use std::time::Duration;

use serde_json::json;
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::Included;
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

use super::{Kind, job, list, summaries};
use crate::db::Statement;
use crate::flags::{self, Subject};
use crate::ledger::tests::stage::{org, recorded, rights};
use crate::on_both;
use crate::paging::Paging;
use crate::testing::{START, TestEngine};

const LETTERS: Statement = Statement::new("test.letters", "SELECT COUNT(*) AS letters FROM mail_outbox");
const ADDRESS: Statement =
    Statement::new("test.address", "UPDATE organizations SET email = 'owner@example.com' WHERE org_key = $1");

#[test]
fn a_forecast_needs_a_fifth_of_the_period_and_a_pace_beyond_the_limit() {
    let at = |seconds| Timestamp::from_seconds(seconds);
    let period = Period::new(at(0), at(1_000));
    assert!(!Kind::Forecast.holds(50, 100, (period, at(199))), "too early");
    assert!(Kind::Forecast.holds(50, 100, (period, at(200))));
    assert!(!Kind::Forecast.holds(20, 100, (period, at(200))), "just the limit");
}

on_both! {
    async fn each_alert_is_raised_once_per_period_with_one_letter(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(100))).await;
        let mut tx = engine.engine.db().begin(crate::db::Lane::Control).await.unwrap();
        tx.execute(&ADDRESS, &[scope.org_key().0.into()]).await.unwrap();
        tx.commit().await.unwrap();
        let raised = async || {
            job(&engine).await.unwrap();
            let page = list(&engine, &scope, &Paging::default()).await.unwrap();
            let mut kinds: Vec<Kind> = page.items.iter().map(|alert| alert.kind).collect();
            kinds.sort_unstable();
            kinds
        };
        recorded(&engine, &scope, "a", 49).await;
        assert_eq!(raised().await, []);
        recorded(&engine, &scope, "b", 31).await;
        assert_eq!(raised().await, [Kind::Half, Kind::FourFifths]);
        assert_eq!(raised().await, [Kind::Half, Kind::FourFifths], "once");
        engine.set_now(START.plus(Duration::from_secs(8 * 86_400)));
        recorded(&engine, &scope, "c", 20).await;
        assert_eq!(raised().await, [Kind::Half, Kind::FourFifths, Kind::All, Kind::Forecast]);
        let mut read = engine.engine.db().read().await.unwrap();
        assert_eq!(read.one(&LETTERS, &[]).await.unwrap().i64("letters").unwrap(), 4);
    }

    async fn a_day_that_is_over_is_summed_up_once(engine: TestEngine) {
        let scope = org(&engine, "acme", rights(Included::Units(100))).await;
        recorded(&engine, &scope, "a", 7).await;
        recorded(&engine, &scope, "b", 5).await;
        engine.set_now(START.plus(Duration::from_secs(2 * 86_400)));
        recorded(&engine, &scope, "c", 1).await;
        for _ in 0..2 {
            job(&engine).await.unwrap();
        }
        let days = async || summaries(&engine, &scope, &Paging::default()).await.unwrap().items;
        // The first look sums up yesterday; what was before it belongs to the hourly series.
        assert!(days().await.is_empty());
        engine.set_now(START.plus(Duration::from_secs(3 * 86_400)));
        job(&engine).await.unwrap();
        let found = days().await;
        assert_eq!(found.iter().map(|day| (day.units, day.events)).collect::<Vec<_>>(), [(1, 1)]);
    }

    async fn a_day_is_told_of_once_to_orgs_that_are_to_be_told(engine: TestEngine) {
        let told = org(&engine, "acme", rights(Included::Units(100))).await;
        let silent = org(&engine, "umbrella", rights(Included::Units(100))).await;
        let operator = engine.operator().require_operator(Permission::FlagsOperate).unwrap();
        let set = async |subject: Subject, on: serde_json::Value| {
            let changes = serde_json::Map::from_iter([(flags::USAGE_DIGEST.to_owned(), on)]);
            flags::write(&engine, &operator, &subject, changes).await
        };
        assert!(matches!(set(Subject::Global, json!("yes")).await, Err(flags::Error::Invalid { .. })));
        set(Subject::Global, json!(true)).await.unwrap();
        set(Subject::Org(silent.org_id().clone()), json!(false)).await.unwrap();
        let mut tx = engine.engine.db().begin(crate::db::Lane::Control).await.unwrap();
        for scope in [&told, &silent] {
            tx.execute(&ADDRESS, &[scope.org_key().0.into()]).await.unwrap();
        }
        tx.commit().await.unwrap();
        let letters = async || {
            let mut read = engine.engine.db().read().await.unwrap();
            read.one(&LETTERS, &[]).await.unwrap().i64("letters").unwrap()
        };
        recorded(&engine, &told, "a", 7).await;
        recorded(&engine, &silent, "b", 9).await;
        engine.set_now(START.plus(Duration::from_secs(86_400)));
        for _ in 0..2 {
            job(&engine).await.unwrap();
        }
        assert_eq!(letters().await, 1, "one org, one day, one letter");
        engine.set_now(START.plus(Duration::from_secs(2 * 86_400)));
        job(&engine).await.unwrap();
        assert_eq!(letters().await, 1, "nothing was used, nothing is told");
    }
}
