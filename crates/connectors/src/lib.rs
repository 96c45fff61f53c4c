//! Clients of the services outside Tollgate, and the translation of their words into those of `tollgate_rules`.
//!
//! A *role* is what the engine needs from outside, spelled in our words: [`billing`], [`plan_mirror`], [`identity`] and [`mail`].
//! Each role is a closed enum with a variant that needs nothing. A *connector* is a folder per outside contract
//! ([`stripe`], [`stigg`], [`clerk`]): thin client, wire shapes, translation. Nothing here knows our tables or routes, or decides
//! when an operation is tried again.

pub mod billing;
pub mod clerk;
pub mod dns;
pub mod identity;
pub mod mail;
pub mod oidc;
pub mod outgoing;
pub mod plan_mirror;
pub mod reach;
pub mod stigg;
pub mod stripe;

mod pacing;

pub use pacing::{Pacing, Random};
