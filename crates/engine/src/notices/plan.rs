//! What a change of a subscription gives occasion to tell.

use std::time::Duration;

use serde_json::Value;

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::subscription::grace_end;
use tollgate_rules::time::Timestamp;

use super::{Kind, Occasion};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::subscriptions::Mirror;
use crate::{jobs, plans};

/// How long before its end a trial is told of, as billing does.
const TRIAL_NOTICE: Duration = Duration::from_hours(3 * 24);

/// Sets the jobs of what is to be told, in the transaction that takes the change in.
pub(crate) async fn plan(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    (before, after): (Option<&Mirror>, &Mirror),
) -> Result<(), Error> {
    let occasion = |kind, moment| Occasion { kind, subscription_id: after.subscription_id.clone(), moment };
    let owed_since = before.filter(|before| owes(before.status)).and_then(|before| before.past_due_since);
    let now = engine.now();
    match (owed_since, after.past_due_since, after.status) {
        (None, Some(since), SubscriptionStatus::PastDue) => {
            queue(engine, tx, org_key, (&occasion(Kind::PaymentFailed, since), now)).await?;
            let ends = grace_end(&after.state(), grace_days(engine, tx, after).await?);
            queue(engine, tx, org_key, (&occasion(Kind::AccessEnded, since), ends.max(now))).await?;
        }
        (Some(since), _, SubscriptionStatus::Active | SubscriptionStatus::Trialing) => {
            queue(engine, tx, org_key, (&occasion(Kind::PaymentRecovered, since), now)).await?;
        }
        (Some(since), _, SubscriptionStatus::Unpaid | SubscriptionStatus::Canceled) => {
            queue(engine, tx, org_key, (&occasion(Kind::AccessEnded, since), now)).await?;
        }
        _ => {}
    }
    if let (SubscriptionStatus::Trialing, Some(trial)) = (after.status, after.trial)
        && before.is_none_or(|before| before.trial != after.trial || before.status != after.status)
    {
        let at = trial.end.minus(TRIAL_NOTICE).max(now);
        queue(engine, tx, org_key, (&occasion(Kind::TrialWillEnd, trial.end), at)).await?;
    }
    Ok(())
}

fn owes(status: SubscriptionStatus) -> bool {
    matches!(status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid)
}

async fn grace_days(engine: &Engine, tx: &mut Tx, mirror: &Mirror) -> Result<u32, Error> {
    let Some((code, version)) = &mirror.plan else { return Ok(0) };
    let plan = plans::version(engine, tx, code, *version).await?;
    Ok(plan.map_or(0, |plan| plan.grace_days))
}

async fn queue(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    (occasion, run_at): (&Occasion, Timestamp),
) -> Result<(), Error> {
    let job = jobs::Job {
        kind: jobs::Kind::BillingNotice,
        key: occasion.key(),
        org_key: Some(org_key),
        payload: Value::Null,
        run_at,
        corr_id: String::new(),
    };
    jobs::enqueue(engine, tx, &job).await
}
