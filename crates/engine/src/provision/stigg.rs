//! Tells the mirror about one org and its subscription.

use serde::{Deserialize, Serialize};

use tollgate_connectors::plan_mirror::{MirroredOrg, MirroredSubscription};
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::{CustomerId, PlanCode};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

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
    /// It was told of this subscription before, and that has changed.
    #[serde(default)]
    pub(super) again: bool,
    /// The subscription has ended.
    #[serde(default)]
    pub(super) ended: bool,
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
    let begun = begin(engine, scope, &told).await?;
    operations::drive(engine, begun).await?;
    Ok(())
}

/// Begins the operation, or finds the one that is under way for the same subscription.
pub(super) async fn begin(engine: &Engine, scope: &OrgScope, told: &Told) -> Result<Begun, db::Error> {
    let (writer, actor, told) = (engine.clone(), scope.clone(), told.clone());
    engine.db().detached(async move { store(&writer, &actor, &told).await }).await
}

async fn store(engine: &Engine, scope: &OrgScope, told: &Told) -> Result<Begun, db::Error> {
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
    let named = mirror.filter(|mirror| is_on(mirror, &provision.plan_code));
    let words =
        customer.as_ref().zip(named).and_then(|(customer, mirror)| words(&org, customer.customer_id.clone(), mirror));
    match words {
        Some(told) => Ok(told),
        None => {
            let wrong = [
                ("stripeCustomerId", customer.is_none()),
                ("stripeSubscriptionId", mirror.is_none()),
                ("planCode", named.is_none()),
            ];
            Err(Error::NotThisOrgs(wrong.into_iter().filter(|(_, is)| *is).map(|(field, _)| field).collect()))
        }
    }
}

/// Whether the subscription is on the plan that the caller named; during a trial `trial` names it too.
fn is_on(mirror: &Mirror, named: &str) -> bool {
    let on_trial = mirror.status == SubscriptionStatus::Trialing && named == PlanCode::TRIAL;
    mirror.plan.as_ref().is_some_and(|(code, _)| code == named || on_trial)
}

/// How a subscription is told; nothing while its price is no plan's.
pub(super) fn words(org: &Org, customer_id: CustomerId, mirror: &Mirror) -> Option<Told> {
    let (code, _) = mirror.plan.as_ref()?;
    let trialing = mirror.status == SubscriptionStatus::Trialing;
    Some(Told {
        org: MirroredOrg { org_id: org.org_id.clone(), name: org.name.clone(), email: org.email.clone(), customer_id },
        subscription: MirroredSubscription {
            org_id: org.org_id.clone(),
            subscription_id: mirror.subscription_id.clone(),
            plan_code: PlanCode::parse(code).ok()?,
            interval: mirror.interval,
            started: mirror.created,
            trial_ends: mirror.trial.filter(|_| trialing).map(|trial| trial.end),
        },
        again: false,
        ended: mirror.ended_at.is_some(),
    })
}

/// All of a subscription that the mirror is told, in one text: told again when it differs. Nothing while its price is no plan's.
pub(super) fn state(mirror: &Mirror) -> Option<String> {
    let (code, _) = mirror.plan.as_ref()?;
    let trial = mirror.trial.filter(|_| mirror.status == SubscriptionStatus::Trialing).map(|trial| trial.end);
    Some(written(code, mirror.interval, trial, mirror.ended_at.is_some()))
}

fn written(plan: &str, interval: Interval, trial_ends: Option<Timestamp>, ended: bool) -> String {
    if ended {
        return "ended".to_owned();
    }
    let trial = trial_ends.map_or(String::new(), |end| format!(" trial until {end}"));
    format!("{plan} by the {}{trial}", interval.as_str())
}

impl Told {
    /// The same text of what is told here.
    pub(super) fn state(&self) -> String {
        let told = &self.subscription;
        written(told.plan_code.as_str(), told.interval, told.trial_ends, self.ended)
    }

    /// Whether a stored body tells the same.
    pub(super) fn is(&self, body: &serde_json::Value) -> bool {
        Told::deserialize(body).is_ok_and(|other| other.state() == self.state())
    }
}
