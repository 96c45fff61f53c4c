//! Carries out what is due: on the main clock as time passes or is moved, on test clocks as they are advanced.
//!
//! Each task is one transaction at the time it was due, not at the time it is carried out; so a sandbox that was off for a
//! month does afterwards exactly what it would have done in time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::calendar::DAY;
use crate::clock::SECOND;
use crate::deliver::{UnderWay, deliver_due};
use crate::desk::{Desk, Done};
use crate::store::{Appointment, Fate, StoreError, Tx};
use crate::stripe::{self, test_clocks};
use crate::{Error, Happened, Inner};

/// How often the time is looked at when nothing calls for it.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Runs until the sandbox stops: what falls due, advancing test clocks, waiting webhooks.
pub(crate) async fn run(inner: Arc<Inner>, client: reqwest::Client) {
    let under_way = UnderWay::default();
    let mut stopped = inner.stopped.subscribe();
    let mut tidied = 0;
    loop {
        let now = inner.clock.now_micros();
        if now - tidied > DAY * SECOND {
            tidied = now;
            // Should this fail, old answers stay a day longer; they are not replayed anyhow.
            let _ = inner.store.run(move |tx| (Fate::Commit, tx.forget_answers(now - DAY * SECOND))).await;
        }
        if let Err(error) = carry_out_until(&inner, now).await {
            tracing::error!(%error, "the sandbox could not carry out what was due");
        }
        while advance_test_clock(&inner).await {}
        deliver_due(&inner, &client, &under_way).await;
        tokio::select! {
            () = inner.wake.notified() => {}
            () = tokio::time::sleep(HEARTBEAT) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Carries out everything due on the main clock by `until`, in order, moving the clock along with it.
pub(crate) async fn carry_out_until(inner: &Arc<Inner>, until: i64) -> Result<Vec<Happened>, Error> {
    // One at a time: a move of the clock and the heartbeat must not interleave their steps.
    let _turn = inner.turn.lock().await;
    let mut happened = Vec::new();
    loop {
        let (premises, clock) = (inner.premises.clone(), inner.clock.clone());
        let step = inner.store.run(move |tx| {
            let next = match tx.next_appointment(None) {
                Ok(Some(next)) if next.due_micros <= until => next,
                Ok(_) => return (Fate::RollBack, Ok(None)),
                Err(error) => return (Fate::RollBack, Err(error)),
            };
            let offset = clock.offset_for(next.due_micros);
            let outcome = tx.set("offset_micros", &offset.to_string()).and_then(|()| {
                clock.advance(offset);
                let mut desk = Desk::new(tx, &premises, next.due_micros);
                perform(&mut desk, &next).map(|()| desk.happened)
            });
            (if outcome.is_ok() { Fate::Commit } else { Fate::RollBack }, outcome.map(Some))
        });
        match step.await?? {
            Some(mut events) => happened.append(&mut events),
            None => return Ok(happened),
        }
        inner.wake.notify_one();
    }
}

/// Performs one appointment; one that cannot be performed is dropped and reported, so that time goes on.
fn perform(desk: &mut Desk<'_>, appointment: &Appointment) -> Result<(), StoreError> {
    desk.tx.disappoint(&appointment.task, &appointment.object)?;
    desk.tx.savepoint()?;
    match stripe::perform(desk, &appointment.task, &appointment.object) {
        Ok(()) => desk.tx.release(),
        Err(error) => {
            tracing::error!(
                task = appointment.task,
                object = appointment.object,
                error = error.message(),
                "a task failed"
            );
            desk.happened.clear();
            desk.tx.back_to_savepoint()
        }
    }
}

/// Carries out one step of an advancing test clock; false when none is under way.
async fn advance_test_clock(inner: &Arc<Inner>) -> bool {
    let (premises, now) = (inner.premises.clone(), inner.clock.now_micros());
    let step = inner.store.run(move |tx| match test_clock_step(tx, &premises, now) {
        Ok(more) => (Fate::Commit, more),
        Err(error) => {
            tracing::error!(error = error.message(), "a test clock stopped");
            (Fate::RollBack, false)
        }
    });
    step.await.unwrap_or(false)
}

fn test_clock_step(tx: &mut Tx, premises: &crate::desk::Premises, now: i64) -> Done<bool> {
    let mut desk = Desk::new(tx, premises, now);
    let Some((clock, target)) = test_clocks::advancing(&mut desk)? else { return Ok(false) };
    match desk.tx.next_appointment(Some(&clock))? {
        Some(next) if next.due_micros <= target * SECOND => {
            test_clocks::set(&mut desk, &clock, next.due_micros.div_euclid(SECOND))?;
            perform(&mut desk, &next)?;
        }
        _ => test_clocks::arrived(&mut desk, &clock)?,
    }
    Ok(true)
}

/// One sentence about an event's object, for the time machine's report.
pub(crate) fn sentence(kind: &str, object: &Value) -> String {
    let text = |member: &str| object[member].as_str().unwrap_or_default();
    let id = text("id");
    let amount = || stripe::printed_amount(object["amount_due"].as_i64().unwrap_or_default(), text("currency"));
    match kind.split('.').next().unwrap_or_default() {
        "invoice" if object["object"] == "invoice" => {
            format!("{kind}: {id} over {} is {}", amount(), text("status"))
        }
        "customer" if object["object"] == "subscription" => format!("{kind}: {id} is {}", text("status")),
        _ if text("status").is_empty() => format!("{kind}: {id}"),
        _ => format!("{kind}: {id} is {}", text("status")),
    }
}
