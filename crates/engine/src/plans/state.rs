//! What stands here and at Stripe, line by line: what a saved plan of changes was made against. Where a line is another one by the time
//! it is carried out, it is refused.

use std::collections::BTreeMap;

use tollgate_rules::catalog::Catalog;

use super::{Error, sql};
use crate::access::OperatorScope;
use crate::db::{self, Connection};
use crate::engine::Engine;
use crate::topups;

/// Each thing that stands, and how.
pub type State = BTreeMap<String, String>;

/// How lines about Stripe begin.
const AT_STRIPE: &str = "price at Stripe ";

/// A line that is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What it is about (`plan starter`).
    pub what: String,
    /// How it stood; nothing: it was not there.
    pub was: Option<String>,
    /// How it stands; nothing: it is not there.
    pub is: Option<String>,
}

/// What stands now, as far as a catalog concerns it.
///
/// # Errors
/// [`Error`]: the database or Stripe does not answer.
pub async fn state(engine: &Engine, _scope: &OperatorScope, catalog: &Catalog) -> Result<State, Error> {
    let mut lines = published(&mut engine.db().read().await?).await?;
    if engine.billing().is_on() {
        let prices = catalog.plans.iter().flat_map(|plan| &plan.prices);
        let keys: Vec<String> = prices.map(|price| price.lookup_key.clone()).collect();
        let found = engine.billing().prices(&keys).await?;
        for key in keys {
            let holder = found.iter().find(|fact| fact.lookup_key.as_ref() == Some(&key));
            let stands = holder.map_or_else(|| "none".to_owned(), |fact| fact.price_id.to_string());
            lines.insert(format!("{AT_STRIPE}{key}"), stands);
        }
    }
    Ok(lines)
}

/// The lines about what is published.
pub(super) async fn published(connection: &mut Connection) -> Result<State, db::Error> {
    let mut lines = State::new();
    for head in sql::heads(connection).await? {
        let sold = if head.archived { "no longer sold" } else { "sold" };
        lines.insert(
            format!("plan {}", head.code),
            format!("version {}, {sold}, at place {}", head.version, head.position),
        );
    }
    for (metric, name) in sql::metrics(connection).await? {
        lines.insert(format!("metric {metric}"), format!("{} ({})", name.name, name.unit));
    }
    for topup in topups::sql::sold(connection).await? {
        let text = serde_json::to_string(&topup).map_err(|error| db::Error::Bug(format!("a top-up: {error}")))?;
        lines.insert(format!("top-up {}", topup.code), text);
    }
    Ok(lines)
}

/// What is another line now.
#[must_use]
pub fn moved(then: &State, now: &State) -> Vec<Moved> {
    let names: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differing = names.into_iter().filter(|name| then.get(*name) != now.get(*name));
    differing
        .map(|what| Moved { what: what.clone(), was: then.get(what).cloned(), is: now.get(what).cloned() })
        .collect()
}

/// The same, without the lines about Stripe: what a transaction of ours can hold still.
pub(super) fn moved_here(then: &State, now: &State) -> Vec<Moved> {
    moved(then, now).into_iter().filter(|line| !line.what.starts_with(AT_STRIPE)).collect()
}
