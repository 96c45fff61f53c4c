//! Which steps an operation runs.

use serde_json::Value;

use super::{Kind, Run, Stop};

use crate::{adjustments, checkouts, erasure, members, provision, subscriptions, topups};

/// Runs the steps of the operation's kind to its outcome. Each arm is one call.
pub(super) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    match run.kind() {
        Kind::CustomerEnsure => Box::pin(subscriptions::ensure_customer::advance(run)).await,
        Kind::SubscriptionCreate => Box::pin(subscriptions::create::advance(run)).await,
        Kind::DefaultMethod => Box::pin(subscriptions::set_default_method::advance(run)).await,
        Kind::MethodDetach => Box::pin(subscriptions::detach_method::advance(run)).await,
        Kind::TaxSet => Box::pin(subscriptions::tax::advance(run)).await,
        Kind::CheckoutCreate => Box::pin(checkouts::advance(run)).await,
        Kind::PlanUpgrade => Box::pin(subscriptions::upgrade::advance(run)).await,
        Kind::PlanMigrate => Box::pin(subscriptions::migrate::advance(run)).await,
        Kind::PlanDowngrade => Box::pin(subscriptions::downgrade::advance(run)).await,
        Kind::PlanKeep => Box::pin(subscriptions::downgrade::keep(run)).await,
        Kind::SubscriptionEnd => Box::pin(subscriptions::end::advance(run)).await,
        Kind::MirrorProvision => Box::pin(provision::steps(run)).await,
        Kind::CouponCreate => Box::pin(adjustments::advance_coupon(run)).await,
        Kind::PromotionCreate => Box::pin(adjustments::advance_promotion(run)).await,
        Kind::CreditGrant => Box::pin(adjustments::advance_credit(run)).await,
        Kind::RefundCreate => Box::pin(adjustments::advance_refund(run)).await,
        Kind::CreditNoteCreate => Box::pin(adjustments::advance_credit_note(run)).await,
        Kind::TopupBuy => Box::pin(topups::advance(run)).await,
        Kind::CustomerDelete => Box::pin(erasure::advance_delete(run)).await,
        Kind::CustomerForget => Box::pin(erasure::advance_forget(run)).await,
        Kind::MemberChange => Box::pin(members::advance_change(run)).await,
        #[cfg(test)]
        Kind::Probe => Box::pin(super::tests::probe(run)).await,
    }
}
