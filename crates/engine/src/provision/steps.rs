//! The steps of the operation that tells the mirror: the org, then its subscription.

use serde_json::{Value, json};

use tollgate_connectors::plan_mirror::{Error as MirrorError, Mirrored};
use tollgate_rules::ids::PlanCode;
use tollgate_rules::money::Money;

use super::stigg::Told;
use super::{follow, sql};
use crate::db;
use crate::operations::{Code, Refusal, Run, Stop};
use crate::plans;
use crate::subscriptions;

/// Runs the steps; a resumed run sends the same keys.
pub(crate) async fn steps(run: &mut Run<'_>) -> Result<Value, Stop> {
    let told: Told = run.body()?;
    let engine = run.engine().clone();
    let mirror = engine.plan_mirror();
    if told.ended {
        let id = &told.subscription.subscription_id;
        run.step("ended", async |key| mirror.end_subscription(&key, id).await.map_err(stop)).await?;
    } else {
        run.step("org", async |key| mirror.provision_org(&key, &told.org).await.map_err(stop)).await?;
        let mut mirrored: Mirrored = run
            .step("told", async |key| mirror.provision_subscription(&key, &told.subscription).await.map_err(stop))
            .await?;
        if told.again || mirrored.keeps_plan.is_some() {
            mirrored = run
                .step("changed", async |key| mirror.change_subscription(&key, &told.subscription).await.map_err(stop))
                .await?;
        }
        compare(mirrored.base_price, our_price(run, &told), &told);
    }
    remember(run, &told).await?;
    Ok(json!({ "provisioned": true }))
}

fn compare(theirs: Option<Money>, ours: Option<Money>, told: &Told) {
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return };
    metrics::counter!("tollgate_mirror_prices_compared_total").increment(1);
    if theirs != ours {
        metrics::counter!("tollgate_mirror_price_differs_total").increment(1);
        tracing::warn!(plan = %told.subscription.plan_code, "the plan mirror has another price; ours is charged");
    }
}

/// Writes down what was told; what changed since it was put into words is told next.
async fn remember(run: &Run<'_>, told: &Told) -> Result<(), db::Error> {
    let (engine, scope, state) = (run.engine().clone(), run.scope().clone(), told.state());
    let id = told.subscription.subscription_id.clone();
    let write = async move {
        let mut tx = engine.begin_for(&scope).await?;
        subscriptions::sql::lock_customer(&mut tx, scope.org_key()).await?;
        sql::put_told(&mut tx, scope.org_key(), (&id, &state), engine.now()).await?;
        let mirrors = subscriptions::sql::mirrors(&mut tx, scope.org_key()).await?;
        if let Some(mirror) = mirrors.iter().find(|mirror| mirror.subscription_id == id) {
            follow::notice(&engine, &mut tx, scope.org_key(), mirror).await?;
        }
        tx.commit().await
    };
    run.engine().db().detached(write).await
}

fn our_price(run: &Run<'_>, told: &Told) -> Option<Money> {
    let catalog = plans::catalog(run.engine());
    let plan = catalog.plan(PlanCode::as_str(&told.subscription.plan_code))?;
    plan.price(told.subscription.interval).map(|price| price.amount)
}

fn stop(error: MirrorError) -> Stop {
    let message = error.to_string();
    let code = match error {
        MirrorError::Unavailable(_) => return Stop::Later(message),
        MirrorError::Off => Code::Off,
        MirrorError::Refused(_) => Code::Refused,
        MirrorError::Credentials(_) => Code::Credentials,
    };
    Stop::Refused(Refusal { code, message, reason: None, client_secret: None })
}
