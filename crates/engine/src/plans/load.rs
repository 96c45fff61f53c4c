//! From the published rows to the catalog in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_rules::catalog::{Catalog, Plan};

use super::publish::publish_rows;
use super::sql;
use crate::db::{Connection, Error, Lane};
use crate::engine::Engine;
use crate::topups;

/// Reads the published plans again: what another process published is in force here from now on.
///
/// # Errors
/// The database cannot answer.
pub async fn reload(engine: &Engine) -> Result<(), Error> {
    let mut connection = engine.db().read().await?;
    if let Some(catalog) = read(&mut connection).await? {
        engine.shelf().put_catalog(catalog);
    }
    Ok(())
}

/// At start: the published plans; on a new database the plans file is published, so that there is always a catalog.
pub(crate) async fn load_or_publish(engine: &Engine) -> Result<(), Error> {
    reload(engine).await?;
    if engine.shelf().catalog().plans.iter().all(|plan| plan.version > 0) {
        return Ok(());
    }
    let mut tx = engine.db().begin(Lane::Control).await?;
    publish_rows(engine, &mut tx, &engine.shelf().catalog()).await?;
    tx.commit().await?;
    reload(engine).await
}

/// A frozen version; none when it was never published.
pub(crate) async fn version(
    engine: &Engine,
    connection: &mut Connection,
    code: &str,
    version: u32,
) -> Result<Option<Arc<Plan>>, Error> {
    if let Some(plan) = engine.shelf().version(code, version) {
        return Ok(Some(plan));
    }
    let Some(content) = sql::content(connection, code, version).await? else { return Ok(None) };
    let mut plan = thaw(&content)?;
    plan.version = version;
    Ok(Some(engine.shelf().put_version(plan)))
}

pub(super) async fn read(connection: &mut Connection) -> Result<Option<Catalog>, Error> {
    let sold = sql::sold(connection).await?;
    if sold.is_empty() {
        return Ok(None);
    }
    let metrics: BTreeMap<_, _> = sql::metrics(connection).await?.into_iter().collect();
    let mut plans = Vec::with_capacity(sold.len());
    for row in sold {
        let mut plan = thaw(&row.content)?;
        plan.version = row.version;
        plan.rank = row.position;
        plans.push(plan);
    }
    let topups = topups::sql::sold(connection).await?;
    Ok(Some(Catalog { plans, metrics, topups }))
}

fn thaw(content: &str) -> Result<Plan, Error> {
    serde_json::from_str(content).map_err(|error| Error::Bug(format!("a published plan: {error}")))
}
