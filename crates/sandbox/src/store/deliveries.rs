//! Webhook deliveries: one row per event and endpoint, from the plan to the last attempt.

use sqlx::Row;

use super::{Result, Tx};

/// One webhook to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) event: String,
    pub(crate) endpoint: String,
    pub(crate) attempts: i64,
}

impl Tx {
    /// Plans the first delivery of an event to an endpoint.
    pub(crate) fn insert_delivery(&mut self, event: &str, endpoint: &str, due_micros: i64) -> Result<()> {
        self.run(
            sqlx::query("INSERT INTO deliveries (event, endpoint, due, state) VALUES ($1, $2, $3, 'new')")
                .bind(event)
                .bind(endpoint)
                .bind(due_micros),
        )?;
        Ok(())
    }

    /// Deliveries that are due, oldest first.
    pub(crate) fn due_deliveries(&mut self, now_micros: i64, limit: i64) -> Result<Vec<Delivery>> {
        self.rows(
            sqlx::query(
                "SELECT id, event, endpoint, attempts FROM deliveries
                 WHERE state IN ('new', 'retry') AND due <= $1 ORDER BY id ASC LIMIT $2",
            )
            .bind(now_micros)
            .bind(limit),
        )?
        .into_iter()
        .map(|row| {
            Ok(Delivery {
                id: row.try_get("id")?,
                event: row.try_get("event")?,
                endpoint: row.try_get("endpoint")?,
                attempts: row.try_get("attempts")?,
            })
        })
        .collect()
    }

    /// When the next repeated delivery is due.
    pub(crate) fn next_redelivery(&mut self) -> Result<Option<i64>> {
        let row = self.row(sqlx::query("SELECT MIN(due) AS due FROM deliveries WHERE state = 'retry'"))?;
        Ok(row.map(|row| row.try_get("due")).transpose()?.flatten())
    }

    /// Notes how an attempt ended: `state` is `done`, `retry` (again at `due_micros`) or `failed` (given up).
    pub(crate) fn finish_attempt(&mut self, id: i64, state: &str, due_micros: i64) -> Result<()> {
        self.run(
            sqlx::query("UPDATE deliveries SET state = $2, due = $3, attempts = attempts + 1 WHERE id = $1")
                .bind(id)
                .bind(state)
                .bind(due_micros),
        )?;
        Ok(())
    }

    /// Begins the repeats to an endpoint anew: its receiver was away only because it was being started again.
    pub(crate) fn hurry_deliveries(&mut self, endpoint: &str, now_micros: i64) -> Result<()> {
        self.run(
            sqlx::query(
                "UPDATE deliveries SET due = MIN(due, $2), attempts = 0 WHERE endpoint = $1 AND state = 'retry'",
            )
            .bind(endpoint)
            .bind(now_micros),
        )?;
        Ok(())
    }

    /// How many deliveries have not been attempted yet.
    pub(crate) fn unattempted(&mut self) -> Result<i64> {
        let row = self.row(sqlx::query("SELECT COUNT(*) AS n FROM deliveries WHERE state = 'new'"))?;
        row.map_or(Ok(0), |row| Ok(row.try_get("n")?))
    }

    /// How many endpoints have yet to confirm an event, and whether it was planned for any.
    pub(crate) fn outstanding(&mut self, event: &str) -> Result<(i64, i64)> {
        let row = self.row(
            sqlx::query(
                "SELECT COUNT(*) AS n, COALESCE(SUM(state <> 'done'), 0) AS open FROM deliveries WHERE event = $1",
            )
            .bind(event),
        )?;
        row.map_or(Ok((0, 0)), |row| Ok((row.try_get("open")?, row.try_get("n")?)))
    }

    /// The events that some endpoint has not confirmed.
    pub(crate) fn undelivered_events(&mut self) -> Result<Vec<String>> {
        self.rows(sqlx::query(
            "SELECT DISTINCT event FROM deliveries WHERE state <> 'done' ORDER BY event LIMIT 100000",
        ))?
        .into_iter()
        .map(|row| Ok(row.try_get("event")?))
        .collect()
    }

    /// Drops what was planned for an endpoint that is no more.
    pub(crate) fn forget_endpoint(&mut self, endpoint: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM deliveries WHERE endpoint = $1 AND state <> 'done'").bind(endpoint))?;
        Ok(())
    }
}
