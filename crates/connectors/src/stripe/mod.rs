//! Stripe, as far as Tollgate uses it: a thin client pinned to one API version. See `README.md` beside this file.

pub mod client;
pub mod error;
pub mod form;
pub mod permissions;
pub mod webhook;
pub mod wire;

pub(crate) mod calls;
mod change_calls;
pub(crate) mod hosted_calls;
pub(crate) mod one_off_calls;
mod tax_calls;
pub(crate) mod translate;
pub(crate) mod usage_calls;

pub use client::{API_BASE, API_VERSION, Answer, Client, Settings, SetupError};
pub use error::{Error, Refusal};

pub(crate) use tax_calls::TaxId;
