//! Usage as a series: per hour, per day or per caller, from the hourly rollups.

use tollgate_rules::ids::Metric;
use tollgate_rules::time::Timestamp;

use super::{Error, rows, sql};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Points one answer has at most: a year of hours of one metric.
const POINTS_MAX: i64 = 10_000;

/// Which usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// From the hour that contains this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Of what; nothing: every metric.
    pub metric: Option<Metric>,
    /// In which steps.
    pub by: By,
}

/// The steps of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Hours.
    Hour,
    /// Days in UTC.
    Day,
    /// Callers.
    Key,
}

/// One point of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The start of the hour or day; of a caller: their first hour with usage.
    pub at: Timestamp,
    /// The caller; nothing unless the series is by caller.
    pub actor: Option<String>,
    /// Of what.
    pub metric: Metric,
    /// Units counted, corrections included.
    pub units: i64,
    /// Events counted.
    pub events: i64,
}

/// The org's usage, oldest first (by caller: in the order of their names), at most 10,000 points.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn history(engine: &Engine, scope: &OrgScope, history: &History) -> Result<Vec<Point>, Error> {
    let mut connection = engine.read_for(scope).await?;
    let from = hour_of(history.from);
    let series = sql::Series { from, to: history.to, metric: history.metric.as_ref(), rows: POINTS_MAX };
    let points = match history.by {
        By::Hour => sql::history_by_hour(&mut connection, scope, &series).await?,
        By::Day => sql::history_by_day(&mut connection, scope, &series).await?,
        By::Key => sql::history_by_key(&mut connection, scope, &series).await?,
    };
    let by_key = history.by == By::Key;
    let mut answer = Vec::with_capacity(points.len());
    for row in &points {
        answer.push(Point {
            at: row.time("start_at")?,
            actor: if by_key { Some(row.text("actor")?) } else { None },
            metric: rows::metric(row)?,
            units: row.i64("units")?,
            events: row.i64("events")?,
        });
    }
    Ok(answer)
}

fn hour_of(at: Timestamp) -> Timestamp {
    let micros = at.as_micros();
    Timestamp::from_micros(micros.saturating_sub(micros.rem_euclid(3_600_000_000)))
}
