//! Appending a decided group: events, counters, holds, rollups.

use crate::db::{Columns, Error, Kind, Statement, Tx};

/// Every statement here.
pub(super) const ALL: &[&Statement] = &[&APPEND_EVENTS, &APPEND_CHUNK, &SAVE_COUNTERS, &SAVE_HOLDS, &COUNT_ROLLUPS];

const APPEND_EVENTS: Statement = Statement::split(
    "ledger.append_events",
    "INSERT INTO usage_events (org_key, request_id, item_no, period_no, metric, verb, delta, units, forced, occurred_at, recorded_at,
       actor, source, reason, corrects, hold_id, expires_at, would_deny, answer_used, answer_held, answer_limit)
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10,
            value->>11, value->>12, value->>13, value->>14, value->>15, value->>16, value->>17, value->>18, value->>19, value->>20
     FROM json_each($1)
     WHERE TRUE
     ON CONFLICT (org_key, request_id, item_no) DO NOTHING",
    APPEND_UNNESTED,
);

/// The rows of [`APPEND_CHUNK`].
const CHUNK_ROWS: usize = 16;

/// The same for whole chunks: on SQLite a row of bound values costs a third less than one taken out of JSON. The places are `?`, not
/// `$1`, because the driver looks every name up at each call.
const APPEND_CHUNK: Statement = Statement::split(
    "ledger.append_chunk",
    "INSERT INTO usage_events (org_key, request_id, item_no, period_no, metric, verb, delta, units, forced, occurred_at, recorded_at,
       actor, source, reason, corrects, hold_id, expires_at, would_deny, answer_used, answer_held, answer_limit)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (org_key, request_id, item_no) DO NOTHING",
    APPEND_UNNESTED,
);

const APPEND_UNNESTED: &str =
    "INSERT INTO usage_events (org_key, request_id, item_no, period_no, metric, verb, delta, units, forced, occurred_at, recorded_at,
       actor, source, reason, corrects, hold_id, expires_at, would_deny, answer_used, answer_held, answer_limit)
     SELECT *
     FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[], $8::BIGINT[],
       $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::TEXT[], $13::TEXT[], $14::TEXT[], $15::TEXT[], $16::TEXT[], $17::BIGINT[],
       $18::BIGINT[], $19::BIGINT[], $20::BIGINT[], $21::BIGINT[])
     ON CONFLICT (org_key, request_id, item_no) DO NOTHING";

const SAVE_COUNTERS: Statement = Statement::split(
    "ledger.save_counters",
    "INSERT INTO usage_counters (org_key, period_no, metric, included, granted, metered_minor, metered_units, limit_version, used, held)
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9
     FROM json_each($1)
     WHERE TRUE
     ON CONFLICT (org_key, period_no, metric) DO UPDATE
     SET included = excluded.included, granted = excluded.granted, metered_minor = excluded.metered_minor,
         metered_units = excluded.metered_units, limit_version = excluded.limit_version, used = excluded.used, held = excluded.held",
    "INSERT INTO usage_counters (org_key, period_no, metric, included, granted, metered_minor, metered_units, limit_version, used, held)
     SELECT *
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[],
       $9::BIGINT[], $10::BIGINT[])
     ON CONFLICT (org_key, period_no, metric) DO UPDATE
     SET included = excluded.included, granted = excluded.granted, metered_minor = excluded.metered_minor,
         metered_units = excluded.metered_units, limit_version = excluded.limit_version, used = excluded.used, held = excluded.held",
);

const SAVE_HOLDS: Statement = Statement::split(
    "ledger.save_holds",
    "INSERT INTO usage_holds (org_key, hold_id, request_id, period_no, metric, units, would_deny, state, charged, taken_at, expires_at,
       closed_at, answer_used, answer_held, answer_limit, slice)
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10,
            value->>11, value->>12, value->>13, value->>14, value->>15
     FROM json_each($1)
     WHERE TRUE
     ON CONFLICT (org_key, hold_id) DO UPDATE
     SET state = excluded.state, charged = excluded.charged, expires_at = excluded.expires_at, closed_at = excluded.closed_at,
         answer_used = excluded.answer_used, answer_held = excluded.answer_held, answer_limit = excluded.answer_limit",
    "INSERT INTO usage_holds (org_key, hold_id, request_id, period_no, metric, units, would_deny, state, charged, taken_at, expires_at,
       closed_at, answer_used, answer_held, answer_limit, slice)
     SELECT *
     FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[], $7::BIGINT[], $8::TEXT[], $9::BIGINT[],
       $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[], $15::BIGINT[], $16::TEXT[])
     ON CONFLICT (org_key, hold_id) DO UPDATE
     SET state = excluded.state, charged = excluded.charged, expires_at = excluded.expires_at, closed_at = excluded.closed_at,
         answer_used = excluded.answer_used, answer_held = excluded.answer_held, answer_limit = excluded.answer_limit",
);

const COUNT_ROLLUPS: Statement = Statement::split(
    "ledger.count_rollups",
    "INSERT INTO usage_rollups_hourly (org_key, hour, metric, period_no, actor, units, events)
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6
     FROM json_each($1)
     WHERE TRUE
     ON CONFLICT (org_key, hour, metric, period_no, actor) DO UPDATE
     SET units = usage_rollups_hourly.units + excluded.units, events = usage_rollups_hourly.events + excluded.events",
    "INSERT INTO usage_rollups_hourly (org_key, hour, metric, period_no, actor, units, events)
     SELECT *
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[], $7::BIGINT[])
     ON CONFLICT (org_key, hour, metric, period_no, actor) DO UPDATE
     SET units = usage_rollups_hourly.units + excluded.units, events = usage_rollups_hourly.events + excluded.events",
);

/// Appends events; answers how many were new.
pub(crate) async fn append_events(tx: &mut Tx, rows: Columns) -> Result<u64, Error> {
    let (chunks, rest) = match tx.kind() {
        Kind::Sqlite => rows.into_chunks(CHUNK_ROWS),
        Kind::Postgres => (Vec::new(), rows),
    };
    let mut new = 0;
    for chunk in &chunks {
        new += tx.execute(&APPEND_CHUNK, chunk).await?;
    }
    if rest.rows() > 0 {
        let args = rest.into_args(tx.kind());
        new += tx.execute(&APPEND_EVENTS, &args).await?;
    }
    Ok(new)
}

/// Writes counters as they stand after the group.
pub(crate) async fn save_counters(tx: &mut Tx, rows: Columns) -> Result<u64, Error> {
    let args = rows.into_args(tx.kind());
    tx.execute(&SAVE_COUNTERS, &args).await
}

/// Writes holds as they stand after the group.
pub(crate) async fn save_holds(tx: &mut Tx, rows: Columns) -> Result<u64, Error> {
    let args = rows.into_args(tx.kind());
    tx.execute(&SAVE_HOLDS, &args).await
}

/// Adds to the hourly rollups.
pub(crate) async fn count_rollups(tx: &mut Tx, rows: Columns) -> Result<u64, Error> {
    let args = rows.into_args(tx.kind());
    tx.execute(&COUNT_ROLLUPS, &args).await
}
