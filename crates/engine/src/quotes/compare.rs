//! What the plan mirror thinks a change costs, held against ours: shown beside the quote and counted, never charged by.

use tollgate_connectors::billing::Proration;
use tollgate_connectors::plan_mirror::{MirroredChange, TakesEffect};
use tollgate_rules::money::Money;
use tollgate_rules::quote::When;

use super::weigh::Weighed;
use crate::access::OrgScope;
use crate::engine::Engine;

/// What the plan mirror thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorView {
    /// What it would charge now, in its own currency's minor units.
    pub amount: Money,
    /// Whether it comes to what billing says, before any credit of the customer's.
    pub agrees: bool,
}

/// What the mirror would invoice now. Nothing where there is no mirror, or where it does not say so within its time.
pub(super) async fn asked(engine: &Engine, scope: &OrgScope, weighed: &Weighed) -> Option<Money> {
    let mirror = engine.plan_mirror();
    if !mirror.is_on() {
        return None;
    }
    let change = MirroredChange {
        org_id: scope.org_id().clone(),
        plan_code: weighed.plan.code.clone(),
        interval: weighed.interval,
        quantity: weighed.quantity,
        coupon: weighed.change.coupon.clone(),
        takes_effect: takes_effect(weighed),
    };
    let told = tokio::time::timeout(engine.limits().outside.mirror_preview_wait, mirror.preview(&change)).await;
    match told {
        Ok(Ok(amount)) => Some(amount),
        Ok(Err(error)) => unanswered(&error.to_string()),
        Err(_) => unanswered("no answer in time"),
    }
}

fn unanswered(why: &str) -> Option<Money> {
    metrics::counter!("tollgate_mirror_previews_unanswered_total").increment(1);
    tracing::debug!(why, "the plan mirror did not say what a change costs");
    None
}

fn takes_effect(weighed: &Weighed) -> TakesEffect {
    match (weighed.when, weighed.change.proration_at) {
        (When::PeriodEnd, _) => TakesEffect::AtPeriodEnd,
        (When::Now, Some(at)) => TakesEffect::Within(at),
        (When::Now, None) => TakesEffect::Anew { gives_back: weighed.change.proration != Some(Proration::Nothing) },
    }
}

/// Holds the mirror's amount against billing's total, and counts.
pub(super) fn held(theirs: Money, ours: Money) -> MirrorView {
    let agrees = theirs == ours;
    metrics::counter!("tollgate_mirror_previews_compared_total").increment(1);
    if !agrees {
        metrics::counter!("tollgate_mirror_preview_differs_total").increment(1);
        tracing::info!(
            theirs = theirs.minor,
            ours = ours.minor,
            "the plan mirror thinks that a change costs something else"
        );
    }
    MirrorView { amount: Money::new(theirs.minor.max(0), theirs.currency), agrees }
}
