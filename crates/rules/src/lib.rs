//! Nouns and decisions of Tollgate as plain types and pure functions.
//!
//! Nothing here knows async, clocks, randomness, SQL, HTTP, a provider's words or configuration: `now` is an argument and every
//! answer depends on the arguments alone. That is what lets property tests, the simulator and an auditor exercise the rules
//! that decide about money and access without starting a server.

pub mod access;
pub mod billing;
pub mod catalog;
pub mod entitlement;
pub mod ids;
pub mod ledger;
pub mod metering;
pub mod money;
pub mod paid;
pub mod period;
pub mod quantity;
pub mod quote;
pub mod subscription;
pub mod time;
pub mod what_if;
