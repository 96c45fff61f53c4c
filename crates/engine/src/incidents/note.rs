//! An incident in the transaction that finds its cause, or its end.

use serde_json::json;

use tollgate_rules::ids::OrgKey;

use super::{Kind, sql};
use crate::audit;
use crate::db::{Error, Tx};
use crate::engine::Engine;

/// A cause that was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// Whose; [`super::SERVER`] for none.
    pub(crate) org_key: i64,
    pub(crate) kind: Kind,
    /// What it is about: with kind and org, its name.
    pub(crate) subject: &'a str,
    /// In words, without secrets.
    pub(crate) detail: &'a str,
}

/// Opens an incident, or counts up the one that is open.
pub(crate) async fn open(engine: &Engine, tx: &mut Tx, seen: &Seen<'_>) -> Result<(), Error> {
    let now = engine.now();
    if sql::count_up(tx, seen, now).await? {
        return Ok(());
    }
    let incident_id = engine.new_id("inc_");
    sql::insert(tx, &incident_id, seen, now).await?;
    tracing::error!(kind = seen.kind.as_str(), subject = seen.subject, detail = seen.detail, "an incident was opened");
    let after = json!({ "kind": seen.kind.as_str(), "subject": seen.subject, "detail": seen.detail });
    let entry = audit::Entry::by_system("incidents", OrgKey(seen.org_key), "incidents.open", incident_id);
    audit::append(engine, tx, entry.after(after)).await
}

/// Closes the open incident about a subject of the server, where there is one: its cause is gone.
pub(crate) async fn close(engine: &Engine, tx: &mut Tx, kind: Kind, subject: &str) -> Result<(), Error> {
    for (org_key, incident_id) in sql::close(tx, kind, subject, engine.now()).await? {
        let after = json!({ "kind": kind.as_str(), "subject": subject });
        let entry = audit::Entry::by_system("incidents", OrgKey(org_key), "incidents.close", incident_id);
        audit::append(engine, tx, entry.after(after)).await?;
    }
    Ok(())
}
