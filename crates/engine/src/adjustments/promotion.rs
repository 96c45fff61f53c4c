//! Makes a promotion code for a coupon that can still be redeemed.

use serde_json::Value;

use tollgate_connectors::billing::NewPromotion;
use tollgate_rules::time::Timestamp;

use super::record::{self, Frozen};
use super::{Adjustment, Error, Recorded};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::operations::{Kind, Run, Stop};
use crate::subscriptions::{self, stop};

/// A promotion code that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// What it gives.
    pub coupon_id: String,
    /// The word; one is made up where none is given.
    pub code: Option<String>,
    /// How often it can be redeemed.
    pub redemptions_max: Option<i64>,
    /// Until when it can be redeemed.
    pub expires_at: Option<Timestamp>,
    /// Only customers who never paid may redeem it.
    pub first_time_only: bool,
    /// Whoever knows the word may redeem it, not this org alone.
    pub for_everyone: bool,
}

/// Makes a promotion code.
///
/// # Errors
/// [`Error`]; nothing was made.
pub async fn create_promotion(
    engine: &Engine,
    scope: &OrgScope,
    asked: Promotion,
    reason: &str,
) -> Result<Recorded, Error> {
    let reason = record::reason(reason)?;
    check(engine, &asked)?;
    let customer_id = if asked.for_everyone { None } else { Some(record::customer(engine, scope).await?) };
    match engine.billing().coupon(&asked.coupon_id).await? {
        Some(coupon) if coupon.valid => {}
        Some(_) => return Err(Error::wrong("couponId", "can no longer be redeemed")),
        None => return Err(Error::wrong("couponId", "is no coupon")),
    }
    let request = NewPromotion {
        coupon_id: asked.coupon_id,
        code: asked.code,
        customer_id,
        redemptions_max: asked.redemptions_max,
        expires_at: asked.expires_at,
        first_time_only: asked.first_time_only,
    };
    record::make(engine, scope, Kind::PromotionCreate, (reason, request)).await
}

fn check(engine: &Engine, asked: &Promotion) -> Result<(), Error> {
    let word = |code: &str| {
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if asked.code.as_deref().is_some_and(|code| !word(code)) {
        return Err(Error::wrong("code", "must be 1 to 64 letters, digits or dashes"));
    }
    if asked.redemptions_max.is_some_and(|most| most < 1) {
        return Err(Error::wrong("maxRedemptions", "must be positive"));
    }
    if asked.expires_at.is_some_and(|at| at <= engine.now()) {
        return Err(Error::wrong("expiresAt", "has passed"));
    }
    Ok(())
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen::<NewPromotion> { why, request } = run.body()?;
    let (engine, new, mark) = (run.engine().clone(), request.clone(), run.id().to_owned());
    let forgotten = subscriptions::keys_are_forgotten(run);
    let (promotion_id, code): (String, String) = run
        .step("promotion", |key| async move {
            if forgotten && let Some(found) = engine.billing().find_promotion(&mark, &new).await.map_err(stop)? {
                return Ok((found.promotion_id, found.code));
            }
            let made = engine.billing().create_promotion(&key, &mark, &new).await.map_err(stop)?;
            Ok((made.promotion_id, made.code))
        })
        .await?;
    record::write(run, why, Adjustment::Promotion { promotion_id, code, coupon_id: request.coupon_id }).await
}
