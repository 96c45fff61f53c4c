//! Gives a grant.

use serde_json::json;

use tollgate_rules::ids::Metric;
use tollgate_rules::quantity::Units;
use tollgate_rules::time::Timestamp;

use super::{Error, Grant, Source, sql};
use crate::access::OrgScope;
use crate::db::Tx;
use crate::engine::Engine;
use crate::{audit, db, ledger, plans};

/// Grants of one org that are open.
const OPEN_MAX: usize = 500;

/// How long a grant lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Until it is used up.
    ForGood,
    /// Until a moment.
    Until(Timestamp),
    /// As long as the period that is open now.
    ThisPeriod,
}

/// A grant to be given.
#[derive(Debug, Clone)]
pub struct Create {
    /// Of what.
    pub metric: Metric,
    /// How many.
    pub units: Units,
    /// Lower is used first.
    pub priority: i64,
    /// From when on; now when left out.
    pub starts_at: Option<Timestamp>,
    /// How long.
    pub lasts: Lasts,
    /// Why; kept in the audit journal.
    pub reason: String,
}

/// Gives the org extra units. They count with this very transaction, unless they start later.
///
/// # Errors
/// [`Error::UnknownMetric`], [`Error::Invalid`], [`Error::NoPeriod`], or the database's.
pub async fn create(engine: &Engine, scope: &OrgScope, create: Create) -> Result<Grant, Error> {
    if !plans::catalog(engine).metrics.contains_key(&create.metric) {
        return Err(Error::UnknownMetric);
    }
    let starts = create.starts_at.unwrap_or(engine.now());
    if matches!(create.lasts, Lasts::Until(ends) if ends <= starts.max(engine.now())) {
        return Err(Error::Invalid { field: "expiresAt", rule: "must be later than now and than the start" });
    }
    let (task, by) = (engine.clone(), scope.clone());
    let made = engine.db().detached(async move { store(&task, &by, create).await }).await?;
    engine.ledger().forget(scope.org_key());
    Ok(made)
}

async fn store(engine: &Engine, scope: &OrgScope, create: Create) -> Result<Grant, Error> {
    let mut tx = engine.begin_for(scope).await?;
    // What is due opens first: "this period" is the one that is open at this moment.
    ledger::refresh(engine, &mut tx, scope.org_key()).await?;
    let period = match create.lasts {
        Lasts::ThisPeriod => Some(sql::current_period(&mut tx, scope.org_key()).await?.ok_or(Error::NoPeriod)?),
        Lasts::ForGood | Lasts::Until(_) => None,
    };
    if sql::open(&mut tx, scope.org_key()).await?.len() >= OPEN_MAX {
        return Err(Error::Invalid { field: "orgId", rule: "an org has at most 500 open grants" });
    }
    let new = NewGrant {
        metric: create.metric,
        units: create.units.get(),
        priority: create.priority,
        starts_at: create.starts_at.unwrap_or(engine.now()),
        ends_at: match create.lasts {
            Lasts::Until(ends) => Some(ends),
            Lasts::ForGood | Lasts::ThisPeriod => None,
        },
        only_period: period,
        source: Source::Operator,
        source_id: None,
        reason: create.reason,
    };
    let made = insert(engine, &mut tx, scope, new).await?;
    let made = made.ok_or_else(|| db::Error::Bug("a new grant was there already".to_owned()))?;
    ledger::refresh(engine, &mut tx, scope.org_key()).await?;
    tx.commit().await?;
    Ok(made)
}

/// A grant to be stored, whoever gives it.
#[derive(Debug, Clone)]
pub(crate) struct NewGrant {
    pub(crate) metric: Metric,
    pub(crate) units: i64,
    pub(crate) priority: i64,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Option<Timestamp>,
    /// The only period it counts in: number and start.
    pub(crate) only_period: Option<(i64, Timestamp)>,
    pub(crate) source: Source,
    /// What it came from: of one source and id there is one grant; nothing: its own.
    pub(crate) source_id: Option<String>,
    pub(crate) reason: String,
}

/// Stores a grant with its audit entry; nothing when what it came from gave one already. The caller resolves the org's rights anew.
pub(crate) async fn insert(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    new: NewGrant,
) -> Result<Option<Grant>, db::Error> {
    let grant_id = engine.new_id("grant_");
    let source_id = new.source_id.clone().unwrap_or_else(|| grant_id.clone());
    let grant = Grant {
        org_key: scope.org_key(),
        org_id: scope.org_id().clone(),
        grant_id,
        metric: new.metric,
        units: new.units,
        used: 0,
        priority: new.priority,
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        only_in: new.only_period.map(|(_, start)| start),
        source: new.source,
        reason: new.reason,
        actor: scope.actor().to_owned(),
        created_at: engine.now(),
        open: true,
        counted_in: None,
    };
    if !sql::insert(tx, &grant, new.only_period.map(|(no, _)| no), &source_id).await? {
        return Ok(None);
    }
    let after = json!({ "metric": grant.metric, "units": grant.units, "priority": grant.priority, "startsAt": grant.starts_at,
        "expiresAt": grant.ends_at, "onlyIn": grant.only_in, "source": grant.source.as_str(), "reason": grant.reason });
    audit::append(engine, tx, audit::Entry::of(scope, "grants.create", grant.grant_id.as_str()).after(after)).await?;
    Ok(Some(grant))
}
