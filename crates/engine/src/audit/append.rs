//! One entry in the transaction of the change it tells about.

use serde_json::Value;

use tollgate_rules::ids::{OrgKey, UserId};

use super::{SERVER, digest, sql};
use crate::access::{OperatorScope, OrgScope};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::outgoing;

/// What changed: who, what, before, after.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) org_key: i64,
    pub(super) actor: String,
    pub(super) corr_id: String,
    pub(super) action: &'static str,
    pub(super) entity: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

impl Entry {
    /// A change of one org by whoever holds the scope. `action` is `noun.verb`, `entity` the id of what changed.
    #[must_use]
    pub fn of(scope: &OrgScope, action: &'static str, entity: impl Into<String>) -> Entry {
        Entry {
            org_key: scope.org_key().0,
            actor: scope.actor().to_owned(),
            corr_id: scope.corr_id().to_owned(),
            action,
            entity: entity.into(),
            before: None,
            after: None,
        }
    }

    /// A change of the server itself.
    #[must_use]
    pub fn server(scope: &OperatorScope, action: &'static str, entity: impl Into<String>) -> Entry {
        Entry {
            org_key: SERVER,
            actor: scope.actor().to_owned(),
            corr_id: scope.corr_id().to_owned(),
            action,
            entity: entity.into(),
            before: None,
            after: None,
        }
    }

    /// A change of their own account by a user; it belongs to no org.
    #[must_use]
    pub(crate) fn by_user(user_id: &UserId, action: &'static str, entity: impl Into<String>) -> Entry {
        Entry {
            org_key: SERVER,
            actor: format!("user:{user_id}"),
            corr_id: String::new(),
            action,
            entity: entity.into(),
            before: None,
            after: None,
        }
    }

    /// A change of one org by a worker of ours, for example because billing told so.
    #[must_use]
    pub(crate) fn by_system(name: &str, org_key: OrgKey, action: &'static str, entity: impl Into<String>) -> Entry {
        Entry {
            org_key: org_key.0,
            actor: format!("system:{name}"),
            corr_id: String::new(),
            action,
            entity: entity.into(),
            before: None,
            after: None,
        }
    }

    /// Somebody else acts than the one it is about.
    #[must_use]
    pub(crate) fn by(mut self, actor: &str) -> Entry {
        actor.clone_into(&mut self.actor);
        self
    }

    /// The trace id, where it does not come from a scope.
    #[must_use]
    pub(crate) fn corr_id(mut self, corr_id: &str) -> Entry {
        corr_id.clone_into(&mut self.corr_id);
        self
    }

    /// The state before; nothing where there was none.
    #[must_use]
    pub fn before(mut self, value: Value) -> Entry {
        self.before = Some(value);
        self
    }

    /// The state after; nothing where there is none.
    #[must_use]
    pub fn after(mut self, value: Value) -> Entry {
        self.after = Some(value);
        self
    }
}

/// Writes the entry with the change it tells about: both or neither.
pub(crate) async fn append(engine: &Engine, tx: &mut Tx, entry: Entry) -> Result<(), Error> {
    let occurred_at = engine.now();
    let told = outgoing::Told {
        org_key: entry.org_key,
        action: entry.action,
        entity: &entry.entity,
        before: entry.before.as_ref(),
        after: entry.after.as_ref(),
    };
    outgoing::tell(engine, tx, &told).await?;
    let fields = digest::Fields {
        actor: Some(entry.actor),
        entity: Some(entry.entity),
        before: entry.before.map(|value| value.to_string()),
        after: entry.after.map(|value| value.to_string()),
    };
    let salts = digest::Salts::new(&engine.clock().entropy);
    let row = sql::NewEntry {
        org_key: entry.org_key,
        entry_id: engine.new_id("aud_"),
        occurred_at,
        action: entry.action,
        corr_id: entry.corr_id,
        digests: digest::of(&fields, &salts),
        fields,
        salts: salts.to_json(),
    };
    sql::insert(tx, &row).await
}
