//! Messages of whoever keeps users and memberships (Clerk).

use serde::Serialize;
use tollgate_engine::identity::{self, Delivery, Error};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route};
use crate::{errors, failures};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_receive, _, _>(Access::Signature, receive)
            .also("/api/webhooks/clerk")
            .refuses(&[errors::BAD_SIGNATURE, errors::OVERLOADED]),
    ]
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClerkQueued {
    /// Always true.
    queued: bool,
    /// The message's id (`svix-id`).
    event_id: String,
}

/// Takes in an event of Clerk
///
/// The raw body with its `svix-id`, `svix-timestamp` and `svix-signature`. Stored and applied once, in whatever order they come.
#[utoipa::path(post, path = "/api/webhooks/clerk.receive", tag = "webhooks",
    responses((status = 202, description = "Stored; a repeat is answered the same", body = ClerkQueued)))]
async fn receive(call: Call) -> Result<Answer, ApiError> {
    let header = |name: &str| call.header(name).unwrap_or_default();
    let delivery = Delivery {
        raw: &call.body,
        id: header("svix-id"),
        timestamp: header("svix-timestamp"),
        signature: header("svix-signature"),
    };
    let received = identity::receive(call.app.engine(), &delivery).await.map_err(refused)?;
    Ok(Answer::data(&ClerkQueued { queued: true, event_id: received.event_id }).with_status(202))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::BadSignature(reason) => {
            ApiError::new(&errors::BAD_SIGNATURE, format!("The event is not believed: {reason}."))
        }
        Error::Malformed(reason) => ApiError::new(&errors::MALFORMED, format!("The body is no event: {reason}.")),
        Error::Database(error) => failures::database(&error),
        Error::Elsewhere(error) => {
            tracing::error!(%error, "taking in a message asked outside; this is a bug");
            ApiError::internal()
        }
    }
}
