//! The shapes of Stigg's REST API v1 that we send and read (`contracts/stigg/rest-operations.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `POST /api/v1/customers`, and without `id` `PATCH /api/v1/customers/{id}`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Customer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<&'a str>,
    pub(super) billing_id: &'a str,
    pub(super) metadata: BTreeMap<&'static str, &'a str>,
}

/// `POST /api/v1/subscriptions`; without `id` and `startDate` it changes the plan of what the customer has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscription<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) customer_id: &'a str,
    pub(super) plan_id: &'a str,
    pub(super) billing_period: &'static str,
    pub(super) billing_id: &'a str,
    /// Always `NONE`: Stripe bills, and Stigg must not.
    pub(super) payment_collection_method: &'static str,
    /// Always `IMMEDIATE`: Stigg is told what is, not what will be.
    pub(super) schedule_strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trial_override_configuration: Option<Trial>,
    pub(super) metadata: BTreeMap<&'static str, &'a str>,
}

/// `POST /api/v1/subscriptions/{id}/cancel`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cancel {
    pub(super) cancellation_time: &'static str,
    pub(super) cancellation_action: &'static str,
    /// Always false: Stripe settles.
    pub(super) prorate: bool,
}

/// A running trial.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trial {
    pub(super) is_trial: bool,
    pub(super) trial_end_behavior: &'static str,
    pub(super) trial_end_date: String,
}

/// Every answer wraps its object.
#[derive(Debug, Deserialize)]
pub(super) struct Wrapped<T> {
    pub(super) data: T,
}

/// Of a customer only that it exists matters.
#[derive(Debug, Deserialize)]
pub(super) struct CustomerAnswer {
    pub(super) id: String,
}

/// The answer to provisioning a subscription.
#[derive(Debug, Deserialize)]
pub(super) struct Provisioned {
    pub(super) status: String,
    pub(super) subscription: Option<SubscriptionAnswer>,
}

/// A subscription as Stigg has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionAnswer {
    pub(super) plan_id: String,
    #[serde(default)]
    pub(super) prices: Vec<Price>,
}

/// One price; the amount stays text until it is converted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Price {
    pub(super) amount: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) base_charge: Option<bool>,
    pub(super) currency: Option<String>,
}

/// The one field of an error that may be relied on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    pub(super) message: Option<String>,
}
