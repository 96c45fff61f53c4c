//! A key's quota: its slice of the org's allowance.

use std::collections::BTreeMap;

use tollgate_rules::ids::Metric;
use tollgate_rules::ledger::TOTAL_MAX;

use super::{Error, Share, sql};
use crate::access::{Caller, OrgScope};
use crate::db::Tx;
use crate::engine::Engine;
use crate::plans;

/// A quota that nothing was used of, out of units by metric.
///
/// # Errors
/// [`Error::Invalid`] for a metric the catalog does not know, and for units that cannot be counted.
pub(super) fn checked(engine: &Engine, quota: &BTreeMap<String, i64>) -> Result<BTreeMap<Metric, Share>, Error> {
    let catalog = plans::catalog(engine);
    let wrong = |rule: String| Error::Invalid { field: "quota", rule };
    let mut shares = BTreeMap::new();
    if quota.len() > engine.limits().key_quotas_max {
        return Err(wrong(format!("at most {} metrics", engine.limits().key_quotas_max)));
    }
    for (name, units) in quota {
        let metric = Metric::parse(name).ok().filter(|metric| catalog.metrics.contains_key(metric));
        let metric = metric.ok_or_else(|| wrong(format!("there is no metric {}", shortened(name))))?;
        if !(0..=TOTAL_MAX).contains(units) {
            return Err(wrong(format!("{metric}: 0 to {TOTAL_MAX} units")));
        }
        shares.insert(metric, Share { units: *units, used: 0, held: 0 });
    }
    Ok(shares)
}

fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Whoever may use a slice only makes no credential: it would have a slice of its own, or none.
pub(crate) fn may_grant(caller: &Caller) -> bool {
    caller.slice().is_none()
}

/// An org has a bounded number of lines with a quota: the ledger looks at all of them at once. Under the org's lock.
pub(super) async fn check_room(engine: &Engine, tx: &mut Tx, scope: &OrgScope) -> Result<(), Error> {
    let lines = sql::quotas::lines(tx, scope, engine.now()).await?;
    if lines >= engine.limits().key_lines_with_quota_max { Err(Error::TooManyQuotas(lines)) } else { Ok(()) }
}
