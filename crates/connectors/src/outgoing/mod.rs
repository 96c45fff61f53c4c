//! Webhooks to the operator's own systems, after the Standard Webhooks specification: signed, sent to public addresses only,
//! never redirected. What is sent when is the engine's.

pub mod guard;
mod send;
pub mod signature;

pub use guard::{Reach, Refused};
pub use send::{Letter, Sender, Sent};
