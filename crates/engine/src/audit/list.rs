//! Reads the journal, newest first.

use serde_json::Value;

use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;

use super::sql;
use crate::access::OperatorScope;
use crate::db::{Connection, Error, Row};
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// Which entries; what is left out does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this org.
    pub org_id: Option<OrgId>,
    /// By this actor (`operator:configured`, `key:key_…`, `system:inbox`).
    pub actor: Option<String>,
    /// This action (`orgs.update`).
    pub action: Option<String>,
    /// About this entity.
    pub entity: Option<String>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Of this trace.
    pub corr_id: Option<String>,
}

/// An entry as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    seq: i64,
    /// `aud_…`.
    pub entry_id: String,
    /// When, on the business clock.
    pub occurred_at: Timestamp,
    /// Whose; none for the server itself.
    pub org_id: Option<String>,
    /// Who; none when erased.
    pub actor: Option<String>,
    /// What.
    pub action: String,
    /// About what; none when erased.
    pub entity: Option<String>,
    /// The state before.
    pub before: Option<Value>,
    /// The state after.
    pub after: Option<Value>,
    /// The trace.
    pub corr_id: String,
    /// Its hash in the chain; none until it is sealed.
    pub hash: Option<String>,
    /// The hash it is chained to.
    pub prev_hash: Option<String>,
}

/// One page of the journal.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<Recorded>, ListError> {
    let before_seq = paging.after_number()?.unwrap_or(i64::MAX);
    let mut connection = engine.db().read().await?;
    let rows = sql::list(&mut connection, filter, before_seq, paging).await?;
    let entries = rows.iter().map(recorded).collect::<Result<Vec<_>, _>>()?;
    Ok(paging.page(entries, |entry| entry.seq.to_string()))
}

/// Something somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub occurred_at: Timestamp,
    /// What.
    pub action: String,
    /// About what; none when erased.
    pub entity: Option<String>,
}

/// What an actor did, newest first, at most `rows`.
pub(crate) async fn deeds(connection: &mut Connection, actor: &str, rows: i64) -> Result<Vec<Deed>, Error> {
    let rows = sql::by_actor(connection, actor, rows).await?;
    let read = |row: &Row| {
        Ok(Deed { occurred_at: row.time("occurred_at")?, action: row.text("action")?, entity: row.opt_text("entity")? })
    };
    rows.iter().map(read).collect()
}

fn recorded(row: &Row) -> Result<Recorded, Error> {
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Recorded {
        seq: row.i64("seq")?,
        entry_id: row.text("entry_id")?,
        occurred_at: row.time("occurred_at")?,
        org_id: row.opt_text("org_id")?,
        actor: row.opt_text("actor")?,
        action: row.text("action")?,
        entity: row.opt_text("entity")?,
        before: json(row.opt_text("before_json")?),
        after: json(row.opt_text("after_json")?),
        corr_id: row.text("corr_id")?,
        hash: row.opt_text("hash")?,
        prev_hash: row.opt_text("prev_hash")?,
    })
}
