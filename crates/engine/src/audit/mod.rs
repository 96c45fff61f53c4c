//! The audit journal: one entry for every state change, in the change's own transaction. Tables `audit_journal`, `audit_heads`.
//!
//! Entries are inserted unchained, so that no use case waits for another. The sealer chains committed entries per org afterwards:
//! each carries the hash of the one before, over digests of its fields. A personal value can be erased later (its digest stays),
//! and the chain still holds. Ledger events and holds are their own journal.
//!
//! Invariants: an entry is never changed or deleted, save that what it says of a person or an org that is erased is blanked; `verify` finds a flipped, deleted or swapped one.

mod append;
mod digest;
mod erase;
mod list;
mod seal;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod verify;

pub use append::Entry;
pub(crate) use append::append;
pub(crate) use erase::{Of, erase};
pub(crate) use list::deeds;
pub use list::{Deed, Filter, Recorded, list};
pub use seal::seal;
pub use verify::{Finding, Problem, Verified, verify};

/// The journal's `org_key` of entries about the server itself.
pub(crate) const SERVER: i64 = 0;
