//! Stigg, as far as Tollgate uses it: it is told customers and subscriptions. See `README.md` beside this file.

mod client;
mod money;
mod wire;

pub use client::{API_BASE, Client, Settings, SetupError};
