//! Folds the real ledger through another catalog: who would have been stopped, what would have been charged.

use std::collections::BTreeMap;

use tollgate_rules::catalog::{Catalog, Plan};
use tollgate_rules::ids::{Metric, OrgId, OrgKey};
use tollgate_rules::period::{Interval, PeriodKey};
use tollgate_rules::time::Timestamp;
use tollgate_rules::what_if::{Fold, Terms};

use super::sql::what_if::{self as sql, Line, Place, Subscribed};
use super::{Error, load};
use crate::access::OperatorScope;
use crate::db;
use crate::engine::Engine;

/// Counters read at once, and ledger lines read at once.
const PAGE: i64 = 1_000;
/// Orgs that are listed.
const LISTED_MAX: usize = 1_000;

/// What would have been different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// Orgs with usage or a subscription that were looked at.
    pub orgs: i64,
    /// Orgs that would have had calls refused which passed.
    pub orgs_stopped: i64,
    /// Calls and units that would have been refused.
    pub calls_refused: i64,
    /// Units of these calls.
    pub units_refused: i64,
    /// Money by currency.
    pub money: BTreeMap<String, Difference>,
    /// The orgs for whom anything would be different, those who would have been stopped first.
    pub differing: Vec<OrgDifference>,
}

/// Money as it was and as it would have been, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Difference {
    /// Recurring per month.
    pub mrr_before: i64,
    /// Recurring per month under the other catalog.
    pub mrr_after: i64,
    /// Overage of the periods looked at.
    pub overage_before: i64,
    /// Overage under the other catalog.
    pub overage_after: i64,
}

/// What would have been different for one org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgDifference {
    /// The org.
    pub org_id: OrgId,
    /// The plan it is or was on.
    pub plan_code: String,
    /// What its money is in; empty without a price.
    pub currency: String,
    /// Its money.
    pub money: Difference,
    /// Where it would have been stopped.
    pub stops: Vec<Stopped>,
}

/// A metric of a period that would have stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// What.
    pub metric: Metric,
    /// In which period.
    pub period_key: PeriodKey,
    /// What was used of how much there would have been.
    pub used: i64,
    /// What there would have been.
    pub total: i64,
    /// Calls that would have been refused.
    pub calls_refused: i64,
    /// Units of them.
    pub units_refused: i64,
    /// When the first of them came.
    pub first_at: Option<Timestamp>,
}

/// Folds the usage of every period that ended after `since`, or is open, through `catalog`. Changes nothing.
///
/// # Errors
/// [`Error::Database`] when the database cannot answer.
pub async fn what_if(
    engine: &Engine,
    _scope: &OperatorScope,
    catalog: &Catalog,
    since: Timestamp,
) -> Result<WhatIf, Error> {
    let mut orgs: BTreeMap<OrgKey, OrgDifference> = BTreeMap::new();
    recurring(engine, catalog, &mut orgs).await?;
    let mut after: Option<(OrgKey, i64, String)> = None;
    loop {
        let lines = sql::counters(&mut engine.db().read().await?, since, after.as_ref(), PAGE).await?;
        let full = i64::try_from(lines.len()).unwrap_or(i64::MAX) == PAGE;
        after = lines.last().map(|line| (line.org_key, line.period_no, line.metric.to_string()));
        for line in &lines {
            fold(engine, catalog, line, &mut orgs).await?;
        }
        if !full {
            break;
        }
    }
    Ok(sum(orgs))
}

/// What each org pays by the month, and would pay.
async fn recurring(
    engine: &Engine,
    catalog: &Catalog,
    orgs: &mut BTreeMap<OrgKey, OrgDifference>,
) -> Result<(), db::Error> {
    let mut connection = engine.db().read().await?;
    let mut after = OrgKey(i64::MIN);
    loop {
        let found = sql::subscribed(&mut connection, after, PAGE).await?;
        let full = i64::try_from(found.len()).unwrap_or(i64::MAX) == PAGE;
        after = found.last().map_or(after, |one| one.org_key);
        for one in found {
            let plan = load::version(engine, &mut connection, &one.plan_code, one.plan_version).await?;
            let Some(price) = plan.as_ref().and_then(|plan| plan.price(one.interval)) else { continue };
            let currency = price.amount.currency;
            let next = catalog.plan(&one.plan_code).and_then(|plan| plan.price(one.interval));
            let after = next.filter(|next| next.amount.currency == currency).unwrap_or(price);
            let entry = orgs.entry(one.org_key).or_insert_with(|| OrgDifference::new(&one.org_id, &one.plan_code));
            entry.currency = currency.to_string();
            entry.money.mrr_before = entry.money.mrr_before.saturating_add(monthly(price.amount.minor, &one));
            entry.money.mrr_after = entry.money.mrr_after.saturating_add(monthly(after.amount.minor, &one));
        }
        if !full {
            return Ok(());
        }
    }
}

/// What a price comes to per month: a year's is a twelfth, half a unit rounded up.
fn monthly(minor: i64, of: &Subscribed) -> i64 {
    let all = minor.saturating_mul(of.quantity);
    match of.interval {
        Interval::Month => all,
        Interval::Year => all.saturating_add(6).div_euclid(12),
    }
}

/// Folds one counter: only where it would have stopped are its lines read.
async fn fold(
    engine: &Engine,
    catalog: &Catalog,
    line: &Line,
    orgs: &mut BTreeMap<OrgKey, OrgDifference>,
) -> Result<(), db::Error> {
    let entry = orgs.entry(line.org_key).or_insert_with(|| OrgDifference::new(&line.org_id, &line.plan_code));
    let Some(plan) = catalog.plan(&line.plan_code) else { return Ok(()) };
    let terms = terms(plan, line);
    if entry.currency.is_empty() {
        entry.currency = plan.prices.first().map_or_else(String::new, |price| price.amount.currency.to_string());
    }
    let before = Terms { total: line.included.map(|units| units.saturating_add(line.granted)), policy: line.policy };
    entry.money.overage_before = entry.money.overage_before.saturating_add(before.charge(line.used));
    entry.money.overage_after = entry.money.overage_after.saturating_add(terms.charge(line.used));
    if !terms.stops(line.used) {
        return Ok(());
    }
    let fold = lines(engine, line, terms).await?;
    if fold.calls_refused > 0 {
        entry.stops.push(Stopped {
            metric: line.metric.clone(),
            period_key: line.period_key,
            used: line.used,
            total: terms.total.unwrap_or(0),
            calls_refused: fold.calls_refused,
            units_refused: fold.refused,
            first_at: fold.first_refused,
        });
    }
    Ok(())
}

/// The new limit of a counter; what was granted stays.
fn terms(plan: &Plan, line: &Line) -> Terms {
    let allowance = plan.allowance(&line.metric);
    let total = allowance.included.units().map(|units| units.saturating_add(line.granted));
    // A limit that an exception set keeps to the exception: the plan does not decide it.
    if line.by_override {
        let total = line.included.map(|units| units.saturating_add(line.granted));
        return Terms { total, policy: line.policy };
    }
    Terms { total, policy: allowance.policy }
}

async fn lines(engine: &Engine, line: &Line, terms: Terms) -> Result<Fold, db::Error> {
    let mut fold = Fold::new(terms);
    let mut after = i64::MIN;
    let mut connection = engine.db().read().await?;
    loop {
        let place = Place { org_key: line.org_key, period_no: line.period_no, metric: &line.metric };
        let found = sql::events(&mut connection, &place, after, PAGE).await?;
        let full = i64::try_from(found.len()).unwrap_or(i64::MAX) == PAGE;
        for (seq, used) in found {
            after = seq;
            fold.take(used);
        }
        if !full {
            return Ok(fold);
        }
    }
}

fn sum(orgs: BTreeMap<OrgKey, OrgDifference>) -> WhatIf {
    let mut all = WhatIf { orgs: i64::try_from(orgs.len()).unwrap_or(i64::MAX), ..WhatIf::default() };
    for (_, org) in orgs {
        all.orgs_stopped += i64::from(!org.stops.is_empty());
        for stop in &org.stops {
            all.calls_refused = all.calls_refused.saturating_add(stop.calls_refused);
            all.units_refused = all.units_refused.saturating_add(stop.units_refused);
        }
        if !org.currency.is_empty() {
            all.money.entry(org.currency.clone()).or_default().add(&org.money);
        }
        if org.differs() {
            all.differing.push(org);
        }
    }
    all.differing.sort_by(|a, b| (a.stops.is_empty(), &a.org_id).cmp(&(b.stops.is_empty(), &b.org_id)));
    all.differing.truncate(LISTED_MAX);
    all
}

impl Difference {
    fn add(&mut self, other: &Difference) {
        self.mrr_before = self.mrr_before.saturating_add(other.mrr_before);
        self.mrr_after = self.mrr_after.saturating_add(other.mrr_after);
        self.overage_before = self.overage_before.saturating_add(other.overage_before);
        self.overage_after = self.overage_after.saturating_add(other.overage_after);
    }
}

impl OrgDifference {
    fn new(org_id: &OrgId, plan_code: &str) -> OrgDifference {
        OrgDifference {
            org_id: org_id.clone(),
            plan_code: plan_code.to_owned(),
            currency: String::new(),
            money: Difference::default(),
            stops: Vec::new(),
        }
    }

    fn differs(&self) -> bool {
        let money = &self.money;
        !self.stops.is_empty() || money.mrr_before != money.mrr_after || money.overage_before != money.overage_after
    }
}
