//! What was given, newest first.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;

use super::{Adjustment, Kind, record, sql};
use crate::access::OperatorScope;
use crate::db::{Error, Row};
use crate::engine::Engine;
use crate::paging::{BadCursor, ListError, Page, Paging};

/// Which adjustments.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of this kind.
    pub kind: Kind,
    /// Of this org; of all where nothing is said.
    pub org_id: Option<OrgId>,
}

/// An adjustment as it stands in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The operation that made it.
    pub adjustment_id: String,
    /// Whose.
    pub org_id: String,
    /// What.
    pub adjustment: Adjustment,
    /// Why.
    pub reason: String,
    /// By whom.
    pub actor: String,
    /// When, on the business clock.
    pub created_at: Timestamp,
}

/// One page of adjustments.
///
/// # Errors
/// [`ListError`].
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<Recorded>, ListError> {
    let before = paging.after().map(position).transpose()?;
    let mut connection = engine.db().read().await?;
    let rows = sql::newest(&mut connection, filter, before, paging.fetch()).await?;
    let items = rows.iter().map(recorded).collect::<Result<Vec<_>, _>>()?;
    Ok(paging.page(items, |item| format!("{}:{}", item.created_at.as_micros(), item.adjustment_id)))
}

fn position(cursor: &str) -> Result<(Timestamp, &str), BadCursor> {
    let (micros, id) = cursor.split_once(':').ok_or(BadCursor)?;
    Ok((Timestamp::from_micros(micros.parse().map_err(|_| BadCursor)?), id))
}

fn recorded(row: &Row) -> Result<Recorded, Error> {
    let detail: Value = serde_json::from_str(&row.text("detail")?).map_err(|error| Error::Bug(error.to_string()))?;
    Ok(Recorded {
        adjustment_id: row.text("adjustment_id")?,
        org_id: row.text("org_id")?,
        adjustment: record::read::<Adjustment>(detail)?.standing(row.opt_text("refund_status")?),
        reason: row.text("reason")?,
        actor: row.text("actor")?,
        created_at: row.time("created_at")?,
    })
}
