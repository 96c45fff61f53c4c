//! Makes a coupon, and gives it to the org's subscription where that is asked for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use tollgate_connectors::billing::{Lasting, NewCoupon, Off};
use tollgate_rules::ids::{CustomerId, SubscriptionId};
use tollgate_rules::time::Timestamp;

use super::record::{self, Frozen};
use super::{Adjustment, Error, Recorded};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::operations::{Kind, Run, Stop};
use crate::subscriptions::{self, Cause, stop, sync};

/// Longest name of a coupon, as billing takes it.
const NAME_CHARS_MAX: usize = 40;
/// Most months a coupon lasts.
const MONTHS_MAX: i64 = 120;

/// A coupon that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// What customers read on invoices.
    pub name: Option<String>,
    /// What it takes off.
    pub off: Off,
    /// How long.
    pub lasting: Lasting,
    /// How often it can be redeemed.
    pub redemptions_max: Option<i64>,
    /// Until when it can be redeemed.
    pub redeem_by: Option<Timestamp>,
    /// Whether the org's subscription gets it at once.
    pub apply: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    coupon: NewCoupon,
    apply_to: Option<(CustomerId, SubscriptionId)>,
}

/// Makes a coupon.
///
/// # Errors
/// [`Error`]; nothing was made.
pub async fn create_coupon(engine: &Engine, scope: &OrgScope, coupon: Coupon, reason: &str) -> Result<Recorded, Error> {
    let reason = record::reason(reason)?;
    check(engine, &coupon)?;
    let apply_to = if coupon.apply { Some(target(engine, scope).await?) } else { None };
    let coupon = NewCoupon {
        coupon_id: engine.new_id("tg_"),
        name: coupon.name,
        off: coupon.off,
        lasting: coupon.lasting,
        redemptions_max: coupon.redemptions_max,
        redeem_by: coupon.redeem_by,
    };
    record::make(engine, scope, Kind::CouponCreate, (reason, Request { coupon, apply_to })).await
}

fn check(engine: &Engine, coupon: &Coupon) -> Result<(), Error> {
    match &coupon.off {
        Off::Percent(percent) if !is_percent(percent) => {
            return Err(Error::wrong("percentOff", "must be above 0 and at most 100, with at most two decimals"));
        }
        Off::Amount(amount) if amount.minor < 1 => return Err(Error::wrong("amountOff", "must be positive")),
        Off::Percent(_) | Off::Amount(_) => {}
    }
    if let Lasting::Months(months) = coupon.lasting
        && !(1..=MONTHS_MAX).contains(&months)
    {
        return Err(Error::wrong("durationInMonths", "must be a whole number from 1 to 120"));
    }
    if coupon.redemptions_max.is_some_and(|most| most < 1) {
        return Err(Error::wrong("maxRedemptions", "must be positive"));
    }
    if coupon.redeem_by.is_some_and(|by| by <= engine.now()) {
        return Err(Error::wrong("redeemBy", "has passed"));
    }
    if coupon.name.as_ref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX) {
        return Err(Error::wrong("name", "must be 1 to 40 characters"));
    }
    Ok(())
}

/// `12.5`: more than 0, at most 100, at most two decimals.
fn is_percent(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 3 || fraction.len() > 2 {
        return false;
    }
    let hundredths = format!("{whole}{fraction:0<2}").parse::<u32>().unwrap_or(0);
    (1..=10_000).contains(&hundredths)
}

async fn target(engine: &Engine, scope: &OrgScope) -> Result<(CustomerId, SubscriptionId), Error> {
    let customer_id = record::customer(engine, scope).await?;
    let subscription = subscriptions::living(engine, scope).await?.ok_or(Error::NoSubscription)?;
    Ok((customer_id, subscription))
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { why, request: Request { coupon, apply_to } } = run.body()?;
    let (engine, new) = (run.engine().clone(), coupon.clone());
    // The id is ours: what exists under it is what a lost answer left.
    let forgotten = subscriptions::keys_are_forgotten(run);
    let coupon_id: String = run
        .step("coupon", |key| async move {
            if forgotten && let Some(found) = engine.billing().coupon(&new.coupon_id).await.map_err(stop)? {
                return Ok(found.coupon_id);
            }
            engine.billing().create_coupon(&key, &new).await.map(|made| made.coupon_id).map_err(stop)
        })
        .await?;
    if let Some((customer_id, subscription_id)) = &apply_to {
        let (engine, id, to) = (run.engine().clone(), coupon_id.clone(), subscription_id.clone());
        run.step("apply", |key| async move { engine.billing().give_coupon(&key, &to, &id).await.map_err(stop) })
            .await?;
        sync(run.engine(), Cause::Change(run.scope().clone()), customer_id).await?;
    }
    let made = Adjustment::Coupon { coupon_id, off: coupon.off, lasting: coupon.lasting, applied: apply_to.is_some() };
    record::write(run, why, made).await
}

#[cfg(test)]
mod tests {
    use super::is_percent;

    #[test]
    fn a_percentage_is_above_0_and_at_most_100_with_two_decimals() {
        for good in ["1", "0.01", "12.5", "99.99", "100", "100.00"] {
            assert!(is_percent(good), "{good}");
        }
        for bad in ["0", "0.00", "100.01", "101", "1.234", "-1", "1e1", "", ".", "1.", ".5", "1000"] {
            assert!(!is_percent(bad), "{bad}");
        }
    }
}
