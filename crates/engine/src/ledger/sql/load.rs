//! Loading what a group needs: heads (locked), counters, known ids, holds.

use tollgate_rules::ids::{HoldId, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::db::{Arg, Columns, Connection, Error, Row, Statement};

/// Every statement here.
pub(super) const ALL: &[&Statement] =
    &[&HEADS, &HEADS_LOCKED, &COUNTERS, &KNOWN_EVENTS, &HOLDS_BY_ID, &EXPIRED_HOLDS, &NEXT_HOLD_END, &PERIODS_BY_NO];

const HEADS: Statement = Statement::split(
    "ledger.heads",
    "SELECT h.org_key, h.access, h.plan_code, h.plan_version, h.trial_of, h.deny_status, h.strict, h.period_no, h.period_key,
            h.period_start, h.period_end, h.valid_until, h.spend_cap, o.name AS org_name,
            CAST(CASE WHEN EXISTS (SELECT 1 FROM key_quotas AS q WHERE q.org_key = h.org_key) THEN 1 ELSE 0 END AS BIGINT) AS sliced
     FROM json_each($1) AS k
     CROSS JOIN ledger_heads AS h ON h.org_key = k.value
     JOIN organizations AS o ON o.org_key = h.org_key
     ORDER BY h.org_key
     LIMIT 100000",
    "SELECT h.org_key, h.access, h.plan_code, h.plan_version, h.trial_of, h.deny_status, h.strict, h.period_no, h.period_key,
            h.period_start, h.period_end, h.valid_until, h.spend_cap, o.name AS org_name,
            CAST(CASE WHEN EXISTS (SELECT 1 FROM key_quotas AS q WHERE q.org_key = h.org_key) THEN 1 ELSE 0 END AS BIGINT) AS sliced
     FROM ledger_heads AS h
     JOIN organizations AS o ON o.org_key = h.org_key
     WHERE h.org_key = ANY($1)
     ORDER BY h.org_key
     LIMIT 100000",
);

/// On SQLite the one writer holds the lock already.
const HEADS_LOCKED: Statement = Statement::split(
    "ledger.heads_locked",
    "SELECT h.org_key, h.access, h.plan_code, h.plan_version, h.trial_of, h.deny_status, h.strict, h.period_no, h.period_key,
            h.period_start, h.period_end, h.valid_until, h.spend_cap, o.name AS org_name,
            CAST(CASE WHEN EXISTS (SELECT 1 FROM key_quotas AS q WHERE q.org_key = h.org_key) THEN 1 ELSE 0 END AS BIGINT) AS sliced
     FROM json_each($1) AS k
     CROSS JOIN ledger_heads AS h ON h.org_key = k.value
     JOIN organizations AS o ON o.org_key = h.org_key
     ORDER BY h.org_key
     LIMIT 100000",
    "SELECT h.org_key, h.access, h.plan_code, h.plan_version, h.trial_of, h.deny_status, h.strict, h.period_no, h.period_key,
            h.period_start, h.period_end, h.valid_until, h.spend_cap, o.name AS org_name,
            CAST(CASE WHEN EXISTS (SELECT 1 FROM key_quotas AS q WHERE q.org_key = h.org_key) THEN 1 ELSE 0 END AS BIGINT) AS sliced
     FROM ledger_heads AS h
     JOIN organizations AS o ON o.org_key = h.org_key
     WHERE h.org_key = ANY($1)
     ORDER BY h.org_key
     LIMIT 100000
     FOR UPDATE OF h",
);

const COUNTERS: Statement = Statement::split(
    "ledger.counters",
    "SELECT c.org_key, c.period_no, c.metric, c.included, c.granted, c.metered_minor, c.metered_units, c.limit_version, c.used, c.held,
            c.pool, c.pool_rate
     FROM json_each($1) AS k
     CROSS JOIN usage_counters AS c ON c.org_key = k.value->>0 AND c.period_no = k.value->>1
     ORDER BY c.org_key, c.period_no, c.metric
     LIMIT 1000000",
    "SELECT c.org_key, c.period_no, c.metric, c.included, c.granted, c.metered_minor, c.metered_units, c.limit_version, c.used, c.held,
            c.pool, c.pool_rate
     FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS k (org_key, period_no)
     JOIN usage_counters AS c ON c.org_key = k.org_key AND c.period_no = k.period_no
     ORDER BY c.org_key, c.period_no, c.metric
     LIMIT 1000000",
);

const KNOWN_EVENTS: Statement = Statement::split(
    "ledger.known_events",
    "SELECT e.org_key, e.request_id, e.item_no, e.period_no, e.metric, e.verb, e.delta, e.units, e.forced, e.occurred_at, e.recorded_at,
            e.source, e.reason, e.corrects, e.hold_id, e.expires_at, e.would_deny, e.answer_used AS used, e.answer_held AS held,
            l.included, l.granted, l.metered_minor, l.metered_units, l.limit_version, p.period_key, p.period_start, p.period_end
     FROM json_each($1) AS k
     CROSS JOIN usage_events AS e ON e.org_key = k.value->>0 AND e.request_id = k.value->>1
     JOIN usage_limits AS l
       ON l.org_key = e.org_key AND l.period_no = e.period_no AND l.metric = e.metric AND l.limit_version = e.answer_limit
     JOIN usage_periods AS p ON p.org_key = e.org_key AND p.period_no = e.period_no
     ORDER BY e.org_key, e.request_id, e.item_no
     LIMIT 1000000",
    "SELECT e.org_key, e.request_id, e.item_no, e.period_no, e.metric, e.verb, e.delta, e.units, e.forced, e.occurred_at, e.recorded_at,
            e.source, e.reason, e.corrects, e.hold_id, e.expires_at, e.would_deny, e.answer_used AS used, e.answer_held AS held,
            l.included, l.granted, l.metered_minor, l.metered_units, l.limit_version, p.period_key, p.period_start, p.period_end
     FROM UNNEST($1::BIGINT[], $2::TEXT[]) AS k (org_key, request_id)
     JOIN usage_events AS e ON e.org_key = k.org_key AND e.request_id = k.request_id
     JOIN usage_limits AS l
       ON l.org_key = e.org_key AND l.period_no = e.period_no AND l.metric = e.metric AND l.limit_version = e.answer_limit
     JOIN usage_periods AS p ON p.org_key = e.org_key AND p.period_no = e.period_no
     ORDER BY e.org_key, e.request_id, e.item_no
     LIMIT 1000000",
);

const HOLDS_BY_ID: Statement = Statement::split(
    "ledger.holds_by_id",
    "SELECT h.org_key, h.hold_id, h.request_id, h.period_no, h.metric, h.units, h.would_deny, h.state, h.charged, h.taken_at, h.expires_at,
            h.closed_at, h.slice, h.answer_used AS used, h.answer_held AS held, l.included, l.granted, l.metered_minor, l.metered_units,
            l.limit_version, p.period_key, p.period_start, p.period_end
     FROM json_each($1) AS k
     CROSS JOIN usage_holds AS h ON h.org_key = k.value->>0 AND h.hold_id = k.value->>1
     JOIN usage_periods AS p ON p.org_key = h.org_key AND p.period_no = h.period_no
     LEFT JOIN usage_limits AS l
       ON l.org_key = h.org_key AND l.period_no = h.period_no AND l.metric = h.metric AND l.limit_version = h.answer_limit
     ORDER BY h.org_key, h.hold_id
     LIMIT 1000000",
    "SELECT h.org_key, h.hold_id, h.request_id, h.period_no, h.metric, h.units, h.would_deny, h.state, h.charged, h.taken_at, h.expires_at,
            h.closed_at, h.slice, h.answer_used AS used, h.answer_held AS held, l.included, l.granted, l.metered_minor, l.metered_units,
            l.limit_version, p.period_key, p.period_start, p.period_end
     FROM UNNEST($1::BIGINT[], $2::TEXT[]) AS k (org_key, hold_id)
     JOIN usage_holds AS h ON h.org_key = k.org_key AND h.hold_id = k.hold_id
     JOIN usage_periods AS p ON p.org_key = h.org_key AND p.period_no = h.period_no
     LEFT JOIN usage_limits AS l
       ON l.org_key = h.org_key AND l.period_no = h.period_no AND l.metric = h.metric AND l.limit_version = h.answer_limit
     ORDER BY h.org_key, h.hold_id
     LIMIT 1000000",
);

const EXPIRED_HOLDS: Statement = Statement::split(
    "ledger.expired_holds",
    "SELECT h.org_key, h.hold_id, h.request_id, h.period_no, h.metric, h.units, h.would_deny, h.state, h.charged, h.taken_at, h.expires_at,
            h.closed_at, h.slice, h.answer_used AS used, h.answer_held AS held, NULL AS included, NULL AS granted, NULL AS metered_minor,
            NULL AS metered_units, NULL AS limit_version, p.period_key, p.period_start, p.period_end
     FROM json_each($1) AS k
     CROSS JOIN usage_holds AS h ON h.org_key = k.value AND h.state = 'open' AND h.expires_at <= $2
     JOIN usage_periods AS p ON p.org_key = h.org_key AND p.period_no = h.period_no
     ORDER BY h.org_key, h.expires_at
     LIMIT 1000000",
    "SELECT h.org_key, h.hold_id, h.request_id, h.period_no, h.metric, h.units, h.would_deny, h.state, h.charged, h.taken_at, h.expires_at,
            h.closed_at, h.slice, h.answer_used AS used, h.answer_held AS held, NULL::BIGINT AS included, NULL::BIGINT AS granted,
            NULL::BIGINT AS metered_minor, NULL::BIGINT AS metered_units, NULL::BIGINT AS limit_version, p.period_key, p.period_start,
            p.period_end
     FROM usage_holds AS h
     JOIN usage_periods AS p ON p.org_key = h.org_key AND p.period_no = h.period_no
     WHERE h.org_key = ANY($1) AND h.state = 'open' AND h.expires_at <= $2
     ORDER BY h.org_key, h.expires_at
     LIMIT 1000000",
);

const NEXT_HOLD_END: Statement = Statement::split(
    "ledger.next_hold_end",
    "SELECT k.value AS org_key,
            (SELECT MIN(h.expires_at) FROM usage_holds AS h
             WHERE h.org_key = k.value AND h.state = 'open' AND h.expires_at > $2) AS expires_at
     FROM json_each($1) AS k
     ORDER BY k.value
     LIMIT 100000",
    "SELECT k.org_key,
            (SELECT MIN(h.expires_at) FROM usage_holds AS h
             WHERE h.org_key = k.org_key AND h.state = 'open' AND h.expires_at > $2) AS expires_at
     FROM UNNEST($1::BIGINT[]) AS k (org_key)
     ORDER BY k.org_key
     LIMIT 100000",
);

const PERIODS_BY_NO: Statement = Statement::split(
    "ledger.periods_by_no",
    "SELECT p.org_key, p.period_no, p.period_key, p.period_start, p.period_end
     FROM json_each($1) AS k
     CROSS JOIN usage_periods AS p ON p.org_key = k.value->>0 AND p.period_no = k.value->>1
     ORDER BY p.org_key, p.period_no
     LIMIT 1000000",
    "SELECT p.org_key, p.period_no, p.period_key, p.period_start, p.period_end
     FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS k (org_key, period_no)
     JOIN usage_periods AS p ON p.org_key = k.org_key AND p.period_no = k.period_no
     ORDER BY p.org_key, p.period_no
     LIMIT 1000000",
);

/// The heads of orgs, without a lock.
pub(crate) async fn heads(connection: &mut Connection, orgs: &[OrgKey]) -> Result<Vec<Row>, Error> {
    connection.all(&HEADS, &[keys(orgs)]).await
}

/// The heads of orgs, locked in the order of their keys until the transaction ends.
pub(crate) async fn heads_locked(connection: &mut Connection, orgs: &[OrgKey]) -> Result<Vec<Row>, Error> {
    connection.all(&HEADS_LOCKED, &[keys(orgs)]).await
}

/// The counters of (org, period) pairs.
pub(crate) async fn counters(connection: &mut Connection, periods: &[(OrgKey, i64)]) -> Result<Vec<Row>, Error> {
    let args = pairs(periods).into_args(connection.kind());
    connection.all(&COUNTERS, &args).await
}

/// The events of ids, with the limits and periods of their first answers.
pub(crate) async fn known_events(connection: &mut Connection, ids: &[(OrgKey, &str)]) -> Result<Vec<Row>, Error> {
    let args = texts(ids.iter().copied()).into_args(connection.kind());
    connection.all(&KNOWN_EVENTS, &args).await
}

/// The holds with these ids, whatever their state.
pub(crate) async fn holds_by_id(connection: &mut Connection, ids: &[(OrgKey, HoldId)]) -> Result<Vec<Row>, Error> {
    let args = texts(ids.iter().map(|(org_key, id)| (*org_key, id.as_str()))).into_args(connection.kind());
    connection.all(&HOLDS_BY_ID, &args).await
}

/// Open holds of orgs whose time has run out.
pub(crate) async fn expired_holds(
    connection: &mut Connection,
    orgs: &[OrgKey],
    now: Timestamp,
) -> Result<Vec<Row>, Error> {
    connection.all(&EXPIRED_HOLDS, &[keys(orgs), now.into()]).await
}

/// When the next open hold of each org expires.
pub(crate) async fn next_hold_end(
    connection: &mut Connection,
    orgs: &[OrgKey],
    now: Timestamp,
) -> Result<Vec<Row>, Error> {
    connection.all(&NEXT_HOLD_END, &[keys(orgs), now.into()]).await
}

/// Periods by (org, number).
pub(crate) async fn periods_by_no(connection: &mut Connection, periods: &[(OrgKey, i64)]) -> Result<Vec<Row>, Error> {
    let args = pairs(periods).into_args(connection.kind());
    connection.all(&PERIODS_BY_NO, &args).await
}

fn keys(orgs: &[OrgKey]) -> Arg {
    Arg::I64s(orgs.iter().map(|org_key| Some(org_key.0)).collect())
}

pub(super) fn pairs(pairs: &[(OrgKey, i64)]) -> Columns {
    Columns::new()
        .numbers(pairs.iter().map(|(org_key, _)| Some(org_key.0)).collect())
        .numbers(pairs.iter().map(|(_, number)| Some(*number)).collect())
}

fn texts<'a>(pairs: impl Iterator<Item = (OrgKey, &'a str)> + Clone) -> Columns {
    Columns::new()
        .numbers(pairs.clone().map(|(org_key, _)| Some(org_key.0)).collect())
        .texts(pairs.map(|(_, text)| Some(text.to_owned())).collect())
}
