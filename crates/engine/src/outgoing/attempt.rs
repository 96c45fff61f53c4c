//! One attempt to deliver one message, and what it means for the delivery and its endpoint.

use std::time::Duration;

use secrecy::SecretString;

use tollgate_connectors::outgoing::{Letter, Sent};
use tollgate_rules::time::Timestamp;

use super::render::Message;
use super::{Endpoint, endpoints, sql};
use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::incidents;

/// Seconds before each attempt: ten over 75 hours and 35 minutes (the example of the specification).
pub(super) const SCHEDULE: [u64; 10] = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// An endpoint that failed for so long is not told any more.
const FAILING_MAX: Duration = Duration::from_hours(120);
/// A receiver that is overloaded and names no pause gets this one.
const THROTTLED: Duration = Duration::from_secs(60);

/// A delivery that is due.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) message: Message,
    pub(super) attempts: i64,
}

/// How an attempt left its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next delivery may follow.
    GoOn,
    /// Nothing more for now.
    Stop,
}

/// Makes one attempt and writes down how it went.
pub(super) async fn attempt(engine: &Engine, endpoint: &Endpoint, due: &Due) -> Result<Next, Error> {
    let now = engine.now();
    let letter = Letter {
        url: endpoint.url.clone(),
        id: due.message.message_id.clone(),
        // Receivers compare it with the real time, also beside a sandbox whose clock was moved.
        timestamp: engine.clock().wall.now().as_seconds(),
        body: due.message.body(),
        secrets: secrets(endpoint, now),
    };
    let sent = engine.outgoing().sender.send(&letter).await;
    metrics::counter!("tollgate_outgoing_attempts_total", "outcome" => word(&sent)).increment(1);
    let (task, endpoint, due) = (engine.clone(), endpoint.clone(), due.clone());
    engine.db().detached(async move { write(&task, &endpoint, &due, sent).await }).await
}

fn secrets(endpoint: &Endpoint, now: Timestamp) -> Vec<SecretString> {
    let former = endpoint.former.as_ref().filter(|(_, until)| now < *until);
    std::iter::once(endpoint.secret.clone()).chain(former.map(|(secret, _)| secret.clone())).collect()
}

const fn word(sent: &Sent) -> &'static str {
    match sent {
        Sent::Accepted { .. } => "accepted",
        Sent::Gone => "gone",
        Sent::Refused { .. } => "refused",
        Sent::Unreached { .. } => "unreached",
    }
}

async fn write(engine: &Engine, endpoint: &Endpoint, due: &Due, sent: Sent) -> Result<Next, Error> {
    let now = engine.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    // Changed or deleted meanwhile: its present row is what counts.
    let Some(mut endpoint) = sql::endpoint(&mut tx, engine.sealer(), &endpoint.endpoint_id).await? else {
        return Ok(Next::Stop);
    };
    let place = (endpoint.endpoint_id.as_str(), due.message.sequence);
    let next = match sent {
        Sent::Accepted { status } => {
            sql::delivered(&mut tx, place, i64::from(status), now).await?;
            if endpoint.failing_since.take().is_some() {
                sql::put_endpoint(&mut tx, engine, &endpoint).await?;
                incidents::close(engine, &mut tx, incidents::Kind::WebhookEndpoint, &endpoint.endpoint_id).await?;
            }
            Next::GoOn
        }
        Sent::Gone => {
            let failed = failure(engine, due, Some(410), "the receiver is gone");
            sql::failed(&mut tx, place, &failed).await?;
            endpoints::disable(engine, &mut tx, &endpoint).await?;
            incident(engine, &mut tx, &endpoint, "the receiver answered 410 Gone").await?;
            Next::Stop
        }
        Sent::Refused { status, pause } => {
            if matches!(status, 429 | 502 | 504) {
                endpoint.held_until = now.plus(pause.unwrap_or(THROTTLED));
            }
            let error = format!("status {status}");
            let failed = failure(engine, due, Some(status), &error);
            fail(engine, &mut tx, endpoint.clone(), (due, &failed)).await?
        }
        Sent::Unreached { reason } => {
            let failed = failure(engine, due, None, &reason);
            fail(engine, &mut tx, endpoint.clone(), (due, &failed)).await?
        }
    };
    tx.commit().await?;
    Ok(next)
}

async fn fail(
    engine: &Engine,
    tx: &mut crate::db::Tx,
    mut endpoint: Endpoint,
    (due, failed): (&Due, &sql::Failed<'_>),
) -> Result<Next, Error> {
    let now = engine.now();
    sql::failed(tx, (&endpoint.endpoint_id, due.message.sequence), failed).await?;
    let since = *endpoint.failing_since.get_or_insert(now);
    sql::put_endpoint(tx, engine, &endpoint).await?;
    if now.since(since) > FAILING_MAX {
        endpoints::disable(engine, tx, &endpoint).await?;
        incident(engine, tx, &endpoint, "it failed for five days and is not told any more").await?;
    } else if failed.dead {
        incident(engine, tx, &endpoint, "a message could not be delivered in ten attempts").await?;
    }
    // Messages behind it wait for their own turn: order is kept by sequence, not by holding up for three days.
    Ok(Next::Stop)
}

async fn incident(engine: &Engine, tx: &mut crate::db::Tx, endpoint: &Endpoint, what: &str) -> Result<(), Error> {
    let seen = incidents::Seen {
        org_key: incidents::SERVER,
        kind: incidents::Kind::WebhookEndpoint,
        subject: &endpoint.endpoint_id,
        detail: what,
    };
    incidents::open(engine, tx, &seen).await
}

/// The next attempt by the schedule, its pause drawn up to a fifth longer.
fn failure<'a>(engine: &Engine, due: &Due, status: Option<u16>, error: &'a str) -> sql::Failed<'a> {
    let now = engine.now();
    let made = usize::try_from(due.attempts).unwrap_or(usize::MAX).saturating_add(1);
    let pause = SCHEDULE.get(made).copied();
    let seconds = pause.unwrap_or(0);
    let jitter = engine.clock().entropy.up_to(seconds * 200);
    sql::Failed {
        status: status.map(i64::from),
        error,
        dead: pause.is_none(),
        run_at: now.plus(Duration::from_secs(seconds)).plus(Duration::from_millis(jitter)),
        now,
    }
}
