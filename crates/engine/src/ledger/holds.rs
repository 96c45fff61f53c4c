//! Open holds as a list.

use tollgate_rules::ids::{HoldId, Metric, RequestId};
use tollgate_rules::period::PeriodKey;
use tollgate_rules::time::Timestamp;

use super::{Error, rows, sql};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::paging::{Page, Paging};

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldLine {
    /// Its id.
    pub hold_id: HoldId,
    /// The caller's name of the usage.
    pub request_id: RequestId,
    /// What is held.
    pub metric: Metric,
    /// How many.
    pub units: i64,
    /// The period it belongs to.
    pub period_key: PeriodKey,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The org's holds that are open now, newest first.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn holds(
    engine: &Engine,
    scope: &OrgScope,
    metric: Option<&Metric>,
    paging: &Paging,
) -> Result<Page<HoldLine>, Error> {
    let mut connection = engine.read_for(scope).await?;
    let part = (engine.now(), paging.after(), paging.fetch());
    let mut lines = Vec::new();
    for row in sql::hold_rows(&mut connection, scope, metric, part).await? {
        lines.push(HoldLine {
            hold_id: rows::id(HoldId::parse(&row.text("hold_id")?))?,
            request_id: rows::id(RequestId::parse(&row.text("request_id")?))?,
            metric: rows::metric(&row)?,
            units: row.i64("units")?,
            period_key: PeriodKey::parse(&row.text("period_key")?)
                .map_err(|error| db::Error::Bug(error.to_string()))?,
            taken_at: row.time("taken_at")?,
            expires_at: row.time("expires_at")?,
        });
    }
    Ok(paging.page(lines, |line| line.hold_id.as_str().to_owned()))
}
