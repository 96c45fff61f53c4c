//! Stigg, as far as Tollgate uses it: it is told customers and subscriptions, and asked what it thinks a change
//! costs. See `README.md` beside this file.

mod client;
mod money;
mod preview;
mod wire;

pub use client::{API_BASE, Client, Settings, SetupError};
