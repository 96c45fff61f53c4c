//! Takes overrides back.

use serde_json::json;

use tollgate_rules::ids::{FeatureCode, Metric};

use super::set::{audited, decide_anew};
use super::{Error, Override, Subject, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;

/// Which overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clear {
    /// The one with this id.
    Id(String),
    /// All about a metric.
    Metric(Metric),
    /// All about a feature.
    Feature(FeatureCode),
}

/// Takes back overrides of the org: from now on the plan's own terms hold. Answers which.
///
/// # Errors
/// [`Error::NotFound`] when none that is not over is meant, or the database's.
pub async fn clear(engine: &Engine, scope: &OrgScope, which: Clear, reason: String) -> Result<Vec<Override>, Error> {
    let (task, by) = (engine.clone(), scope.clone());
    let cleared = engine.db().detached(async move { store(&task, &by, &which, &reason).await }).await?;
    engine.ledger().forget(scope.org_key());
    Ok(cleared)
}

async fn store(engine: &Engine, scope: &OrgScope, which: &Clear, reason: &str) -> Result<Vec<Override>, Error> {
    let now = engine.now();
    let mut tx = engine.begin_for(scope).await?;
    let mut cleared = sql::open(&mut tx, scope.org_key()).await?;
    cleared.retain(|one| meant(one, which) && one.ends_at.is_none_or(|ends| now < ends));
    if cleared.is_empty() {
        return Err(Error::NotFound);
    }
    for one in &mut cleared {
        sql::clear(&mut tx, one.org_key, &one.override_id, now).await?;
        one.cleared_at = Some(now);
        let entry = audit::Entry::of(scope, "overrides.clear", one.override_id.as_str())
            .before(audited(one))
            .after(json!({ "reason": reason }));
        audit::append(engine, &mut tx, entry).await?;
    }
    decide_anew(engine, &mut tx, scope).await?;
    tx.commit().await?;
    Ok(cleared)
}

fn meant(one: &Override, which: &Clear) -> bool {
    match (which, &one.subject) {
        (Clear::Id(id), _) => *id == one.override_id,
        (Clear::Metric(named), Subject::Metric { metric, .. }) => named == metric,
        (Clear::Feature(named), Subject::Feature { feature, .. }) => named == feature,
        (Clear::Metric(_), Subject::Feature { .. }) | (Clear::Feature(_), Subject::Metric { .. }) => false,
    }
}
