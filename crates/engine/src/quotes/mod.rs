//! Quotes: what a change of plan would cost now, line by line, kept for fifteen minutes. Table `quotes`.
//!
//! Words: to *weigh* a wanted change is to find out what kind it is, when it takes effect and what is asked of billing for it; a
//! *quote* is that with billing's own preview of the invoice; *confirming* it charges exactly what it shows, or nothing.
//!
//! Invariants: a quote never changes (save that it was confirmed); it pins the instant that prorations are computed for; before a
//! charge billing is asked again, and another amount than shown makes the quote stale instead of being charged. What the plan mirror
//! thinks it costs is compared and shown, and decides nothing.

mod compare;
mod hold;
mod preview;
pub(crate) mod sql;
#[cfg(test)]
pub(crate) mod tests;
mod weigh;

pub use compare::MirrorView;
pub use preview::{Item, Quote, preview};
pub use weigh::Wanted;

pub(crate) use hold::{Given, Held, hold};
pub(crate) use weigh::{Weighed, weigh};
