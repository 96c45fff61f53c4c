//! How the server is: smoke test, readiness, what has not converged, what is due next.

mod converged;
mod fence;
mod ready;
mod smoke;
#[cfg(test)]
mod tests;

pub use converged::unconverged;
pub use fence::fence;
pub(crate) use ready::Readiness;
pub use ready::ready;
pub use smoke::{Check, Smoke, smoke};
