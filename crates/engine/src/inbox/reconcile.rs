//! Finds what webhooks did not tell: billing's own list of events since the last look, and all its subscriptions.
//!
//! Both only put hints into the inbox; what they mean is found out there, by fetching under the customer's lease. So a
//! page that is old by the time it is read cannot overwrite anything.

use std::time::Duration;

use tollgate_connectors::billing::{self, EventHint, ObjectKind, ObjectRef};
use tollgate_rules::billing::SubscriptionFact;
use tollgate_rules::ids::CustomerId;
use tollgate_rules::time::Timestamp;

use super::receive::at_once;
use super::sql::{self, NewEvent, Origin};
use super::worker;
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};
use crate::subscriptions;

/// The cursor over billing's list of events.
const EVENTS: &str = "events";

/// How far behind the newest known event the list is read again: events may be listed a little late.
const OVERLAP: Duration = Duration::from_secs(600);

/// How far back the first look goes; older changes are found by comparing subscriptions.
const FIRST_LOOK: Duration = Duration::from_secs(24 * 3600);

/// Pages read in one go; what is left is read the next time.
const PAGES_MAX: usize = 1_000;

/// What a reconciliation found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Events that no webhook had told.
    pub events: u64,
    /// Subscriptions whose projection differed from billing's.
    pub subscriptions: u64,
}

/// Why a reconciliation stopped; what it found before is kept, and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Billing cannot answer.
    #[error(transparent)]
    Billing(#[from] billing::Error),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Looks for what webhooks did not tell, and processes it. Without billing there is nothing to find.
///
/// # Errors
/// [`Error`]; a repeat goes on where this one stopped.
pub async fn reconcile(engine: &Engine) -> Result<Reconciled, Error> {
    if !engine.billing().is_on() {
        return Ok(Reconciled::default());
    }
    let events = missed_events(engine).await?;
    worker::run_due(engine).await?;
    let subscriptions = differing_subscriptions(engine).await?;
    worker::run_due(engine).await?;
    if events + subscriptions > 0 {
        tracing::warn!(events, subscriptions, "reconciliation found what webhooks did not tell");
    }
    metrics::counter!("tollgate_reconcile_found_total").increment(events + subscriptions);
    Ok(Reconciled { events, subscriptions })
}

/// The job: looks, and looks again after a while. Billing that does not answer is asked the next time.
pub(crate) async fn job(engine: &Engine) -> Result<Outcome, Failure> {
    match reconcile(engine).await {
        Ok(_) => {}
        Err(Error::Billing(error)) => tracing::warn!(%error, "reconciliation stopped; the next one goes on"),
        Err(Error::Database(error)) => return Err(error.into()),
    }
    Ok(Outcome::Again { at: engine.now().plus(engine.limits().reconcile_every) })
}

/// Stores events of billing's list that are not in the inbox. The cursor moves only when the whole list was read.
async fn missed_events(engine: &Engine) -> Result<u64, Error> {
    let known = sql::cursor(&mut engine.db().read().await?, EVENTS).await?;
    let since = known.map_or_else(|| engine.now().minus(FIRST_LOOK), |at| Timestamp::from_micros(at).minus(OVERLAP));
    let (mut found, mut newest, mut after) = (0, since, None);
    for _ in 0..PAGES_MAX {
        let page = engine.billing().events_page(since, after.as_deref()).await?;
        for (hint, payload) in &page.items {
            newest = newest.max(hint.created);
            found += u64::from(store(engine, hint, Origin::Events, payload).await?);
        }
        after = page.next;
        if after.is_none() {
            let now = engine.clock().wall.now();
            let mut tx = engine.db().begin(Lane::Control).await?;
            sql::move_cursor(&mut tx, EVENTS, newest.as_micros(), now).await?;
            tx.commit().await?;
            return Ok(found);
        }
    }
    Ok(found)
}

/// Compares billing's subscriptions with ours and asks the inbox to fetch those that differ.
async fn differing_subscriptions(engine: &Engine) -> Result<u64, Error> {
    let (mut found, mut after) = (0, None);
    for _ in 0..PAGES_MAX {
        let page = engine.billing().subscriptions_page(None, after.as_deref()).await?;
        for fact in &page.items {
            if subscriptions::differs(engine, fact).await? {
                let hint = sweep_hint(engine, fact);
                found += u64::from(store(engine, &hint, Origin::Sweep, "{}").await?);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
    Ok(found)
}

/// A hint of our own making. Its id names it, not the change: the same difference found again is worth another look.
fn sweep_hint(engine: &Engine, fact: &SubscriptionFact) -> EventHint {
    let customer_id: &CustomerId = &fact.customer_id;
    EventHint {
        event_id: engine.new_id("sweep_"),
        account: String::new(),
        kind: "tollgate.sweep".to_owned(),
        created: engine.now(),
        object: ObjectRef { kind: ObjectKind::Subscription, id: fact.subscription_id.as_str().to_owned() },
        customer_id: Some(customer_id.clone()),
        api_version: None,
        live: false,
    }
}

async fn store(engine: &Engine, hint: &EventHint, origin: Origin, payload: &str) -> Result<bool, db::Error> {
    if sql::known(&mut engine.db().read().await?, hint).await? {
        return Ok(false);
    }
    let now = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let new = NewEvent { hint, origin, payload, outcome: at_once(hint), now };
    let inserted = sql::insert(&mut tx, &new).await?;
    tx.commit().await?;
    Ok(inserted)
}
