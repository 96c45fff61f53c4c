//! Webhooks: signed, sent, repeated.
//!
//! A failed attempt is repeated quickly a few times in real time, so that a receiver that restarts misses nothing, and then
//! with growing pauses on the sandbox's clock for three days, as Stripe does. Each attempt is signed afresh:
//! `Stripe-Signature: t=<unix>,v1=<HMAC-SHA256 of "t.body" under the endpoint's whole secret>`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Inner;
use crate::clock::SECOND;
use crate::desk::{Desk, text};
use crate::render;
use crate::store::{Delivery, Fate};

/// Real-time pauses before the quick repeats.
const QUICK_MILLIS: [u64; 5] = [200, 500, 1_000, 2_000, 3_000];
/// Pauses on the sandbox's clock after that, in seconds; together about three days.
const PAUSES: [i64; 8] = [300, 3_600, 10_800, 21_600, 43_200, 57_600, 57_600, 64_800];
/// How long a receiver may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How many due webhooks are looked at per round, those under way included.
const LOOKED_AT: i64 = 512;
/// How long webhooks are gathered before they are shuffled.
const SHUFFLE_WINDOW: Duration = Duration::from_millis(60);

/// Which deliveries are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay {
    ids: Arc<Mutex<HashSet<i64>>>,
}

impl UnderWay {
    fn begin(&self, id: i64) -> bool {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    fn end(&self, id: i64) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Begins every delivery that is due and not under way.
pub(crate) async fn deliver_due(inner: &Arc<Inner>, client: &reqwest::Client, under_way: &UnderWay) {
    let faults = inner.faults.settings();
    if faults.reorder_seed.is_some() {
        tokio::time::sleep(SHUFFLE_WINDOW).await;
    }
    let now = inner.clock.now_micros();
    let due = inner.store.run(move |tx| (Fate::RollBack, tx.due_deliveries(now, LOOKED_AT))).await;
    let Ok(Ok(mut due)) = due else { return };
    if let Some(seed) = faults.reorder_seed {
        due.sort_by_key(|delivery| Sha256::digest(format!("{seed}/{}", delivery.event)).to_vec());
    }
    for delivery in due {
        if !under_way.begin(delivery.id) {
            continue;
        }
        let (inner, client, under_way) = (Arc::clone(inner), client.clone(), under_way.clone());
        // The place is waited for in the task, so that slow receivers hold up nobody who looks at the clock.
        tokio::spawn(async move {
            let id = delivery.id;
            let first = match inner.places.acquire().await {
                Ok(_place) => attempt(&inner, &client, &delivery, 0).await,
                Err(_) => Outcome::Moot,
            };
            if first == Outcome::Refused {
                repeat_quickly(&inner, &client, &delivery).await;
            }
            under_way.end(id);
            inner.wake.notify_one();
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Confirmed,
    Refused,
    /// Nothing to send any more, or the file is gone.
    Moot,
}

async fn repeat_quickly(inner: &Arc<Inner>, client: &reqwest::Client, delivery: &Delivery) {
    // Only new deliveries are worth hurrying; one that is on its slow schedule already stays on it.
    if delivery.attempts > 0 {
        return;
    }
    for (made, pause) in (1..).zip(QUICK_MILLIS) {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if attempt(inner, client, delivery, made).await != Outcome::Refused {
            return;
        }
    }
}

/// One attempt, and the note of how it ended.
async fn attempt(inner: &Arc<Inner>, client: &reqwest::Client, delivery: &Delivery, made: i64) -> Outcome {
    let faults = inner.faults.settings();
    tokio::time::sleep(faults.webhook_delay).await;
    let Some(message) = message(inner, delivery).await else {
        finish(inner, delivery.id, "failed", 0).await;
        return Outcome::Moot;
    };
    if faults.drop_webhooks {
        finish(inner, delivery.id, "failed", 0).await;
        return Outcome::Moot;
    }
    let mut confirmed = message.send(inner, client).await;
    if faults.duplicate_webhooks {
        confirmed |= message.send(inner, client).await;
    }
    if confirmed {
        finish(inner, delivery.id, "done", 0).await;
        return Outcome::Confirmed;
    }
    // Quick repeats count as one attempt of the slow schedule.
    let slow = delivery.attempts.saturating_sub(i64::try_from(QUICK_MILLIS.len()).unwrap_or(0)).max(0);
    match usize::try_from(slow).ok().and_then(|index| PAUSES.get(index)) {
        Some(pause) => finish(inner, delivery.id, "retry", inner.clock.now_micros() + pause * SECOND).await,
        None => finish(inner, delivery.id, "failed", 0).await,
    }
    tracing::debug!(event_id = delivery.event, attempt = delivery.attempts + made, "a webhook was not confirmed");
    Outcome::Refused
}

async fn finish(inner: &Arc<Inner>, id: i64, state: &'static str, due: i64) {
    // Should the file be gone, the sandbox is being stopped and the delivery is repeated by the next one.
    let _ = inner.store.run(move |tx| (Fate::Commit, tx.finish_attempt(id, state, due))).await;
}

/// What is sent, and where to.
struct Message {
    url: String,
    secret: String,
    body: String,
}

impl Message {
    async fn send(&self, inner: &Arc<Inner>, client: &reqwest::Client) -> bool {
        let at = inner.clock.now_micros().div_euclid(SECOND);
        let request = client
            .post(&self.url)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("stripe-signature", format!("t={at},v1={}", signature(&self.secret, at, &self.body)))
            .timeout(ANSWER_TIMEOUT)
            .body(self.body.clone());
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

async fn message(inner: &Arc<Inner>, delivery: &Delivery) -> Option<Message> {
    let (event, endpoint) = (delivery.event.clone(), delivery.endpoint.clone());
    let (premises, now) = (inner.premises.clone(), inner.clock.now_micros());
    let built = inner.store.run(move |tx| {
        let mut desk = Desk::new(tx, &premises, now);
        let message = desk.need("webhook endpoint", &endpoint).and_then(|endpoint| {
            let mut event = desk.need("event", &event)?;
            if let version @ Value::String(_) = &endpoint["api_version"] {
                event["api_version"] = version.clone();
            }
            let body = render::finished(&mut desk, &event)?.to_string();
            Ok(Message { url: text(&endpoint, "url").to_owned(), secret: text(&endpoint, "_secret").to_owned(), body })
        });
        (Fate::RollBack, message.ok())
    });
    built.await.ok().flatten()
}

/// Stripe's signature of a body sent at `at`.
fn signature(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{at}.{body}").as_bytes());
    mac.finalize().into_bytes().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
