//! Puts a plans file in force: a new or edited plan becomes a version, an unchanged one does not.

use sha2::{Digest, Sha256};

use tollgate_rules::catalog::{Catalog, Plan};
use tollgate_rules::ids::PlanCode;

use super::state::{self, Moved, State};
use super::{Error, load, sql};
use crate::access::OperatorScope;
use crate::clock::hex;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;
use crate::{audit, jobs, topups};

/// What publishing changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Plans that got a version, each with it.
    pub versions: Vec<(PlanCode, u32)>,
    /// Plans that are no longer sold; orgs on them stay.
    pub archived: Vec<PlanCode>,
    /// Whether there is a metric more or less to count.
    pub metrics_changed: bool,
    /// Whether other top-ups are sold.
    pub topups_changed: bool,
}

impl Published {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.archived.is_empty() && !self.metrics_changed && !self.topups_changed
    }
}

/// Publishes a plans file. The same file again changes nothing; existing subscriptions stay on their versions.
///
/// # Errors
/// [`Error::Database`] when the database cannot answer.
pub async fn publish(engine: &Engine, scope: &OperatorScope, catalog: Catalog) -> Result<Published, Error> {
    match put_in_force(engine, scope, catalog, None).await {
        Ok(published) => Ok(published),
        Err(PublishError::Plans(error)) => Err(error),
        Err(PublishError::Stale(_)) => {
            Err(db::Error::Bug("nothing was expected, so nothing is stale".to_owned()).into())
        }
    }
}

/// The same, unless what stands is not what `expected` says: then nothing is published.
///
/// # Errors
/// [`PublishError::Stale`] with what moved; else as for [`publish`].
pub async fn publish_over(
    engine: &Engine,
    scope: &OperatorScope,
    catalog: Catalog,
    expected: State,
) -> Result<Published, PublishError> {
    let moved = state::moved(&expected, &state::state(engine, scope, &catalog).await?);
    if !moved.is_empty() {
        return Err(PublishError::Stale(moved));
    }
    put_in_force(engine, scope, catalog, Some(expected)).await
}

/// Why a plans file was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// What stands is not what it was made against.
    #[error("what stands is not what this plan was made against")]
    Stale(Vec<Moved>),
    /// As for everything about plans.
    #[error(transparent)]
    Plans(#[from] Error),
}

impl From<db::Error> for PublishError {
    fn from(error: db::Error) -> PublishError {
        PublishError::Plans(error.into())
    }
}

async fn put_in_force(
    engine: &Engine,
    scope: &OperatorScope,
    catalog: Catalog,
    expected: Option<State>,
) -> Result<Published, PublishError> {
    let (inner, scope) = (engine.clone(), scope.clone());
    let published = engine
        .db()
        .detached(async move {
            let mut tx = inner.db().begin(Lane::Control).await?;
            sql::lock(&mut tx).await?;
            if let Some(expected) = &expected {
                // Somebody may have published since it was compared: here nobody can.
                let moved = state::moved_here(expected, &state::published(&mut tx).await?);
                if !moved.is_empty() {
                    return Err(PublishError::Stale(moved));
                }
            }
            let published = publish_rows(&inner, &mut tx, &catalog).await?;
            if !published.is_empty() {
                audit::append(&inner, &mut tx, entry(&scope, &published)).await?;
            }
            tx.commit().await?;
            Ok::<_, PublishError>(published)
        })
        .await?;
    load::reload(engine).await?;
    if published.metrics_changed {
        engine.wake_workers();
    }
    Ok(published)
}

pub(super) async fn publish_rows(engine: &Engine, tx: &mut Tx, catalog: &Catalog) -> Result<Published, db::Error> {
    let now = engine.now();
    sql::lock(tx).await?;
    let known = sql::heads(tx).await?;
    let mut published = Published::default();
    for (position, plan) in (0_u32..).zip(&catalog.plans) {
        let content = freeze(plan)?;
        let hash = content_hash(&content);
        let head = known.iter().find(|head| head.code == plan.code.as_str());
        let version = match head {
            Some(head) if head.content_hash == hash => head.version,
            Some(head) => head.version + 1,
            None => 1,
        };
        if head.is_none_or(|head| head.version != version) {
            sql::add_version(tx, &sql::NewVersion { code: &plan.code, version, hash: &hash, content: &content, now })
                .await?;
            published.versions.push((plan.code.clone(), version));
        }
        if head.is_none_or(|head| head.version != version || head.position != position || head.archived) {
            sql::put_head(tx, &plan.code, version, position, now).await?;
        }
    }
    for head in known.iter().filter(|head| !head.archived && catalog.plan(&head.code).is_none()) {
        sql::archive(tx, &head.code, now).await?;
        published.archived.push(parsed(&head.code)?);
    }
    published.topups_changed = topups::sql::replace_sold(tx, &catalog.topups).await?;
    let counts_others = sql::replace_metrics(tx, &catalog.metrics).await?;
    if counts_others && !known.is_empty() {
        published.metrics_changed = true;
        decide_anew(engine, tx).await?;
    }
    Ok(published)
}

/// Every org gets counters for what can be counted now: page by page, in a job.
async fn decide_anew(engine: &Engine, tx: &mut Tx) -> Result<(), db::Error> {
    let job = jobs::Job {
        kind: jobs::Kind::DecideAnew,
        key: "metrics".to_owned(),
        org_key: None,
        payload: serde_json::Value::Null,
        run_at: engine.now(),
        corr_id: String::new(),
    };
    jobs::enqueue(engine, tx, &job).await
}

/// A plan's content as it is frozen: everything except its version and its place in the catalog.
pub(super) fn freeze(plan: &Plan) -> Result<String, db::Error> {
    let plan = Plan { version: 0, rank: 0, ..plan.clone() };
    serde_json::to_string(&plan).map_err(|error| db::Error::Bug(format!("freezing plan {}: {error}", plan.code)))
}

/// What tells two contents apart.
pub(super) fn content_hash(content: &str) -> String {
    hex(&Sha256::digest(content.as_bytes()))
}

pub(super) fn parsed(code: &str) -> Result<PlanCode, db::Error> {
    PlanCode::parse(code).map_err(|error| db::Error::Bug(format!("a stored plan code: {error}")))
}

fn entry(scope: &OperatorScope, published: &Published) -> audit::Entry {
    let versions: serde_json::Map<String, serde_json::Value> =
        published.versions.iter().map(|(code, version)| (code.to_string(), (*version).into())).collect();
    let archived: Vec<&str> = published.archived.iter().map(PlanCode::as_str).collect();
    audit::Entry::server(scope, "plans.publish", "plans").after(
        serde_json::json!({ "versions": versions, "archived": archived, "topupsChanged": published.topups_changed }),
    )
}
