//! The operator's own systems that are told of what happens: endpoints, their deliveries, and the same messages to pull.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tollgate_engine::outgoing::{self, Change, Endpoint, Error, KINDS, Listed, NewEndpoint, Redeliver};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures, paging};

const OPERATE: Access = Access::Operator(Permission::WebhooksOperate);

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::with::<__path_create, _, _>(Spec::secret(OPERATE), create).refuses(&[errors::CONFLICT]),
        Route::new::<__path_list, _, _>(OPERATE, list),
        Route::with::<__path_update, _, _>(Spec::change(OPERATE), update),
        Route::with::<__path_rotate, _, _>(Spec::secret(OPERATE), rotate),
        Route::with::<__path_delete, _, _>(Spec::change(OPERATE), delete),
        Route::new::<__path_deliveries, _, _>(OPERATE, deliveries),
        Route::with::<__path_redeliver, _, _>(Spec::change(OPERATE), redeliver),
        Route::new::<__path_pull, _, _>(OPERATE, pull),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewEndpointBody {
    /// Where to: a public https address.
    url: String,
    /// Which kinds of messages; all when left out.
    kinds: Option<Vec<String>>,
    /// What it is for.
    description: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EndpointBody {
    /// The endpoint (`we_…`).
    endpoint_id: String,
    /// Where to.
    url: String,
    /// Which kinds; empty means all.
    kinds: Vec<String>,
    /// What it is for.
    description: Option<String>,
    /// `enabled` or `disabled`.
    state: &'static str,
    /// Until when the secret before the last rotation signs too; null when it does not.
    former_secret_until: Option<String>,
    /// Since when every attempt failed; null when the last one did not.
    failing_since: Option<String>,
    /// When it was made.
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EndpointSecretBody {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// What messages are signed with (Standard Webhooks); shown this once.
    secret: String,
}

impl From<&Endpoint> for EndpointBody {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            endpoint_id: endpoint.endpoint_id.clone(),
            url: endpoint.url.clone(),
            kinds: endpoint.kinds.clone(),
            description: endpoint.description.clone(),
            state: endpoint.state.as_str(),
            former_secret_until: endpoint.former_until().map(|until| until.to_string()),
            failing_since: endpoint.failing_since.map(|since| since.to_string()),
            created_at: endpoint.created_at.to_string(),
        }
    }
}

fn with_secret(created: &outgoing::Created) -> Answer {
    let endpoint = EndpointBody::from(&created.endpoint);
    Answer::data(&EndpointSecretBody { endpoint, secret: created.secret.expose_secret().to_owned() })
}

/// Makes an endpoint, which is told of what happens from now on
#[utoipa::path(post, path = "/api/admin/webhooks.endpoints.create", tag = "admin", request_body = NewEndpointBody,
    responses((status = 200, description = "The endpoint with its secret", body = EndpointSecretBody)))]
async fn create(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: NewEndpointBody = call.json()?;
    described(body.description.as_deref())?;
    let new = NewEndpoint { url: body.url, kinds: body.kinds.unwrap_or_default(), description: body.description };
    let created = outgoing::create(call.app.engine(), &scope, new).await.map_err(refused)?;
    Ok(with_secret(&created))
}

fn described(description: Option<&str>) -> Result<(), ApiError> {
    let mut fields = Fields::default();
    if let Some(description) = description {
        fields.text("/description", description);
    }
    fields.done()
}

/// Every endpoint, newest first
#[utoipa::path(get, path = "/api/admin/webhooks.endpoints.list", tag = "admin",
    responses((status = 200, description = "The endpoints; `meta.kinds` names every kind of message", body = Vec<EndpointBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let endpoints = outgoing::list(call.app.engine(), &scope).await.map_err(refused)?;
    let bodies: Vec<EndpointBody> = endpoints.iter().map(EndpointBody::from).collect();
    Ok(Answer::data_meta(&bodies, &json!({ "nextCursor": Value::Null, "kinds": KINDS })))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndpointChangeBody {
    /// The endpoint.
    endpoint_id: String,
    /// Where to.
    url: Option<String>,
    /// Which kinds of messages; an empty list means all.
    kinds: Option<Vec<String>>,
    /// Whether it is told. Enabled again, it goes on where it stopped.
    enabled: Option<bool>,
}

/// Changes an endpoint
#[utoipa::path(post, path = "/api/admin/webhooks.endpoints.update", tag = "admin", request_body = EndpointChangeBody,
    responses((status = 200, description = "The endpoint afterwards", body = EndpointBody)))]
async fn update(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: EndpointChangeBody = call.json()?;
    let change = Change { url: body.url, kinds: body.kinds, enabled: body.enabled };
    let endpoint = outgoing::update(call.app.engine(), &scope, &body.endpoint_id, change).await.map_err(refused)?;
    Ok(Answer::data(&EndpointBody::from(&endpoint)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndpointIdBody {
    /// The endpoint.
    endpoint_id: String,
}

/// Gives an endpoint a new secret; the one before signs beside it for 24 hours
#[utoipa::path(post, path = "/api/admin/webhooks.endpoints.rotate", tag = "admin", request_body = EndpointIdBody,
    responses((status = 200, description = "The endpoint with its new secret", body = EndpointSecretBody)))]
async fn rotate(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: EndpointIdBody = call.json()?;
    let created = outgoing::rotate(call.app.engine(), &scope, &body.endpoint_id).await.map_err(refused)?;
    Ok(with_secret(&created))
}

#[derive(Serialize, ToSchema)]
struct DeletedEndpointBody {
    /// Always true.
    deleted: bool,
}

/// Deletes an endpoint with what is on its way to it
#[utoipa::path(post, path = "/api/admin/webhooks.endpoints.delete", tag = "admin", request_body = EndpointIdBody,
    responses((status = 200, description = "Gone", body = DeletedEndpointBody)))]
async fn delete(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: EndpointIdBody = call.json()?;
    outgoing::delete(call.app.engine(), &scope, &body.endpoint_id).await.map_err(refused)?;
    Ok(Answer::data(&DeletedEndpointBody { deleted: true }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeliveriesQuery {
    /// The endpoint.
    endpoint_id: String,
    /// `pending`, `done` or `dead`.
    state: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryBody {
    /// The message's place in the order of all messages.
    sequence: i64,
    /// The message (`webhook-id`).
    message_id: String,
    /// What happened.
    kind: String,
    /// `pending`, `done` or `dead`.
    state: String,
    /// Attempts so far.
    attempts: i64,
    /// When it is tried next, or was to be.
    run_at: String,
    /// The last answer's status.
    last_status: Option<i64>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
}

impl From<&Listed> for DeliveryBody {
    fn from(listed: &Listed) -> Self {
        Self {
            sequence: listed.sequence,
            message_id: listed.message_id.clone(),
            kind: listed.kind.clone(),
            state: listed.state.clone(),
            attempts: listed.attempts,
            run_at: listed.run_at.to_string(),
            last_status: listed.last_status,
            last_error: listed.last_error.clone(),
            ended_at: listed.ended_at.map(|at| at.to_string()),
        }
    }
}

/// What became of messages to an endpoint, newest first
#[utoipa::path(get, path = "/api/admin/webhooks.endpoints.deliveries", tag = "admin", params(DeliveriesQuery),
    responses((status = 200, description = "A page of deliveries", body = Vec<DeliveryBody>)))]
async fn deliveries(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: DeliveriesQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    if query.state.as_deref().is_some_and(|state| !matches!(state, "pending" | "done" | "dead")) {
        return Err(ApiError::field("/state", "must be pending, done or dead"));
    }
    let filter = outgoing::DeliveryFilter { endpoint_id: query.endpoint_id, state: query.state };
    let page = outgoing::deliveries(call.app.engine(), &scope, &filter, &paging).await.map_err(refused)?;
    Ok(paging::told::<_, DeliveryBody>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedeliverBody {
    /// The endpoint.
    endpoint_id: String,
    /// This message; all dead ones when left out.
    #[schema(minimum = 1)]
    sequence: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct RedeliveredBody {
    /// Deliveries that are made again.
    enqueued: u64,
}

/// Delivers messages again, with all ten attempts
#[utoipa::path(post, path = "/api/admin/webhooks.endpoints.redeliver", tag = "admin", request_body = RedeliverBody,
    responses((status = 200, description = "How many", body = RedeliveredBody)))]
async fn redeliver(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: RedeliverBody = call.json()?;
    let which = body.sequence.map_or(Redeliver::Dead, Redeliver::One);
    let enqueued = outgoing::redeliver(call.app.engine(), &scope, &body.endpoint_id, which).await.map_err(refused)?;
    Ok(Answer::data(&RedeliveredBody { enqueued }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PullQuery {
    /// Messages after this sequence; from the oldest that is kept when left out.
    after: Option<i64>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MessageBody {
    /// Its place in the order of all messages.
    sequence: i64,
    /// The message (`webhook-id`).
    message_id: String,
    /// What happened.
    kind: String,
    /// Whose; null for the server itself.
    org_id: Option<String>,
    /// What changed: `entity`, `before`, `after`.
    #[schema(value_type = Object)]
    data: Value,
    /// When.
    created_at: String,
}

/// Messages in the order of their sequence, for systems that rather ask than be told
///
/// `meta.after` is what to ask with the next time, also where there was nothing new. Messages are kept for 30 days.
#[utoipa::path(get, path = "/api/admin/webhooks.endpoints.pull", tag = "admin", params(PullQuery),
    responses((status = 200, description = "Messages, oldest first", body = Vec<MessageBody>)))]
async fn pull(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: PullQuery = call.query()?;
    paging::asked(query.limit, None)?;
    let (after, limit) = (query.after.unwrap_or(0), query.limit.unwrap_or(20));
    let pulled = outgoing::pull(call.app.engine(), &scope, after, limit).await.map_err(refused)?;
    let message = |message: &outgoing::Message| MessageBody {
        sequence: message.sequence,
        message_id: message.message_id.clone(),
        kind: message.kind.clone(),
        org_id: message.org_id.clone(),
        data: message.data.clone(),
        created_at: message.created_at.to_string(),
    };
    let messages: Vec<MessageBody> = pulled.messages.iter().map(message).collect();
    Ok(Answer::data_meta(&messages, &json!({ "after": pulled.cursor })))
}

fn refused(error: Error) -> ApiError {
    let said = error.to_string();
    match error {
        Error::BadUrl(_) => ApiError::field("/url", said),
        Error::BadKind(_) => ApiError::field("/kinds", said),
        Error::TooMany(_) => ApiError::new(&errors::CONFLICT, format!("{said}.")),
        Error::NotFound => ApiError::not_found(),
        Error::BadCursor(error) => ApiError::field("/cursor", error.to_string()),
        Error::Database(error) => failures::database(&error),
    }
}
