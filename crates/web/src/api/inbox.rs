//! Webhooks: taken in with their signature, looked at and replayed by the operator.

use serde::{Deserialize, Serialize};
use tollgate_engine::inbox::{self, Error, Filter, InboxEvent, Processed, Replay, State};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures, paging};

/// Most ids of one replay.
const REPLAY_IDS_MAX: usize = 10_000;

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::WebhooksOperate);
    vec![
        Route::new::<__path_receive, _, _>(Access::Signature, receive)
            .also("/api/webhooks/stripe")
            .refuses(&[errors::BAD_SIGNATURE, errors::OVERLOADED]),
        Route::new::<__path_process, _, _>(operate, process),
        Route::with::<__path_replay, _, _>(Spec::change(operate), replay),
        Route::new::<__path_list, _, _>(operate, list),
    ]
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Queued {
    /// Always true.
    queued: bool,
    /// Stripe's id of the event.
    event_id: String,
}

/// Takes in an event of Stripe
///
/// The raw body with its `Stripe-Signature`; the content type does not matter. Stored once and answered; what it changes is
/// found out by fetching its object.
#[utoipa::path(post, path = "/api/webhooks/stripe.receive", tag = "webhooks",
    responses((status = 202, description = "Stored; a repeat is answered the same", body = Queued)))]
async fn receive(call: Call) -> Result<Answer, ApiError> {
    let signature = call.header("stripe-signature").unwrap_or_default();
    let received = inbox::receive(call.app.engine(), &call.body, signature).await.map_err(refused)?;
    Ok(Answer::data(&Queued { queued: true, event_id: received.event_id }).with_status(202))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProcessBody {
    /// Stripe's id of the event.
    event_id: String,
}

#[derive(Serialize, ToSchema)]
struct ProcessedBody {
    /// Whether our projection is as Stripe says.
    converged: bool,
    /// Where the event stands, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Processes one stored event now
#[utoipa::path(post, path = "/api/jobs/stripe.process", tag = "webhooks", request_body = ProcessBody,
    responses((status = 200, description = "How it went", body = ProcessedBody)))]
async fn process(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let body: ProcessBody = call.json()?;
    let told = match inbox::process(call.app.engine(), &body.event_id).await.map_err(refused)? {
        Processed::Converged => ProcessedBody { converged: true, state: None, error: None },
        Processed::Failed { state, error } => {
            ProcessedBody { converged: false, state: Some(state.as_str()), error: Some(error) }
        }
    };
    Ok(Answer::data(&told))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayBody {
    /// These events; not together with `filter`.
    #[schema(max_items = 10_000)]
    event_ids: Option<Vec<String>>,
    /// All events that fit.
    filter: Option<ReplayFilter>,
    /// Only count them.
    dry_run: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayFilter {
    /// `pending`, `done` or `dead`.
    state: Option<String>,
    /// Their kind, for example `invoice.paid`.
    kind: Option<String>,
    /// Whose object they are about.
    customer_id: Option<String>,
    /// Received at this time or later.
    from: Option<String>,
    /// Received before this time.
    to: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ReplayedBody {
    /// Events that will be processed again.
    enqueued: u64,
}

#[derive(Serialize)]
struct ReplayMeta<'a> {
    unknown: &'a [String],
}

/// Processes events again; changes nothing that is as Stripe says
#[utoipa::path(post, path = "/api/admin/webhooks.replay", tag = "admin", request_body = ReplayBody,
    responses((status = 200, description = "How many; ids we do not have are listed in `meta.unknown`", body = ReplayedBody)))]
async fn replay(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: ReplayBody = call.json()?;
    let asked = asked(body)?;
    let replayed = inbox::replay(call.app.engine(), &scope, asked).await.map_err(refused)?;
    let told = ReplayedBody { enqueued: replayed.enqueued };
    match replayed.unknown.as_slice() {
        [] => Ok(Answer::data(&told)),
        unknown => Ok(Answer::data_meta(&told, &ReplayMeta { unknown })),
    }
}

fn asked(body: ReplayBody) -> Result<Replay, ApiError> {
    match (body.event_ids, body.filter) {
        (Some(ids), None) if ids.len() > REPLAY_IDS_MAX => {
            Err(ApiError::new(&errors::TOO_LARGE, format!("At most {REPLAY_IDS_MAX} ids at once.")))
        }
        (Some(_), None) if body.dry_run.is_some() => Err(ApiError::field("/dryRun", "goes with `filter` only")),
        (Some(ids), None) => Ok(Replay::Events(ids)),
        (None, Some(filter)) => {
            Ok(Replay::Matching { filter: filter_of(filter, None)?, dry_run: body.dry_run.unwrap_or(false) })
        }
        (None, None) | (Some(_), Some(_)) => Err(ApiError::field("/eventIds", "give either `eventIds` or `filter`")),
    }
}

fn filter_of(asked: ReplayFilter, event_id: Option<String>) -> Result<Filter, ApiError> {
    let mut fields = Fields::default();
    let state = asked.state.as_deref().map(|word| State::parse(word).ok_or("must be pending, done or dead"));
    let filter = Filter {
        state: fields.read_if("/state", state),
        kind: asked.kind,
        event_id,
        customer_id: asked.customer_id,
        received_from: fields.time_if("/from", asked.from.as_deref()),
        received_before: fields.time_if("/to", asked.to.as_deref()),
    };
    fields.done()?;
    Ok(filter)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    /// `pending`, `done` or `dead`.
    state: Option<String>,
    /// Their kind, for example `invoice.paid`.
    kind: Option<String>,
    /// One event.
    event_id: Option<String>,
    /// Whose object they are about.
    customer_id: Option<String>,
    /// Received at this time or later.
    from: Option<String>,
    /// Received before this time.
    to: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListedInboxEvent {
    /// Stripe's id of the event.
    event_id: String,
    /// For example `invoice.paid`.
    kind: String,
    /// The object it is about.
    object_id: String,
    /// Whose object it is, when the event says so.
    customer_id: Option<String>,
    /// `webhook`, or how else it was found.
    source: String,
    /// When it happened at Stripe.
    happened_at: String,
    /// When it was stored.
    received_at: String,
    /// When it was done.
    processed_at: Option<String>,
    /// `pending`, `done` or `dead`.
    state: &'static str,
    /// How it became done.
    outcome: Option<String>,
    /// Failed tries.
    attempts: i64,
    /// What the last failed try said.
    last_error: Option<String>,
}

impl From<&InboxEvent> for ListedInboxEvent {
    fn from(event: &InboxEvent) -> Self {
        Self {
            event_id: event.event_id.clone(),
            kind: event.kind.clone(),
            object_id: event.object_id.clone(),
            customer_id: event.customer_id.clone(),
            source: event.source.clone(),
            happened_at: event.happened_at.to_string(),
            received_at: event.received_at.to_string(),
            processed_at: event.processed_at.map(|at| at.to_string()),
            state: event.state.as_str(),
            outcome: event.outcome.clone(),
            attempts: event.attempts,
            last_error: event.last_error.clone(),
        }
    }
}

/// Stored events, newest first; without their payload
#[utoipa::path(get, path = "/api/admin/webhooks.list", tag = "admin", params(ListQuery),
    responses((status = 200, description = "A page of events", body = Vec<ListedInboxEvent>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: ListQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let asked = ReplayFilter {
        state: query.state,
        kind: query.kind,
        customer_id: query.customer_id,
        from: query.from,
        to: query.to,
    };
    let filter = filter_of(asked, query.event_id)?;
    let page = inbox::list(call.app.engine(), &scope, &filter, &paging).await.map_err(refused)?;
    Ok(paging::told::<_, ListedInboxEvent>(&page))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::BadSignature(reason) => {
            ApiError::new(&errors::BAD_SIGNATURE, format!("The event is not believed: {reason}."))
        }
        Error::Malformed(reason) => ApiError::new(&errors::MALFORMED, format!("The body is no event: {reason}.")),
        Error::NotFound => ApiError::not_found(),
        Error::BadCursor(error) => ApiError::field("/cursor", error.to_string()),
        Error::Database(error) => failures::database(&error),
    }
}
