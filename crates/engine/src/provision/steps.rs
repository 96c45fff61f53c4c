//! The steps of the operation that tells the mirror: the org, then its subscription.

use serde_json::{Value, json};

use tollgate_connectors::plan_mirror::Error as MirrorError;
use tollgate_rules::ids::PlanCode;
use tollgate_rules::money::Money;

use super::stigg::Told;
use crate::operations::{Code, Refusal, Run, Stop};
use crate::plans;

/// Runs the steps; a resumed run sends the same keys.
pub(crate) async fn steps(run: &mut Run<'_>) -> Result<Value, Stop> {
    let told: Told = run.body()?;
    let engine = run.engine().clone();
    let mirror = engine.plan_mirror();
    run.step("org", async |key| mirror.provision_org(&key, &told.org).await.map_err(stop)).await?;
    let base_price: Option<Money> = run
        .step("subscription", async |key| {
            let mirrored = mirror.provision_subscription(&key, &told.subscription).await.map_err(stop)?;
            Ok(mirrored.base_price)
        })
        .await?;
    if let (Some(theirs), Some(ours)) = (base_price, our_price(run, &told)) {
        metrics::counter!("tollgate_mirror_prices_compared_total").increment(1);
        if theirs != ours {
            metrics::counter!("tollgate_mirror_price_differs_total").increment(1);
            tracing::warn!(plan = %told.subscription.plan_code, "the plan mirror has another price; ours is charged");
        }
    }
    Ok(json!({ "provisioned": true }))
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
