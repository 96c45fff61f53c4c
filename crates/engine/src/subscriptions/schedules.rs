//! What is going to become of a subscription by itself: put there, let go, put back. Steps of the operations that change plans.

use tollgate_connectors::billing::{MeteredMove, PhaseItem, ScheduleFact, SchedulePhases};
use tollgate_rules::ids::{PriceId, SubscriptionId};
use tollgate_rules::period::{Interval, Period};

use super::sync::stop;
use crate::db;
use crate::fault::point;
use crate::operations::{Run, Stop};

/// A schedule that was let go.
#[derive(Debug)]
pub(super) struct Released {
    subscription_id: SubscriptionId,
    was: ScheduleFact,
}

/// What is wanted after the running phase.
#[derive(Debug, Clone)]
pub(super) struct Next {
    /// The item that is another one then: by the price it has now.
    pub(super) in_place_of: PriceId,
    pub(super) item: PhaseItem,
    pub(super) interval: Interval,
    pub(super) fresh_anchor: bool,
    /// Where items that are charged by use go, where they cannot stay.
    pub(super) metered: Vec<MeteredMove>,
}

/// Lets go of the schedule of a subscription, where it has one.
pub(super) async fn release(run: &mut Run<'_>, subscription_id: &SubscriptionId) -> Result<Option<Released>, Stop> {
    let Some(was) = found(run, subscription_id).await? else { return Ok(None) };
    let (engine, id) = (run.engine().clone(), was.schedule_id.clone());
    run.step("release", |key| async move {
        point(&engine, "schedule.before_release").map_err(db::Error::from)?;
        engine.billing().release_schedule(&key, &id).await.map_err(stop)?;
        Ok(point(&engine, "schedule.released").map_err(db::Error::from)?)
    })
    .await?;
    Ok(Some(Released { subscription_id: subscription_id.clone(), was }))
}

async fn found(run: &mut Run<'_>, subscription_id: &SubscriptionId) -> Result<Option<ScheduleFact>, Stop> {
    let (engine, id) = (run.engine().clone(), subscription_id.clone());
    run.step("schedule", |_| async move { engine.billing().schedule_of(&id).await.map_err(stop) }).await
}

/// Puts what is wanted after the running phase on the subscription's schedule; it is made if there is none.
pub(super) async fn put(run: &mut Run<'_>, subscription_id: &SubscriptionId, next: Next) -> Result<Period, Stop> {
    let schedule = match found(run, subscription_id).await? {
        Some(schedule) => schedule,
        None => create(run, "create_schedule", subscription_id).await?,
    };
    let place = |item: &PhaseItem| {
        if item.price_id == next.in_place_of {
            return Some(next.item.clone());
        }
        match next.metered.iter().find(|one| one.from == item.price_id) {
            Some(one) => one.to.clone().map(|price_id| PhaseItem { price_id, quantity: None }),
            None => Some(item.clone()),
        }
    };
    let phases = SchedulePhases {
        next: schedule.running.iter().filter_map(place).collect(),
        running: schedule.running,
        period: schedule.period,
        interval: next.interval,
        fresh_anchor: next.fresh_anchor,
    };
    let period = phases.period;
    set(run, "phases", (schedule.schedule_id, phases)).await?;
    Ok(period)
}

async fn create(run: &mut Run<'_>, step: &str, subscription_id: &SubscriptionId) -> Result<ScheduleFact, Stop> {
    let (engine, id) = (run.engine().clone(), subscription_id.clone());
    let look_first = super::keys_are_forgotten(run);
    run.step(step, |key| async move {
        point(&engine, "schedule.before_create").map_err(db::Error::from)?;
        if look_first && let Some(there) = engine.billing().schedule_of(&id).await.map_err(stop)? {
            return Ok(there);
        }
        let made = engine.billing().create_schedule(&key, &id).await.map_err(stop)?;
        point(&engine, "schedule.created").map_err(db::Error::from)?;
        Ok(made)
    })
    .await
}

async fn set(run: &mut Run<'_>, step: &str, (id, phases): (String, SchedulePhases)) -> Result<(), Stop> {
    let engine = run.engine().clone();
    run.step(step, |key| async move {
        point(&engine, "schedule.before_phases").map_err(db::Error::from)?;
        engine.billing().set_phases(&key, &id, &phases).await.map_err(stop)?;
        Ok(point(&engine, "schedule.phases_set").map_err(db::Error::from)?)
    })
    .await
}

impl Released {
    /// Makes happen again what was going to happen.
    pub(super) async fn put_back(self, run: &mut Run<'_>) -> Result<(), Stop> {
        let Some((runs, next)) = self.was.next else { return Ok(()) };
        let made = create(run, "create_schedule_again", &self.subscription_id).await?;
        let interval = interval_of(runs);
        let phases = SchedulePhases {
            running: made.running,
            period: made.period,
            next,
            interval,
            fresh_anchor: interval != interval_of(made.period),
        };
        set(run, "phases_again", (made.schedule_id, phases)).await
    }
}

/// Phases are one interval long.
fn interval_of(period: Period) -> Interval {
    const LONGEST_MONTH: std::time::Duration = std::time::Duration::from_hours(32 * 24);
    if period.end.since(period.start) > LONGEST_MONTH { Interval::Year } else { Interval::Month }
}
