//! Credit pools: a metric of which other metrics take a fixed number of units for each of theirs.

use super::tree::Value;
use super::{Allowance, CatalogError, OveragePolicy};
use crate::ids::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most a unit may cost in units of a pool.
const RATE_MAX: i64 = 1_000_000_000;

/// What each metric that draws on a pool takes of it per unit, by pool.
pub type Pools = BTreeMap<Metric, BTreeMap<Metric, i64>>;

/// How one metric draws on a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draws {
    /// The pool: a metric with an allowance, a counter and grants of its own.
    pub pool: Metric,
    /// Units of the pool for one unit of the metric.
    pub rate: i64,
}

impl Draws {
    /// What so many units take of the pool; nothing when it is more than can be counted.
    pub fn take(&self, units: i64) -> Option<i64> {
        units.checked_mul(self.rate)
    }
}

/// The pool that a metric draws on.
pub(super) fn draws(pools: &Pools, metric: &Metric) -> Option<Draws> {
    pools.iter().find_map(|(pool, rates)| rates.get(metric).map(|rate| Draws { pool: pool.clone(), rate: *rate }))
}

/// Reads `[plan.pool.<metric>]`: what each metric takes per unit.
pub(super) fn pools<N>(
    value: &Value<'_>,
    allowances: &BTreeMap<Metric, Allowance>,
    metrics: &BTreeMap<Metric, N>,
) -> Result<Pools, CatalogError> {
    let mut pools = Pools::new();
    for (name, value) in value.table()?.entries() {
        let pool = Metric::parse(name).map_err(|e| value.refuse(e.to_string()))?;
        if !allowances.contains_key(&pool) {
            return Err(value.refuse(format!("a pool needs an allowance: write [plan.allowance.{pool}]")));
        }
        let mut rates = BTreeMap::new();
        for (name, value) in value.table()?.entries() {
            let metric = Metric::parse(name).map_err(|e| value.refuse(e.to_string()))?;
            if !metrics.contains_key(&metric) {
                return Err(value.refuse(format!("no metric {metric}: declare it with [[metric]] code = \"{metric}\"")));
            }
            if metric == pool {
                return Err(value.refuse("a pool does not draw on itself"));
            }
            if allowances.get(&metric).is_some_and(|own| matches!(own.policy, OveragePolicy::Metered { .. })) {
                return Err(value.refuse(format!("{metric} would be charged twice: leave its overage to the pool")));
            }
            if draws(&pools, &metric).is_some() {
                return Err(value.refuse(format!("{metric} draws on one pool only")));
            }
            rates.insert(metric, value.number(1, RATE_MAX)?);
        }
        pools.insert(pool, rates);
    }
    let chained = pools.keys().find(|pool| draws(&pools, pool).is_some());
    match chained {
        Some(pool) => Err(value.refuse(format!("{pool} is a pool: it cannot draw on another one"))),
        None => Ok(pools),
    }
}
