//! Every statement of the ledger: loading books, appending groups, and what lists and proofs read.
//!
//! Lists of keys come as columns: `json_each($1)` of rows on SQLite, `UNNEST` on PostgreSQL.

mod append;
mod debts;
mod lists;
mod load;
mod open;
mod prove;
mod slices;

pub(super) use append::{append_events, count_rollups, save_counters, save_holds};
pub(super) use debts::{debts, plans_of_period, put_debt};
pub(super) use lists::{
    EventsAsked, Series, event_rows, history_by_day, history_by_hour, history_by_key, hold_rows, known_period,
    next_due, org_of_hold, orgs_due, orgs_in_month,
};
pub(super) use load::{
    counters, expired_holds, heads, heads_locked, holds_by_id, known_events, next_hold_end, periods_by_no,
};
pub(super) use open::{
    insert_head, insert_period, limit_history, period_keys, period_of, save_draws, save_head, save_period_end,
};
pub(super) use prove::{
    counter_drift, hold_drift, rebuild_counters, rebuild_held, rebuild_rollups, rollup_drift, totals,
};
#[cfg(test)]
pub(crate) use prove::{plant_counter, plant_used};
#[cfg(test)]
pub(super) use prove::{plant_drift, written};
pub(super) use slices::{save_slices, slices};

use crate::db::Statement;

/// Every statement here.
pub(crate) const ALL: &[&[&Statement]] =
    &[append::ALL, debts::ALL, lists::ALL, load::ALL, open::ALL, prove::ALL, slices::ALL];
