//! Tells the mirror about one org and its subscription.

use serde::{Deserialize, Serialize};

use tollgate_connectors::plan_mirror::{MirroredOrg, MirroredSubscription};
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::{CustomerId, PlanCode};

use super::Error;
use crate::access::OrgScope;
use crate::audit;
use crate::db;
use crate::engine::Engine;
use crate::operations::{self, Begun, NewOperation};
use crate::orgs::{self, Org};
use crate::subscriptions::{self, Mirror};

/// What the caller believes to be this org's; it is checked before anything is told.
#[derive(Debug, Clone)]
pub struct Provision {
    /// The org's customer at Stripe.
    pub stripe_customer_id: String,
    /// The org's subscription at Stripe.
    pub stripe_subscription_id: String,
    /// The subscription's plan, or `trial` while it is on trial.
    pub plan_code: String,
}

/// The frozen body of the operation: all that is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) org: MirroredOrg,
    pub(super) subscription: MirroredSubscription,
}

/// Tells the mirror the org's customer, subscription and plan. Telling the same again is harmless.
///
/// # Errors
/// [`Error::NotThisOrgs`] before anything is told; [`Error::Pending`] when the mirror is told later by itself.
pub async fn stigg(engine: &Engine, scope: &OrgScope, provision: Provision) -> Result<(), Error> {
    if !engine.plan_mirror().is_on() {
        return Err(Error::MirrorOff);
    }
    let told = told(engine, scope, &provision).await?;
    let (writer, actor) = (engine.clone(), scope.clone());
    let begun = engine.db().detached(async move { begin(&writer, &actor, &told).await }).await?;
    operations::drive(engine, begun).await?;
    Ok(())
}

async fn begin(engine: &Engine, scope: &OrgScope, told: &Told) -> Result<Begun, db::Error> {
    let body = serde_json::to_value(told).map_err(|error| db::Error::Bug(format!("what is told: {error}")))?;
    let dedupe_key = told.subscription.subscription_id.as_str().to_owned();
    let mut tx = engine.begin_for(scope).await?;
    let new = NewOperation { kind: operations::Kind::MirrorProvision, dedupe_key, body };
    let begun = operations::begin(engine, &mut tx, scope, new).await?;
    if matches!(begun, Begun::New(_)) {
        let entity = told.subscription.subscription_id.as_str();
        let after = serde_json::json!({ "planCode": told.subscription.plan_code });
        audit::append(engine, &mut tx, audit::Entry::of(scope, "mirror.provision", entity).after(after)).await?;
    }
    tx.commit().await?;
    Ok(begun)
}

/// Checks the caller's words against what billing told us, and says what is to be told.
async fn told(engine: &Engine, scope: &OrgScope, provision: &Provision) -> Result<Told, Error> {
    let org = orgs::get(engine, scope).await?;
    let mut connection = engine.read_for(scope).await?;
    let customer = subscriptions::sql::customer(&mut connection, scope.org_key()).await?;
    let mirrors = subscriptions::sql::mirrors(&mut connection, scope.org_key()).await?;
    drop(connection);
    let customer =
        customer.filter(|known| known.customer_id.as_str() == provision.stripe_customer_id && !known.deleted);
    let mirror = mirrors.iter().find(|known| known.subscription_id.as_str() == provision.stripe_subscription_id);
    let plan = mirror.and_then(|mirror| plan_of(mirror, &provision.plan_code));
    match (customer, mirror, plan) {
        (Some(customer), Some(mirror), Some(plan_code)) => Ok(words(&org, customer.customer_id, mirror, plan_code)),
        (customer, mirror, plan) => {
            let wrong = [
                ("stripeCustomerId", customer.is_none()),
                ("stripeSubscriptionId", mirror.is_none()),
                ("planCode", plan.is_none()),
            ];
            Err(Error::NotThisOrgs(wrong.into_iter().filter(|(_, is)| *is).map(|(field, _)| field).collect()))
        }
    }
}

/// The plan the subscription is for, when the caller named it; during a trial `trial` names it too.
fn plan_of(mirror: &Mirror, named: &str) -> Option<PlanCode> {
    let (code, _) = mirror.plan.as_ref()?;
    let on_trial = mirror.status == SubscriptionStatus::Trialing && named == PlanCode::TRIAL;
    (code == named || on_trial).then(|| PlanCode::parse(code).ok()).flatten()
}

fn words(org: &Org, customer_id: CustomerId, mirror: &Mirror, plan_code: PlanCode) -> Told {
    let trialing = mirror.status == SubscriptionStatus::Trialing;
    Told {
        org: MirroredOrg { org_id: org.org_id.clone(), name: org.name.clone(), email: org.email.clone(), customer_id },
        subscription: MirroredSubscription {
            org_id: org.org_id.clone(),
            subscription_id: mirror.subscription_id.clone(),
            plan_code,
            interval: mirror.interval,
            started: mirror.created,
            trial_ends: mirror.trial.filter(|_| trialing).map(|trial| trial.end),
        },
    }
}
