//! The device grant (RFC 8628): a plugin that nobody can type into waits until a signed-in member approves it.
//!
//! Words: the *device code* is the plugin's own and long; the *user code* is short, shown to a person and typed by them.

mod begin;
mod decide;
mod find;
mod poll;
#[cfg(test)]
mod tests;

use tollgate_rules::access::Scope;
use tollgate_rules::time::Timestamp;

pub use begin::{Begin, Begun, begin};
pub use decide::{Decision, decide};
pub use find::find;
pub use poll::poll;

use crate::engine::Engine;

/// What device codes begin with.
const PREFIX: &str = "tgd_";

/// What user codes are hashed for.
const PURPOSE: &str = "device codes";

/// A plugin that waits for approval, as the person who approves sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The domain of the site it says it runs on.
    pub domain: String,
    /// The network address it asked from, where that is known.
    pub asked_from: Option<String>,
    /// What it may do when it is approved.
    pub scopes: Vec<Scope>,
    /// When it asked.
    pub created_at: Timestamp,
    /// Until when it waits.
    pub expires_at: Timestamp,
}

/// What is stored of a user code as someone typed it.
fn hashed(engine: &Engine, typed: &str) -> String {
    engine.sealer().mac(PURPOSE, &super::create_code::letters(typed))
}
