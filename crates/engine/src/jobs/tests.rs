//! What holds for jobs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::{
    Claimed, Failure, Filter, Job, Kind, OperateError, Outcome, State, claim, enqueue, list, retry, run, run_due,
};
use crate::db::{Lane, Statement};
use crate::engine::Engine;
use crate::incidents;
use crate::on_both;
use crate::paging::Paging;
use crate::testing::{START, TestEngine};

/// How often each job ran, by key.
static RUNS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

/// Does what the payload says: `ok`, `fail`, `panic`, `dead`, `fail_once`.
pub(super) async fn probe(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let runs = {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = runs.entry(job.key().to_owned()).or_default();
        *count += 1;
        *count
    };
    let mut tx = engine.db().begin(Lane::Control).await?;
    assert!(job.still_ours(&mut tx).await?);
    drop(tx);
    match job.payload()["does"].as_str().unwrap_or("ok") {
        "fail" => Err(Failure::Retry("not now".to_owned())),
        "fail_once" if runs == 1 => Err(Failure::Retry("not now".to_owned())),
        "dead" => Err(Failure::Dead("never".to_owned())),
        "panic" => panic!("a job that panics"),
        _ => Ok(Outcome::Done),
    }
}

fn key(engine: &TestEngine, name: &str) -> String {
    format!("{name}-{}", engine.engine.new_id("t"))
}

async fn queue(engine: &TestEngine, key: &str, does: &str) {
    let job = Job {
        kind: Kind::Probe,
        key: key.to_owned(),
        org_key: None,
        payload: json!({ "does": does }),
        run_at: engine.now(),
        corr_id: "c".to_owned(),
    };
    let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
    enqueue(engine, &mut tx, &job).await.unwrap();
    tx.commit().await.unwrap();
}

fn runs(key: &str) -> u32 {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
}

async fn states(engine: &TestEngine) -> Vec<String> {
    let page = list(engine, &engine.server(), Filter::default(), &Paging::default()).await.unwrap();
    page.items.into_iter().map(|job| job.state).collect()
}

on_both! {
    async fn a_job_of_one_name_is_queued_once_and_runs_once(engine: TestEngine) {
        let key = key(&engine, "once");
        for _ in 0..3 {
            queue(&engine, &key, "ok").await;
        }
        assert_eq!(run_due(&engine).await.unwrap(), 1);
        assert_eq!((runs(&key), states(&engine).await), (1, vec!["done".to_owned()]));
    }

    async fn a_failed_job_is_tried_again_later_and_then_done(engine: TestEngine) {
        let key = key(&engine, "again");
        queue(&engine, &key, "fail_once").await;
        run_due(&engine).await.unwrap();
        engine.set_now(START.plus(Duration::from_secs(3600)));
        run_due(&engine).await.unwrap();
        assert_eq!((runs(&key), states(&engine).await), (2, vec!["done".to_owned()]));
    }

    async fn a_panicking_job_is_a_dead_letter_in_the_end_and_nothing_else_breaks(engine: TestEngine) {
        let (bad, good) = (key(&engine, "bad"), key(&engine, "good"));
        queue(&engine, &bad, "panic").await;
        let tries = u32::try_from(engine.limits().job_attempts_max).unwrap();
        for hour in 1..=tries + 2 {
            run_due(&engine).await.unwrap();
            engine.set_now(START.plus(Duration::from_secs(3600) * hour));
        }
        assert_eq!((runs(&bad), states(&engine).await), (tries, vec!["dead".to_owned()]));
        queue(&engine, &good, "ok").await;
        run_due(&engine).await.unwrap();
        assert_eq!(runs(&good), 1);
    }

    async fn a_dead_letter_gets_another_life_by_hand(engine: TestEngine) {
        let key = key(&engine, "dead");
        queue(&engine, &key, "dead").await;
        run_due(&engine).await.unwrap();
        let server = engine.server();
        let dead = list(&engine, &server, Filter { state: Some(State::Dead), kind: None }, &Paging::default()).await.unwrap();
        let job_id = dead.items[0].job_id.clone();
        assert_eq!(dead.items[0].last_error.as_deref(), Some("never"));
        assert!(matches!(run(&engine, &server, &job_id).await, Err(OperateError::WrongState(_))));
        assert_eq!(retry(&engine, &server, &job_id).await.unwrap().state, "queued");
        assert!(matches!(retry(&engine, &server, &job_id).await, Err(OperateError::WrongState(_))));
        let ran = run(&engine, &server, &job_id).await.unwrap();
        assert_eq!((ran.job.state.as_str(), ran.error.as_deref()), ("dead", Some("never")));
        assert!(matches!(run(&engine, &server, "job_none").await, Err(OperateError::NotFound)));
    }

    async fn a_dead_letter_is_an_incident_until_it_gets_another_life(engine: TestEngine) {
        let key = key(&engine, "dead");
        queue(&engine, &key, "dead").await;
        run_due(&engine).await.unwrap();
        let server = engine.server();
        let open = || incidents::Filter { state: Some("open".to_owned()), kind: Some(incidents::Kind::DeadJob), org_id: None };
        let found = incidents::list(&engine, &server, &open(), &Paging::default()).await.unwrap().items;
        assert_eq!(found.len(), 1);
        assert!(found[0].detail.contains("probe") && found[0].detail.contains("never"), "{found:?}");
        retry(&engine, &server, &found[0].subject).await.unwrap();
        let after = incidents::list(&engine, &server, &open(), &Paging::default()).await.unwrap().items;
        assert_eq!(after, [], "its cause is being tried again");
        run_due(&engine).await.unwrap();
        let again = incidents::list(&engine, &server, &open(), &Paging::default()).await.unwrap().items;
        assert_eq!((again.len(), again[0].incident_id == found[0].incident_id), (1, false));
    }

    async fn whoever_lost_the_lease_changes_nothing_more(engine: TestEngine) {
        const AGE: Statement = Statement::new("test.age_jobs", "UPDATE jobs SET lease_until = 0 WHERE state = 'running'");
        let key = key(&engine, "lease");
        queue(&engine, &key, "ok").await;
        let slow = claim::claim_due(&engine, 10).await.unwrap().remove(0);
        assert!(claim::claim_due(&engine, 10).await.unwrap().is_empty(), "a held job is not taken");
        let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
        tx.execute(&AGE, &[]).await.unwrap();
        tx.commit().await.unwrap();
        let fast = claim::claim_due(&engine, 10).await.unwrap().remove(0);
        let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
        assert!(!slow.still_ours(&mut tx).await.unwrap());
        assert!(fast.still_ours(&mut tx).await.unwrap());
    }

    async fn a_job_waits_for_the_running_one_of_its_name(engine: TestEngine) {
        let key = key(&engine, "serial");
        queue(&engine, &key, "ok").await;
        let running = claim::claim_due(&engine, 10).await.unwrap();
        queue(&engine, &key, "ok").await;
        assert_eq!(running.len(), 1);
        assert!(claim::claim_due(&engine, 10).await.unwrap().is_empty());
        super::run::run_claimed(&engine, &running[0]).await.unwrap();
        assert_eq!(run_due(&engine).await.unwrap(), 1);
        assert_eq!(runs(&key), 2);
    }

    async fn workers_run_what_is_due_and_drain(engine: TestEngine) {
        let workers = engine.start_workers();
        let key = key(&engine, "worker");
        queue(&engine, &key, "ok").await;
        engine.engine.wake_workers();
        for _ in 0..500 {
            if runs(&key) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        workers.drain(Duration::from_secs(5)).await;
        assert_eq!(runs(&key), 1);
    }
}
