//! Clerk: accounts and organizations kept elsewhere. Client of the Backend API, webhook signatures, translation.
//!
//! Contract: `../shared/contracts/clerk`; what surprises stands in this folder's README.

pub mod client;
mod translate;
pub mod webhook;
mod wire;

pub use client::{API_BASE, Client, Settings, SetupError};
pub use translate::{read_event, role};
