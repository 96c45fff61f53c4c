//! Our row of a subscription, and what a fact makes of it.

use serde_json::{Value, json};

use tollgate_rules::billing::{SubscriptionFact, SubscriptionStatus};
use tollgate_rules::entitlement::SubscriptionState;
use tollgate_rules::ids::{InvoiceId, PaymentMethodId, PriceId, SubscriptionId};
use tollgate_rules::period::{Interval, Period};
use tollgate_rules::subscription::{Candidate, past_due_since};
use tollgate_rules::time::Timestamp;

/// A subscription as we mirror it, with the plan version it was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) subscription_id: SubscriptionId,
    pub(crate) status: SubscriptionStatus,
    pub(crate) price_id: PriceId,
    pub(crate) lookup_key: Option<String>,
    pub(crate) item_id: String,
    pub(crate) quantity: i64,
    pub(crate) interval: Interval,
    pub(crate) anchor: Timestamp,
    pub(crate) item_period: Period,
    pub(crate) trial: Option<Period>,
    pub(crate) cancel_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) created: Timestamp,
    pub(crate) default_payment_method: Option<PaymentMethodId>,
    pub(crate) latest_invoice: Option<InvoiceId>,
    pub(crate) past_due_since: Option<Timestamp>,
    pub(crate) pending_price: Option<(PriceId, Timestamp)>,
    /// The plan version its price belongs to; nothing for a price that is not of the catalog.
    pub(crate) plan: Option<(String, u32)>,
    /// The version of plan `trial` whose limits its trial has.
    pub(crate) trial_plan_version: Option<u32>,
}

/// What is known about plans when a fact comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownPlans {
    /// The plan version that the fact's price belongs to.
    pub(crate) of_price: Option<(String, u32)>,
    /// The version of plan `trial` in force.
    pub(crate) trial_version: Option<u32>,
}

impl Mirror {
    /// The mirror after a fact. While the price stays, so does the plan version the subscription was sold.
    pub(crate) fn after(before: Option<&Mirror>, fact: &SubscriptionFact, plans: KnownPlans) -> Mirror {
        let same_price = before.filter(|before| before.price_id == fact.price_id);
        let sold = same_price.and_then(|before| before.plan.clone());
        let trial_before = before.and_then(|before| before.trial_plan_version);
        Mirror {
            subscription_id: fact.subscription_id.clone(),
            status: fact.status,
            price_id: fact.price_id.clone(),
            lookup_key: fact.lookup_key.clone(),
            item_id: fact.item_id.clone(),
            quantity: fact.quantity,
            interval: fact.interval,
            anchor: fact.anchor,
            item_period: fact.item_period,
            trial: fact.trial,
            cancel_at: fact.cancel_at,
            ended_at: fact.ended_at,
            created: fact.created,
            default_payment_method: fact.default_payment_method.clone(),
            latest_invoice: fact.latest_invoice.clone(),
            past_due_since: past_due_since(before.and_then(|before| before.past_due_since), fact),
            pending_price: fact.pending_price.as_ref().map(|pending| (pending.price_id.clone(), pending.at)),
            plan: sold.or(plans.of_price),
            trial_plan_version: fact.trial.and(trial_before.or(plans.trial_version)),
        }
    }

    /// What decides whether it counts.
    pub(crate) fn candidate(&self) -> Candidate<'_> {
        Candidate {
            subscription_id: self.subscription_id.as_str(),
            status: self.status,
            created: self.created,
            ended_at: self.ended_at,
            known_price: self.plan.is_some(),
        }
    }

    /// What decides the org's rights; the pending plan is looked up by the caller.
    pub(crate) fn state(&self) -> SubscriptionState {
        SubscriptionState {
            subscription_id: self.subscription_id.clone(),
            status: self.status,
            interval: self.interval,
            quantity: self.quantity,
            anchor: self.anchor,
            item_period: self.item_period,
            trial: self.trial,
            cancel_at: self.cancel_at,
            ended_at: self.ended_at,
            past_due_since: self.past_due_since,
            pending: None,
        }
    }

    /// For the audit journal.
    pub(crate) fn audited(&self) -> Value {
        json!({
            "status": self.status.as_str(),
            "planCode": self.plan.as_ref().map(|(code, _)| code),
            "planVersion": self.plan.as_ref().map(|(_, version)| version),
            "priceId": self.price_id.as_str(),
            "quantity": self.quantity,
            "interval": self.interval.as_str(),
            "periodStart": self.item_period.start,
            "periodEnd": self.item_period.end,
            "trialEnd": self.trial.map(|trial| trial.end),
            "cancelAt": self.cancel_at,
            "endedAt": self.ended_at,
            "pastDueSince": self.past_due_since,
            "pendingPriceId": self.pending_price.as_ref().map(|(price_id, _)| price_id.as_str()),
            "paymentMethodId": self.default_payment_method.as_ref().map(PaymentMethodId::as_str),
            "latestInvoiceId": self.latest_invoice.as_ref().map(InvoiceId::as_str),
        })
    }
}
