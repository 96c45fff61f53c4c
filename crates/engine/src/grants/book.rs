//! An org's grants with what its periods have drawn from them.

use std::collections::BTreeMap;

use tollgate_rules::entitlement::{self, Drawn, Spent, draw};
use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::OpenPeriod;
use tollgate_rules::time::Timestamp;

use super::{Grant, sql};
use crate::db::{Connection, Error, Tx};

/// The open grants of an org, and who drew how much from them.
#[derive(Debug, Default)]
struct Book {
    /// In the order of use.
    grants: Vec<Grant>,
    /// Units by grant and period.
    draws: BTreeMap<(String, i64), i64>,
    /// What stood in the table.
    stored: BTreeMap<(String, i64), i64>,
    /// When each period concerned began, and which of them is open.
    periods: BTreeMap<i64, Timestamp>,
    current: Option<i64>,
}

/// The org's grants as the rules take them, with all that its periods have drawn until this moment.
pub(crate) async fn facts(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<entitlement::Grant>, Error> {
    let book = read(connection, org_key).await?;
    Ok(book.grants.iter().map(|grant| book.fact(grant)).collect())
}

/// Writes down what periods have drawn until this moment, and closes grants that give nothing any more. Under the org's lock.
pub(crate) async fn write_draws(tx: &mut Tx, org_key: OrgKey, now: Timestamp) -> Result<(), Error> {
    let book = read(tx, org_key).await?;
    for ((grant_id, period_no), units) in &book.draws {
        if book.stored.get(&(grant_id.clone(), *period_no)) != Some(units) {
            sql::put_draw(tx, org_key, (grant_id, *period_no), *units).await?;
        }
    }
    for grant in &book.grants {
        if book.is_over(grant, now) {
            sql::close(tx, org_key, &grant.grant_id).await?;
        }
    }
    Ok(())
}

/// Remembers which grants count in the open period's limit from `now` on: newer usage is drawn from these.
pub(crate) async fn count_in(tx: &mut Tx, org_key: OrgKey, period: &OpenPeriod, now: Timestamp) -> Result<(), Error> {
    sql::count_in(tx, org_key, period.no, now).await
}

async fn read(connection: &mut Connection, org_key: OrgKey) -> Result<Book, Error> {
    let mut grants = sql::open(connection, org_key).await?;
    if grants.is_empty() {
        return Ok(Book::default());
    }
    grants.sort_by(|a, b| order(a).cmp(&order(b)));
    let stored = sql::draws(connection, org_key).await?;
    let mut book = Book { grants, draws: stored.clone(), stored, periods: BTreeMap::new(), current: None };
    let counters = sql::counters(connection, org_key).await?;
    for counter in &counters {
        book.periods.insert(counter.period_no, counter.started_at);
        if counter.current {
            book.current = Some(counter.period_no);
        }
    }
    for counter in &counters {
        book.draw(counter);
    }
    Ok(book)
}

fn order(grant: &Grant) -> (i64, Timestamp, &str) {
    (grant.priority, grant.ends_at.unwrap_or(Timestamp::MAX), &grant.grant_id)
}

impl Book {
    /// Draws what one counter has taken beyond its included units.
    fn draw(&mut self, counter: &sql::Taken) {
        let beyond = counter.included.map_or(0, |included| counter.taken.saturating_sub(included).max(0));
        let mut drawn: Vec<Drawn> = self
            .grants
            .iter()
            .filter(|grant| grant.metric == counter.metric)
            .map(|grant| {
                let here = self.drawn(&grant.grant_id, counter.period_no);
                Drawn {
                    grant_id: grant.grant_id.clone(),
                    units: grant.units,
                    elsewhere: self.total(&grant.grant_id).saturating_sub(here),
                    here,
                    open: grant.counted_in == Some(counter.period_no),
                }
            })
            .collect();
        draw(&mut drawn, if counter.current { Spent::Open(beyond) } else { Spent::Over(beyond) });
        for one in drawn {
            let place = (one.grant_id, counter.period_no);
            if one.here > 0 || self.draws.contains_key(&place) {
                self.draws.insert(place, one.here);
            }
        }
    }

    fn drawn(&self, grant_id: &str, period_no: i64) -> i64 {
        self.draws.get(&(grant_id.to_owned(), period_no)).copied().unwrap_or(0)
    }

    fn total(&self, grant_id: &str) -> i64 {
        let own = self.draws.iter().filter(|((id, _), _)| id == grant_id);
        own.fold(0_i64, |sum, (_, units)| sum.saturating_add(*units))
    }

    fn fact(&self, grant: &Grant) -> entitlement::Grant {
        let newest = self.draws.iter().filter(|((id, _), units)| *id == grant.grant_id && **units > 0);
        let newest = newest.max_by_key(|((_, period_no), _)| *period_no);
        entitlement::Grant {
            id: grant.grant_id.clone(),
            metric: grant.metric.clone(),
            units: grant.units,
            consumed: self.total(&grant.grant_id),
            newest: newest.and_then(|((_, period_no), units)| Some((*self.periods.get(period_no)?, *units))),
            priority: grant.priority,
            from: grant.starts_at,
            until: grant.ends_at,
            only_in: grant.only_in,
        }
    }

    /// Whether it can add nothing to any limit any more.
    fn is_over(&self, grant: &Grant, now: Timestamp) -> bool {
        // Without access there is no open period, but it may come back with what was drawn in it.
        let Some(current) = self.current else { return false };
        if self.drawn(&grant.grant_id, current) > 0 {
            return false;
        }
        let began = self.periods.get(&current);
        let only_past = grant.only_in.is_some_and(|start| began.is_some_and(|began| *began > start));
        grant.ends_at.is_some_and(|ends| ends <= now) || only_past || self.total(&grant.grant_id) >= grant.units
    }
}

/// What of each open grant is used, for lists.
pub(super) async fn used(connection: &mut Connection, org_key: OrgKey) -> Result<BTreeMap<String, i64>, Error> {
    let book = read(connection, org_key).await?;
    Ok(book.grants.iter().map(|grant| (grant.grant_id.clone(), book.total(&grant.grant_id))).collect())
}
