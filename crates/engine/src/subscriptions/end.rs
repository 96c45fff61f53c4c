//! Ends a subscription now or with its period, pauses it, and takes both back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use tollgate_connectors::billing::{Anchor, CancelSettlement, Payment, SubscriptionChange};
use tollgate_rules::billing::{SubscriptionFact, SubscriptionStatus};
use tollgate_rules::ids::{CustomerId, SubscriptionId};
use tollgate_rules::time::Timestamp;

use super::Error;
use super::apply_fact::Cause;
use super::create::standing;
use super::mirror::Mirror;
use super::schedules::release;
use super::sync::{stop, sync};
use super::upgrade::{declined, give_up_waiting, needs_confirmation};
use super::{facts, sql};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Kind, NewOperation, Run, Stop};

/// When a subscription ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsAt {
    /// With the running period, which is paid.
    PeriodEnd,
    /// At once; nothing is given back.
    Now,
}

/// Where the subscription stands after a change of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its status.
    pub status: SubscriptionStatus,
    /// When it is going to end, or ended.
    pub cancel_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    subscription_id: SubscriptionId,
    wish: Wish,
}

/// What becomes of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    EndWithPeriod,
    EndNow,
    Pause,
    /// Takes back an end that was set.
    GoOn,
    /// Takes up again within the period that was paid.
    Resume,
    /// Takes up again with a new period.
    ResumeAnew,
}

/// Ends an org's subscription. A change that was scheduled is let go, one that waits for its payment is given up.
///
/// # Errors
/// [`Error::NoSubscription`] also when it ended already; [`Error::BillingUnavailable`]: it ends by itself.
pub async fn cancel(engine: &Engine, scope: &OrgScope, at: EndsAt) -> Result<Standing, Error> {
    let wish = match at {
        EndsAt::PeriodEnd => Wish::EndWithPeriod,
        EndsAt::Now => Wish::EndNow,
    };
    carry_out(engine, scope, |mirror| match (mirror.status, wish) {
        // A paused subscription has no period that would end.
        (SubscriptionStatus::Paused, Wish::EndWithPeriod) => Err(Error::NotChangeable(mirror.status)),
        _ => Ok(Some(wish)),
    })
    .await
}

/// Pauses an org's subscription: no access, nothing is charged. Paused already, it stays so.
///
/// # Errors
/// [`Error::NoSubscription`], [`Error::NotChangeable`] where a payment is open.
pub async fn pause(engine: &Engine, scope: &OrgScope) -> Result<Standing, Error> {
    carry_out(engine, scope, |mirror| match mirror.status {
        SubscriptionStatus::Active | SubscriptionStatus::Trialing => Ok(Some(Wish::Pause)),
        SubscriptionStatus::Paused => Ok(None),
        status => Err(Error::NotChangeable(status)),
    })
    .await
}

/// Takes back a pause or an end that was set. Within the period that was paid it goes on; after it, a new one is charged first.
///
/// # Errors
/// [`Error::NoSubscription`], [`Error::Ended`] when it ended already: a new one has to be begun; [`Error::PaymentFailed`] or
/// [`Error::PaymentActionRequired`] when the new period is not paid: it stays paused.
pub async fn resume(engine: &Engine, scope: &OrgScope) -> Result<Standing, Error> {
    let now = engine.now();
    carry_out(engine, scope, move |mirror| match mirror.status {
        SubscriptionStatus::Paused if now < mirror.item_period.end => Ok(Some(Wish::Resume)),
        SubscriptionStatus::Paused => Ok(Some(Wish::ResumeAnew)),
        _ => Ok(mirror.cancel_at.map(|_| Wish::GoOn)),
    })
    .await
}

async fn carry_out(
    engine: &Engine,
    scope: &OrgScope,
    wish: impl FnOnce(&Mirror) -> Result<Option<Wish>, Error>,
) -> Result<Standing, Error> {
    let found = standing(engine, scope).await?;
    let customer = found.customer.filter(|customer| !customer.deleted).ok_or(Error::NoSubscription)?;
    let Some(mirror) = found.mirror else { return Err(ended_or_none(engine, scope).await?) };
    let Some(wish) = wish(&mirror)? else { return Ok(Standing::of(&mirror)) };
    let subscription_id = mirror.subscription_id;
    let frozen = Frozen { customer_id: customer.customer_id, subscription_id: subscription_id.clone(), wish };
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation =
        NewOperation { kind: Kind::SubscriptionEnd, dedupe_key: "subscription".to_owned(), body: body.clone() };
    let begun = operations::begin_alone(engine, scope, operation).await?;
    if let operations::Begun::Running(other) = &begun
        && other.body != body
    {
        return Err(Error::Busy(other.operation_id.clone()));
    }
    operations::drive(engine, begun).await?;
    let mut connection = engine.read_for(scope).await?;
    let mirrors = sql::mirrors(&mut connection, scope.org_key()).await?;
    let mirror = mirrors.iter().find(|mirror| mirror.subscription_id == subscription_id);
    Ok(Standing::of(mirror.ok_or(Error::NoSubscription)?))
}

async fn ended_or_none(engine: &Engine, scope: &OrgScope) -> Result<Error, db::Error> {
    let mut connection = engine.read_for(scope).await?;
    let mirrors = sql::mirrors(&mut connection, scope.org_key()).await?;
    Ok(facts::chosen(&mirrors).map_or(Error::NoSubscription, |_| Error::Ended))
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { customer_id, subscription_id, wish } = run.body()?;
    point(run.engine(), "end.begun").map_err(db::Error::from)?;
    if matches!(wish, Wish::EndWithPeriod | Wish::EndNow) {
        give_up_waiting(run, &subscription_id).await?;
        release(run, &subscription_id).await?;
    }
    let sent = send(run, &subscription_id, wish).await;
    let synced = sync(run.engine(), Cause::Change(run.scope().clone()), &customer_id).await;
    sent?;
    synced?;
    point(run.engine(), "end.synced").map_err(db::Error::from)?;
    Ok(Value::Null)
}

async fn send(run: &mut Run<'_>, subscription_id: &SubscriptionId, wish: Wish) -> Result<(), Stop> {
    let (engine, id) = (run.engine().clone(), subscription_id.clone());
    let look_first = super::keys_are_forgotten(run);
    let still_ends: bool = run
        .step("subscription", |key| async move {
            point(&engine, "end.before_send").map_err(db::Error::from)?;
            let billing = engine.billing();
            let ends = |ends| SubscriptionChange { cancel_at_period_end: Some(ends), ..SubscriptionChange::default() };
            let there = match look_first {
                true => billing.subscription(&id).await.map_err(stop)?.filter(|there| wish.is_met(there)),
                false => None,
            };
            let (payment, fact) = match (there, wish) {
                (Some(there), _) => (Payment::Settled, there),
                (None, Wish::EndNow) => {
                    let fact = billing.cancel_subscription(&id, CancelSettlement::Nothing).await.map_err(stop)?;
                    (Payment::Settled, fact)
                }
                (None, Wish::EndWithPeriod | Wish::GoOn) => {
                    let change = ends(wish == Wish::EndWithPeriod);
                    let fact = billing.update_subscription(&key, &id, &change).await.map_err(stop)?.fact;
                    (Payment::Settled, fact)
                }
                (None, Wish::Pause) => {
                    let paused = billing.pause_subscription(&key, &id).await.map_err(stop)?;
                    (Payment::Settled, paused.fact)
                }
                (None, Wish::Resume | Wish::ResumeAnew) => {
                    let anchor = if wish == Wish::Resume { Anchor::Unchanged } else { Anchor::Now };
                    let resumed = billing.resume_subscription(&key, &id, anchor).await.map_err(stop)?;
                    (resumed.payment, resumed.fact)
                }
            };
            point(&engine, "end.sent").map_err(db::Error::from)?;
            match payment {
                Payment::Settled => Ok(wish == Wish::GoOn && fact.cancel_at.is_some()),
                Payment::Declined => Err(declined()),
                Payment::ActionRequired { client_secret } => Err(needs_confirmation(client_secret)),
            }
        })
        .await?;
    if !still_ends {
        return Ok(());
    }
    // It was to end at a date of its own, not with its period.
    let (engine, id) = (run.engine().clone(), subscription_id.clone());
    run.step("date", |key| async move {
        let change = SubscriptionChange { clear_cancel_at: true, ..SubscriptionChange::default() };
        engine.billing().update_subscription(&key, &id, &change).await.map(drop).map_err(stop)
    })
    .await
}

impl Wish {
    /// Whether a subscription is as it is wished to be: an earlier try happened, although nobody said so.
    fn is_met(self, there: &SubscriptionFact) -> bool {
        match self {
            Wish::EndWithPeriod => there.cancel_at.is_some(),
            Wish::EndNow => there.ended_at.is_some(),
            Wish::Pause => there.status == SubscriptionStatus::Paused,
            Wish::GoOn => there.cancel_at.is_none(),
            Wish::Resume | Wish::ResumeAnew => there.status == SubscriptionStatus::Active,
        }
    }
}

impl Standing {
    fn of(mirror: &Mirror) -> Standing {
        Standing { status: mirror.status, cancel_at: mirror.cancel_at.or(mirror.ended_at) }
    }
}
