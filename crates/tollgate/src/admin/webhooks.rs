//! Stripe's events in the inbox, for the operator's commands.

use serde_json::{Value, json};
use tollgate_engine::Engine;
use tollgate_engine::inbox::{self, Filter, InboxEvent, Replay, State};
use tollgate_engine::paging::Paging;
use tollgate_rules::access::Permission;

use super::Chosen;
use super::execute::{operator, time};
use crate::failure::Failure;

/// The newest events that fit.
pub(super) async fn list(engine: &Engine, chosen: &Chosen, limit: i64) -> Result<Value, Failure> {
    let scope = operator(Permission::WebhooksOperate)?;
    let paging = Paging::new(Some(limit), None).map_err(|error| Failure::usage(format!("--limit {limit}: {error}")))?;
    let page = inbox::list(engine, &scope, &filter(chosen)?, &paging).await;
    let page = page.map_err(Failure::during("listing events"))?;
    Ok(json!({"events": page.items.iter().map(shown).collect::<Vec<_>>(), "more": page.next.is_some()}))
}

/// Processes events again: these, or all that fit.
pub(super) async fn replay(
    engine: &Engine,
    events: Vec<String>,
    chosen: &Chosen,
    dry_run: bool,
) -> Result<Value, Failure> {
    let scope = operator(Permission::WebhooksOperate)?;
    let asked = match events.is_empty() {
        true => Replay::Matching { filter: filter(chosen)?, dry_run },
        false => Replay::Events(events),
    };
    let replayed = inbox::replay(engine, &scope, asked).await.map_err(Failure::during("replaying events"))?;
    Ok(json!({"enqueued": replayed.enqueued, "unknown": replayed.unknown, "dryRun": dry_run}))
}

fn filter(chosen: &Chosen) -> Result<Filter, Failure> {
    let state = chosen.state.as_deref().map(|word| {
        State::parse(word).ok_or_else(|| Failure::usage(format!("--state {word}: say pending, done or dead")))
    });
    let moment = |name: &str, text: &Option<String>| text.as_deref().map(|text| time(name, text)).transpose();
    Ok(Filter {
        state: state.transpose()?,
        kind: chosen.kind.clone(),
        event_id: None,
        customer_id: chosen.customer.clone(),
        received_from: moment("--from", &chosen.from)?,
        received_before: moment("--to", &chosen.to)?,
    })
}

fn shown(event: &InboxEvent) -> Value {
    json!({"eventId": event.event_id, "kind": event.kind, "objectId": event.object_id, "customerId": event.customer_id,
        "source": event.source, "receivedAt": event.received_at, "state": event.state.as_str(), "outcome": event.outcome,
        "attempts": event.attempts, "lastError": event.last_error})
}
