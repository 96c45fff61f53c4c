//! The ledger on both databases: contention, repeats, batches, holds, rollover, recounts.
//!
//! CI sizes by default; `TOLLGATE_PROOF=report` runs the sizes of the report. Figures are printed as `PROOF: <name>: <figures>`.

mod contention;
mod corrections;
mod lists;
mod once;
mod periods;
mod pools;
mod slices;
mod speed;
pub(crate) mod stage;
mod verbs;
