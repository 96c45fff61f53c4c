//! Plans: the catalog as it is in force, its published versions, their prices at Stripe.
//! Tables `plans`, `plan_versions`, `plan_prices`, `metrics`.
//!
//! Invariants: a published version never changes; publishing the same content again makes no version; an org stays on the version
//! it was sold until it is moved; a price at Stripe belongs to one version and is found by its id, never by its lookup key.

mod archive;
mod diff;
mod ensure_at_stripe;
mod load;
mod publish;
mod pull;
mod shelf;
pub(crate) mod sql;
mod state;
#[cfg(test)]
mod tests;
mod what_if;

pub use diff::{Diff, FieldChange, OtherDiff, PlanChange, PlanDiff, PriceDiff, diff};
pub(crate) use ensure_at_stripe::price_for;
pub use ensure_at_stripe::{EnsuredAtStripe, ensure_at_stripe};
pub use load::reload;
pub(crate) use load::{load_or_publish, version};
pub use publish::{PublishError, Published, publish, publish_over};
pub use pull::{Pulled, pull};
pub(crate) use shelf::Shelf;
pub use state::{Moved, State, moved, state};
pub use what_if::{Difference, OrgDifference, Stopped, WhatIf, what_if};

use std::sync::Arc;

use tollgate_connectors::billing;
use tollgate_rules::catalog::Catalog;

use crate::db;
use crate::engine::Engine;

/// Why something about plans did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot answer, or a bug.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// Stripe cannot answer, or refuses.
    #[error(transparent)]
    Billing(#[from] billing::Error),
}

/// The catalog in force: the published plans that are sold, each with its version, and the metrics.
#[must_use]
pub fn catalog(engine: &Engine) -> Arc<Catalog> {
    engine.shelf().catalog()
}
