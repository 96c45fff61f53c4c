//! Subscription schedules.

use serde::Deserialize;

use super::{Expandable, Identified, Reference};

/// What a subscription becomes when its running phase ends.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Schedule {
    /// `sub_sched_…`
    pub id: String,
    /// `active`, `released`, …
    pub status: Option<String>,
    /// The running phase.
    pub current_phase: Option<PhaseSpan>,
    /// Every phase, in order.
    #[serde(default)]
    pub phases: Vec<Phase>,
}

/// When a phase runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PhaseSpan {
    /// Unix seconds.
    pub start_date: i64,
    /// Unix seconds.
    pub end_date: i64,
}

/// One phase.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Phase {
    /// Unix seconds.
    pub start_date: i64,
    /// Unix seconds.
    pub end_date: i64,
    /// What is subscribed to while it runs.
    #[serde(default)]
    pub items: Vec<PhaseItem>,
}

/// One item of a phase.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PhaseItem {
    /// What is bought.
    pub price: Expandable<Reference>,
    /// How many; absent for metered prices.
    pub quantity: Option<i64>,
}

impl Identified for Schedule {
    fn id(&self) -> &str {
        &self.id
    }
}
