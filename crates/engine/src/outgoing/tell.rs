//! A message out of the audit entry that tells of a change, in its transaction.

use serde_json::{Value, json};

use super::sql;
use crate::db::{Error, Tx};
use crate::engine::Engine;

/// The changes that endpoints can be told of: actions of the audit journal.
pub const KINDS: &[&str] = &[
    "orgs.create",
    "orgs.update",
    "orgs.delete",
    "customer.create",
    "customer.update",
    "subscription.create",
    "subscription.update",
    "invoice.updated",
    "coupons.create",
    "promotions.create",
    "credits.grant",
    "refunds.create",
    "refunds.update",
    "credit-notes.create",
    "grants.create",
    "grants.revoke",
    "overrides.set",
    "overrides.clear",
    "usage.correct",
    "incidents.open",
    "incidents.close",
];

/// A change as the journal has it.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) org_key: i64,
    pub(crate) action: &'a str,
    pub(crate) entity: &'a str,
    pub(crate) before: Option<&'a Value>,
    pub(crate) after: Option<&'a Value>,
}

/// Stores the message of a change, if it is one that endpoints can be told of.
pub(crate) async fn tell(engine: &Engine, tx: &mut Tx, told: &Told<'_>) -> Result<(), Error> {
    if !KINDS.contains(&told.action) {
        return Ok(());
    }
    let data = json!({ "entity": told.entity, "before": told.before, "after": told.after });
    let message = sql::NewMessage {
        message_id: &engine.new_id("msg_"),
        kind: told.action,
        org_key: told.org_key,
        data: &data.to_string(),
    };
    sql::insert_message(tx, &message, engine.now()).await
}
