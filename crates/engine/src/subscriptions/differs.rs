//! Whether a fact would change our mirror: how a sweep finds what no webhook told.

use tollgate_rules::billing::SubscriptionFact;
use tollgate_rules::ids::PlanCode;

use super::mirror::{KnownPlans, Mirror};
use super::sql;
use crate::db::Error;
use crate::engine::Engine;
use crate::plans;

/// Whether [`super::apply_fact`] would write something. Somebody else's subscription never differs.
pub(crate) async fn differs(engine: &Engine, fact: &SubscriptionFact) -> Result<bool, Error> {
    let mut connection = engine.db().read().await?;
    let Some(owner) = sql::customer_by_id(&mut connection, &fact.customer_id).await? else { return Ok(false) };
    let mirrors = sql::mirrors(&mut connection, owner.org_key).await?;
    let before = mirrors.iter().find(|mirror| mirror.subscription_id == fact.subscription_id);
    let plans = KnownPlans {
        of_price: plans::sql::plan_of_price(&mut connection, &fact.price_id).await?,
        trial_version: plans::catalog(engine).plan(PlanCode::TRIAL).map(|plan| plan.version),
    };
    Ok(before != Some(&Mirror::after(before, fact, plans)))
}
