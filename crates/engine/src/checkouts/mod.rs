//! Checkouts: a page of billing's where somebody subscribes, for an org that is there or for one that is made when they did.
//! Table `checkouts`.
//!
//! Words: a checkout has a name of ours (`chk_…`), written on billing's session and on the subscription that comes of it; it is
//! *asked* (stored, being made), *open* (there is a page), *completed* or *expired*.
//!
//! Invariants: a checkout is stored with its operation before anything is sent; an org has one open page at a time; whichever event
//! of a completed checkout is heard first makes the org with its owner's invitation, in the transaction that takes in customer and
//! subscription, and every later one finds it there. A mark of ours at billing without a row of ours makes nothing.

mod create;
mod fulfil;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use tollgate_rules::ids::{OrgId, OrgKey};

pub(crate) use create::advance;
pub use create::{Made, NewCheckout, create, create_for_new_org};
pub(crate) use fulfil::{fulfil, is_ours, over};

/// What the names of checkouts begin with. An org that a checkout made is owned by this name until its owner accepts.
pub(crate) const PREFIX: &str = "chk_";

/// The org key of a checkout whose org is not there yet.
pub(crate) const NO_ORG: OrgKey = OrgKey(0);

/// A checkout as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    pub(crate) org_key: OrgKey,
    pub(crate) checkout_id: String,
    /// The org it is for, or the one it is going to make.
    pub(crate) org_id: OrgId,
    /// What the org that it makes is called.
    pub(crate) org_name: Option<String>,
    pub(crate) email: String,
    pub(crate) price_lookup: String,
    pub(crate) state: State,
    pub(crate) session_id: Option<String>,
}

/// Where a checkout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Stored; its page is being made.
    Asked,
    /// There is a page.
    Open,
    /// Somebody subscribed.
    Completed,
    /// Nobody did in time, or another page took its place.
    Expired,
}

impl State {
    const ALL: [State; 4] = [State::Asked, State::Open, State::Completed, State::Expired];

    const fn as_str(self) -> &'static str {
        match self {
            State::Asked => "asked",
            State::Open => "open",
            State::Completed => "completed",
            State::Expired => "expired",
        }
    }

    fn parse(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
