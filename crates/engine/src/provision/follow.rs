//! Changes of a subscription that the mirror knows: told by themselves, after billing and our own database.

use std::time::Duration;

use serde_json::Value;

use tollgate_rules::ids::{OrgKey, SubscriptionId};

use super::sql;
use super::stigg::{self, Told};
use crate::access::{OrgRef, OrgScope};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::jobs::{self, Claimed, Failure, Outcome};
use crate::operations::{self, Begun};
use crate::orgs;
use crate::subscriptions::{self, Mirror};

/// How long a change waits for one that is being told.
const BEHIND_ANOTHER: Duration = Duration::from_secs(10);

/// Queues the telling of a change, in the transaction that takes it in; nothing for what the mirror was never told of.
pub(crate) async fn notice(engine: &Engine, tx: &mut Tx, org_key: OrgKey, after: &Mirror) -> Result<(), Error> {
    if !engine.plan_mirror().is_on() {
        return Ok(());
    }
    let Some(told) = sql::told(tx, org_key, &after.subscription_id).await? else { return Ok(()) };
    if stigg::state(after).is_none_or(|now| now == told) {
        return Ok(());
    }
    let job = jobs::Job {
        kind: jobs::Kind::MirrorFollow,
        key: after.subscription_id.as_str().to_owned(),
        org_key: Some(org_key),
        payload: Value::Null,
        run_at: engine.now(),
        corr_id: String::new(),
    };
    jobs::enqueue(engine, tx, &job).await
}

/// The job: tells how the subscription is now, unless that was told. What is being told at the moment comes first.
pub(crate) async fn follow(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let Some(org_key) = job.org_key() else { return Err(Failure::Dead("the job names no org".to_owned())) };
    let id = SubscriptionId::parse(job.key()).map_err(|error| Failure::Dead(error.to_string()))?;
    let org = OrgRef { key: org_key, id: orgs::id_of(engine, org_key).await? };
    let scope = OrgScope::restored(org, "system:mirror".to_owned(), job.corr_id().to_owned());
    let Some(told) = now(engine, &scope, &id).await.map_err(|error| Failure::Retry(error.to_string()))? else {
        return Ok(Outcome::Done);
    };
    let begun = stigg::begin(engine, &scope, &told).await?;
    if let Begun::Running(other) = &begun
        && !told.is(&other.body)
    {
        return Ok(Outcome::Again { at: engine.now().plus(BEHIND_ANOTHER) });
    }
    match operations::drive(engine, begun).await {
        // It completes by itself, and looks then whether something changed again.
        Ok(_) | Err(operations::Error::Pending { .. }) => Ok(Outcome::Done),
        Err(operations::Error::Refused(refusal)) => {
            Err(Failure::Dead(format!("the plan mirror was not told: {}", refusal.message)))
        }
        Err(operations::Error::Database(error)) => Err(error.into()),
    }
}

/// What is to be told; nothing where the mirror knows it.
async fn now(engine: &Engine, scope: &OrgScope, id: &SubscriptionId) -> Result<Option<Told>, super::Error> {
    let org = orgs::get(engine, scope).await?;
    let mut connection = engine.read_for(scope).await?;
    let told = sql::told(&mut connection, scope.org_key(), id).await?;
    let customer = subscriptions::sql::customer(&mut connection, scope.org_key()).await?;
    let mirrors = subscriptions::sql::mirrors(&mut connection, scope.org_key()).await?;
    let mirror = mirrors.into_iter().find(|mirror| mirror.subscription_id == *id);
    let (Some(told), Some(customer), Some(mirror)) = (told, customer, mirror) else { return Ok(None) };
    if stigg::state(&mirror).is_none_or(|now| now == told) {
        return Ok(None);
    }
    Ok(stigg::words(&org, customer.customer_id, &mirror).map(|words| Told { again: true, ..words }))
}
