//! The ledger's events as a list: newest first, or found by their `request_id`.

use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::ledger::Event;
use tollgate_rules::period::PeriodKey;

use super::{Error, rows, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{Page, Paging};

/// Which events; everything left out is not filtered on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of what.
    pub metric: Option<Metric>,
    /// Counted in which period; a plain month means the newest period of that month.
    pub period_key: Option<PeriodKey>,
    /// Under which name.
    pub request_id: Option<RequestId>,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLine {
    /// Its place in the ledger; what `use_…` ids are made of.
    pub seq: i64,
    /// Who asked (`key:key_…`, `operator:…`).
    pub actor: String,
    /// The event with its first answer.
    pub event: Event,
}

/// The org's events, newest first.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Unavailable`].
pub async fn events(
    engine: &Engine,
    scope: &OrgScope,
    filter: &EventFilter,
    paging: &Paging,
) -> Result<Page<EventLine>, Error> {
    let before = paging.after_number()?;
    let mut connection = engine.read_for(scope).await?;
    let period_no = match filter.period_key {
        None => None,
        Some(key) => match sql::known_period(&mut connection, scope, key).await? {
            Some(period_no) => Some(period_no),
            None => return Ok(paging.page(Vec::new(), |line: &EventLine| line.seq.to_string())),
        },
    };
    let asked = sql::EventsAsked {
        metric: filter.metric.as_ref(),
        period_no,
        request_id: filter.request_id.as_ref().map(RequestId::as_str),
        before,
        rows: paging.fetch(),
    };
    let mut lines = Vec::new();
    for row in sql::event_rows(&mut connection, scope, &asked).await? {
        lines.push(EventLine { seq: row.i64("seq")?, actor: row.text("actor")?, event: rows::event(&row)? });
    }
    Ok(paging.page(lines, |line| line.seq.to_string()))
}
