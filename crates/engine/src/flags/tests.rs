//! What holds for flags.

use serde_json::{Map, Value, json};

use tollgate_rules::ids::{OrgId, OrgKey};

use super::{Error, Subject, read, strict_quota, write};
use crate::db::Statement;
use crate::jobs;
use crate::on_both;
use crate::testing::TestEngine;

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

on_both! {
    async fn flags_are_merged_key_by_key_and_null_removes(engine: TestEngine) {
        let server = engine.server();
        let first = write(&engine, &server, &Subject::Global, map(json!({ "previews": true, "theme": { "a": 1 } }))).await.unwrap();
        assert_eq!(Value::from(first), json!({ "previews": true, "theme": { "a": 1 } }));
        let second = write(&engine, &server, &Subject::Global, map(json!({ "previews": null, "beta": "x" }))).await.unwrap();
        assert_eq!(Value::from(second.clone()), json!({ "theme": { "a": 1 }, "beta": "x" }));
        assert_eq!(read(&engine, &server, &Subject::Global).await.unwrap(), second);
    }

    async fn an_orgs_own_flag_stands_over_the_global_one(engine: TestEngine) {
        let org = engine.org("org_a").await;
        let subject = Subject::Org(OrgId::parse("org_a").unwrap());
        let server = engine.server();
        let strict = async || strict_quota(&mut engine.engine.db().read().await.unwrap(), org.org_key).await.unwrap();
        assert!(strict().await);
        write(&engine, &server, &Subject::Global, map(json!({ "strict_quota": false }))).await.unwrap();
        assert!(!strict().await);
        write(&engine, &server, &subject, map(json!({ "strict_quota": true }))).await.unwrap();
        assert!(strict().await);
        write(&engine, &server, &subject, map(json!({ "strict_quota": null }))).await.unwrap();
        assert!(!strict().await);
    }

    async fn a_changed_strictness_reaches_every_orgs_ledger(engine: TestEngine) {
        const STRICT: Statement = Statement::new("test.strict", "SELECT strict FROM ledger_heads WHERE org_key = $1");
        let server = engine.server();
        let (a, b) = (engine.org("org_a").await.org_key, engine.org("org_b").await.org_key);
        let strict = async |org: OrgKey| {
            let mut read = engine.engine.db().read().await.unwrap();
            read.one(&STRICT, &[org.0.into()]).await.unwrap().bool("strict").unwrap()
        };
        let subject = Subject::Org(OrgId::parse("org_a").unwrap());
        write(&engine, &server, &subject, map(json!({ "strict_quota": true }))).await.unwrap();
        assert!(strict(a).await, "its own flag counts with its transaction");
        write(&engine, &server, &Subject::Global, map(json!({ "strict_quota": false }))).await.unwrap();
        jobs::run_due(&engine).await.unwrap();
        assert_eq!((strict(a).await, strict(b).await), (true, false));
    }

    async fn wrong_flags_change_nothing(engine: TestEngine) {
        let server = engine.server();
        for bad in [json!({ "ok": 1, "Not ok": 1 }), json!({ "strict_quota": "no" }), json!({ "big": "x".repeat(5000) })] {
            assert!(matches!(write(&engine, &server, &Subject::Global, map(bad)).await, Err(Error::Invalid { .. })));
        }
        assert!(read(&engine, &server, &Subject::Global).await.unwrap().is_empty());
        let nowhere = Subject::Org(OrgId::parse("org_nowhere").unwrap());
        assert!(matches!(read(&engine, &server, &nowhere).await, Err(Error::NotFound)));
    }
}
