//! What holds for operations.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Begun, Code, Error, Kind, NewOperation, Refusal, Run, State, Stop, begin, drive, get};
use crate::db::{Lane, Statement};
use crate::jobs;
use crate::on_both;
use crate::testing::{START, TestEngine};

/// The keys each operation sent, in order, by its name.
static SENT: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Two steps; the second does what the body says: `ok`, `later_once`, `refuse`.
pub(super) async fn probe(run: &mut Run<'_>) -> Result<Value, Stop> {
    let body: Value = run.body()?;
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let note = move |key: String| {
        let mut sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = sent.entry(name.clone()).or_default();
        keys.push(key);
        keys.len()
    };
    let first: u64 = run
        .step("first", async |key| {
            note(key.as_str().to_owned());
            Ok(41)
        })
        .await?;
    let does = body["does"].as_str().unwrap_or_default();
    let second: u64 = run
        .step("second", async |key| {
            let sends = note(key.as_str().to_owned());
            match does {
                "later_once" if sends == 2 => Err(Stop::Later("no answer".to_owned())),
                "refuse" => Err(Stop::Refused(Refusal {
                    code: Code::PaymentFailed,
                    message: "declined".to_owned(),
                    reason: None,
                    client_secret: Some("cs".into()),
                })),
                "slow" => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Ok(first + 1)
                }
                _ => Ok(first + 1),
            }
        })
        .await?;
    Ok(json!({ "sum": second }))
}

fn sent(name: &str) -> Vec<String> {
    SENT.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
}

async fn start(engine: &TestEngine, name: &str, does: &str) -> Begun {
    let scope = engine.scope("org_a").await;
    let new =
        NewOperation { kind: Kind::Probe, dedupe_key: "d".to_owned(), body: json!({ "name": name, "does": does }) };
    let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
    let begun = begin(engine, &mut tx, &scope, new).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

fn name(engine: &TestEngine) -> String {
    engine.engine.new_id("probe_")
}

on_both! {
    async fn each_step_has_its_key_and_the_outcome_is_kept(engine: TestEngine) {
        engine.org("org_a").await;
        let name = name(&engine);
        let begun = start(&engine, &name, "ok").await;
        let Begun::New(operation) = &begun else { panic!("a new operation") };
        let id = operation.operation_id.clone();
        assert_eq!(drive(&engine, begun).await.unwrap(), json!({ "sum": 42 }));
        assert_eq!(sent(&name), [format!("tollgate:{id}:first"), format!("tollgate:{id}:second")]);
        let shown = get(&engine, &engine.scope("org_a").await, &id).await.unwrap().unwrap();
        assert_eq!((shown.state, shown.steps.len()), (State::Done, 2));
        engine.org("org_b").await;
        assert_eq!(get(&engine, &engine.scope("org_b").await, &id).await.unwrap(), None, "a foreign operation looks missing");
    }

    async fn what_got_no_answer_goes_on_by_itself_under_the_same_key(engine: TestEngine) {
        engine.org("org_a").await;
        let name = name(&engine);
        let Err(Error::Pending { operation_id }) = drive(&engine, start(&engine, &name, "later_once").await).await else { panic!("pending") };
        engine.set_now(START.plus(Duration::from_secs(5)));
        jobs::run_due(&engine).await.unwrap();
        let shown = get(&engine, &engine.scope("org_a").await, &operation_id).await.unwrap().unwrap();
        assert_eq!(shown.state, State::Done);
        let keys = sent(&name);
        assert_eq!(keys.len(), 3, "the first step is not sent twice: {keys:?}");
        assert_eq!(keys[1], keys[2]);
    }

    async fn a_refusal_is_kept_without_its_secret(engine: TestEngine) {
        engine.org("org_a").await;
        let begun = start(&engine, &name(&engine), "refuse").await;
        let Begun::New(operation) = &begun else { panic!("a new operation") };
        let id = operation.operation_id.clone();
        let Err(Error::Refused(refusal)) = drive(&engine, begun).await else { panic!("refused") };
        assert!(refusal.client_secret.is_some());
        let shown = get(&engine, &engine.scope("org_a").await, &id).await.unwrap().unwrap();
        assert_eq!(shown.refusal, Some((Code::PaymentFailed, "declined".to_owned())));
        assert!(matches!(start(&engine, &name(&engine), "ok").await, Begun::New(_)), "a new try is a new operation");
    }

    async fn the_same_change_at_the_same_time_is_one_operation(engine: TestEngine) {
        engine.org("org_a").await;
        let name = name(&engine);
        let first = start(&engine, &name, "slow").await;
        let second = start(&engine, &name, "slow").await;
        assert!(matches!(second, Begun::Running(_)));
        let (one, two) = tokio::join!(drive(&engine, first), drive(&engine, second));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(sent(&name).len(), 2);
    }

    async fn a_run_that_crashed_is_taken_over_and_sends_no_step_twice(engine: TestEngine) {
        const AGE: Statement = Statement::new("test.age_operations", "UPDATE operations SET lease_until = 0");
        engine.org("org_a").await;
        let name = name(&engine);
        let Begun::New(operation) = start(&engine, &name, "ok").await else { panic!("a new operation") };
        // The process ends here, before anything is sent: nobody drives it.
        let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
        tx.execute(&AGE, &[]).await.unwrap();
        tx.commit().await.unwrap();
        engine.set_now(START.plus(Duration::from_secs(600)));
        jobs::run_due(&engine).await.unwrap();
        let shown = get(&engine, &engine.scope("org_a").await, &operation.operation_id).await.unwrap().unwrap();
        assert_eq!(shown.state, State::Done);
        assert_eq!(sent(&name).len(), 2);
        assert!(matches!(drive(&engine, Begun::New(operation)).await, Ok(_) | Err(Error::Refused(_))), "a late driver joins the outcome");
        assert_eq!(sent(&name)[0], sent(&name)[2], "what a late driver sends carries the same key");
    }
}
