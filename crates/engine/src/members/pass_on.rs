//! Passes changes of members on to whoever keeps them (Clerk), by operations that go on after a crash.
//!
//! A role changes here when it has changed there; who is out is out here at once, and there as soon as it answers. Roles of one
//! member are changed one after the other.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::identity::{Error as Elsewhere, MembershipFact};
use tollgate_rules::access::Role;
use tollgate_rules::ids::UserId;

use super::Error;
use crate::access::OrgScope;
use crate::db::{self, Tx};
use crate::engine::Engine;
use crate::fault::point;
use crate::identity;
use crate::operations::{self, Begun, Code, Kind, NewOperation, Refusal, Run, Stop};

/// How a member is to be there; frozen with the operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    user_id: UserId,
    /// None: out.
    role: Option<Role>,
}

/// Stores what is to be told, in the transaction that decides on it; [`tell`] after the commit.
///
/// # Errors
/// [`Error::Busy`] while another role of this member is under way.
pub(super) async fn begin(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    (user_id, role): (&UserId, Option<Role>),
) -> Result<Begun, Error> {
    let change = Change { user_id: user_id.clone(), role };
    let body = serde_json::to_value(&change).map_err(|error| db::Error::Bug(error.to_string()))?;
    // Whoever is to be out is out, whatever else is on its way: a change of role that comes later finds nobody there.
    let dedupe_key = format!("{user_id}/{}", if role.is_some() { "role" } else { "out" });
    let new = NewOperation { kind: Kind::MemberChange, dedupe_key, body: body.clone() };
    let begun = operations::begin(engine, tx, scope, new).await?;
    match &begun {
        Begun::Running(operation) if operation.body != body => Err(Error::Busy),
        Begun::New(_) | Begun::Running(_) => Ok(begun),
    }
}

/// Tells it, and waits for the answer.
///
/// # Errors
/// [`Error::Elsewhere`] where it was refused; [`Error::Pending`]: it is done by itself later.
pub(super) async fn tell(engine: &Engine, begun: Begun) -> Result<(), Error> {
    match operations::drive(engine, begun).await {
        Ok(_) => Ok(()),
        Err(operations::Error::Pending { operation_id }) => Err(Error::Pending(operation_id)),
        Err(operations::Error::Refused(refusal)) if refusal.code == Code::Missing => {
            Err(Error::Elsewhere(Elsewhere::NotFound))
        }
        Err(operations::Error::Refused(refusal)) => Err(Error::Elsewhere(Elsewhere::Refused(refusal.message))),
        Err(operations::Error::Database(error)) => Err(error.into()),
    }
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let change: Change = run.body()?;
    let (engine, org_id) = (run.engine().clone(), run.scope().org_id().clone());
    let asked = change.clone();
    // Stored before it is applied: what somebody changed there since is not changed back when this goes on after a crash.
    let told: Option<MembershipFact> = run
        .step("tell", |_| async move {
            point(&engine, "members.change.before_send").map_err(db::Error::from)?;
            let told = match asked.role {
                Some(role) => engine.identity().set_role(&org_id, &asked.user_id, role).await.map(Some),
                None => match engine.identity().remove_member(&org_id, &asked.user_id).await {
                    Err(Elsewhere::NotFound) => Ok(None),
                    told => told.map(Some),
                },
            };
            let told = told.map_err(stop)?;
            point(&engine, "members.change.sent").map_err(db::Error::from)?;
            Ok(told)
        })
        .await?;
    let (engine, scope) = (run.engine(), run.scope());
    match (told, change.role) {
        (Some(told), Some(_)) => identity::take_in(engine, told).await?,
        (Some(told), None) => identity::take_out(engine, told).await?,
        (None, _) => identity::know_gone(engine, scope, &change.user_id).await?,
    }
    Ok(json!({}))
}

fn stop(error: Elsewhere) -> Stop {
    let message = error.to_string();
    let refuse = |code| Stop::Refused(Refusal { code, message: message.clone(), reason: None, client_secret: None });
    match error {
        Elsewhere::Passing(_) => Stop::Later(message),
        Elsewhere::NotFound => refuse(Code::Missing),
        Elsewhere::Refused(_) => refuse(Code::Refused),
        Elsewhere::Off => refuse(Code::Off),
    }
}
