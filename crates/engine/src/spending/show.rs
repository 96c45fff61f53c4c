//! Shows the cap and what overage costs so far.

use tollgate_rules::money::{Currency, Money};

use super::{Error, Spending, sql};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::{ledger, subscriptions};

/// Where the org stands.
///
/// # Errors
/// The database's.
pub async fn show(engine: &Engine, scope: &OrgScope) -> Result<Spending, Error> {
    let currency = currency(engine, scope).await?;
    let mut connection = engine.read_for(scope).await?;
    let cap = sql::cap(&mut connection, scope.org_key()).await?;
    drop(connection);
    let standing = ledger::standing(engine, scope).await;
    let standing = standing.map_err(|error| db::Error::Unavailable(error.to_string()))?;
    let open = standing.head.period;
    let costs = open.map(|open| tollgate_rules::ledger::spent(&standing.counters, open.no));
    let spent = costs.zip(currency).map(|(minor, currency)| Money::new(minor, currency));
    let reset_at = open.map(|open| open.period.end);
    Ok(Spending {
        cap: cap.as_ref().map(|cap| cap.amount),
        set: cap.map(|cap| (cap.actor, cap.set_at)),
        spent,
        reset_at,
    })
}

/// The currency that the org's plan charges overage in.
pub(super) async fn currency(engine: &Engine, scope: &OrgScope) -> Result<Option<Currency>, db::Error> {
    let mut connection = engine.read_for(scope).await?;
    let facts = subscriptions::facts(engine, &mut connection, scope.org_key()).await?;
    Ok(facts.plan.and_then(|plan| plan.prices.first().map(|price| price.amount.currency)))
}
