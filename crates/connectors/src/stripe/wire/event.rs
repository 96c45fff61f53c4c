//! The shape of events, cut down to what says which object changed and whose it is.

use serde::Deserialize;

use super::{Expandable, Reference};

/// An event: a hint that an object changed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// For example `invoice.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix seconds; many events share one.
    pub created: i64,
    /// The connected account it is of, if any.
    pub account: Option<String>,
    /// The version its object is written in.
    pub api_version: Option<String>,
    /// Whether real money is meant.
    pub livemode: Option<bool>,
    /// Holds the object.
    pub data: EventData,
}

/// The object an event is about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EventData {
    /// The object as it was then.
    pub object: EventObject,
    /// What changed, as it was before: whose a detached payment method was.
    pub previous_attributes: Option<PreviousAttributes>,
}

/// The fields we read of what changed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PreviousAttributes {
    /// Whose it was.
    pub customer: Option<Expandable<Reference>>,
}

/// As much of the object as says which one it is and whose.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EventObject {
    /// Its id; a few objects have none.
    pub id: Option<String>,
    /// `subscription`, `invoice`, `customer`, …
    pub object: Option<String>,
    /// Whose it is.
    pub customer: Option<Expandable<Reference>>,
}
