//! Sets an override.

use serde_json::json;

use tollgate_rules::catalog::OveragePolicy;
use tollgate_rules::time::Timestamp;

use super::{Error, Override, Subject, sql};
use crate::access::OrgScope;
use crate::db::Tx;
use crate::engine::Engine;
use crate::{audit, ledger, plans};

/// Overrides of one org that are not cleared and not over.
const OPEN_MAX: usize = 200;

/// An override to be set.
#[derive(Debug, Clone)]
pub struct Set {
    /// About what, and what it says.
    pub subject: Subject,
    /// From when on; now when left out.
    pub starts_at: Option<Timestamp>,
    /// Until when; nothing: permanent.
    pub ends_at: Option<Timestamp>,
    /// Why; kept in the audit journal.
    pub reason: String,
}

/// Sets an override for the org. It counts from its start on, with this very transaction if it starts now.
///
/// # Errors
/// [`Error::UnknownMetric`], [`Error::Invalid`], or the database's.
pub async fn set(engine: &Engine, scope: &OrgScope, set: Set) -> Result<Override, Error> {
    check(engine, &set)?;
    let (task, by) = (engine.clone(), scope.clone());
    let made = engine.db().detached(async move { store(&task, &by, set).await }).await?;
    engine.ledger().forget(scope.org_key());
    Ok(made)
}

fn check(engine: &Engine, set: &Set) -> Result<(), Error> {
    let now = engine.now();
    if set.ends_at.is_some_and(|ends| ends <= set.starts_at.unwrap_or(now).max(now)) {
        return Err(Error::Invalid { field: "expiresAt", rule: "must be later than now and than the start" });
    }
    let Subject::Metric { metric, included, policy } = &set.subject else { return Ok(()) };
    if !plans::catalog(engine).metrics.contains_key(metric) {
        return Err(Error::UnknownMetric);
    }
    if included.is_none() && policy.is_none() {
        return Err(Error::Invalid { field: "included", rule: "say what differs: included, unlimited or policy" });
    }
    if *included == Some(None) && matches!(policy, Some(OveragePolicy::Metered { .. })) {
        return Err(Error::Invalid { field: "policy", rule: "unlimited units have no overage" });
    }
    Ok(())
}

async fn store(engine: &Engine, scope: &OrgScope, set: Set) -> Result<Override, Error> {
    let now = engine.now();
    let made = Override {
        org_key: scope.org_key(),
        org_id: scope.org_id().clone(),
        override_id: engine.new_id("ovr_"),
        subject: set.subject,
        starts_at: set.starts_at.unwrap_or(now),
        ends_at: set.ends_at,
        reason: set.reason,
        actor: scope.actor().to_owned(),
        created_at: now,
        cleared_at: None,
    };
    let mut tx = engine.begin_for(scope).await?;
    let open = sql::open(&mut tx, scope.org_key()).await?;
    let replaced: Vec<&Override> = open.iter().filter(|older| covers(&made, older, now)).collect();
    if open.len() - replaced.len() >= OPEN_MAX {
        return Err(Error::Invalid { field: "orgId", rule: "an org has at most 200 overrides; clear one first" });
    }
    for older in &replaced {
        sql::clear(&mut tx, older.org_key, &older.override_id, now).await?;
    }
    sql::insert(&mut tx, &made).await?;
    let before: Vec<_> = replaced.iter().map(|older| audited(older)).collect();
    let entry = audit::Entry::of(scope, "overrides.set", made.override_id.as_str())
        .before(json!({ "replaced": before }))
        .after(audited(&made));
    audit::append(engine, &mut tx, entry).await?;
    decide_anew(engine, &mut tx, scope).await?;
    tx.commit().await?;
    Ok(made)
}

/// Whether a new override leaves nothing of an older one to count.
fn covers(new: &Override, older: &Override, now: Timestamp) -> bool {
    let same = match (&new.subject, &older.subject) {
        (
            Subject::Metric { metric, included, policy },
            Subject::Metric { metric: named, included: units, policy: beyond },
        ) => metric == named && (included.is_some() || units.is_none()) && (policy.is_some() || beyond.is_none()),
        (Subject::Feature { feature, .. }, Subject::Feature { feature: named, .. }) => feature == named,
        (Subject::Metric { .. }, Subject::Feature { .. }) | (Subject::Feature { .. }, Subject::Metric { .. }) => false,
    };
    let ends = |one: &Override| one.ends_at.unwrap_or(Timestamp::MAX);
    same && new.starts_at <= older.starts_at.max(now) && ends(older) <= ends(new)
}

/// The org's rights with what was just changed, in the same transaction.
pub(super) async fn decide_anew(engine: &Engine, tx: &mut Tx, scope: &OrgScope) -> Result<(), Error> {
    Ok(ledger::refresh(engine, tx, scope.org_key()).await?)
}

/// An override as it stands in the audit journal.
pub(super) fn audited(one: &Override) -> serde_json::Value {
    let dates = json!({ "startsAt": one.starts_at, "expiresAt": one.ends_at, "reason": one.reason });
    let subject = match &one.subject {
        Subject::Metric { metric, included, policy } => json!({
            "metric": metric, "included": included.map(|units| units.map_or(json!("unlimited"), |units| json!(units))),
            "policy": policy }),
        Subject::Feature { feature, value } => json!({ "feature": feature, "value": value }),
    };
    json!({ "overrideId": one.override_id, "subject": subject, "terms": dates })
}
