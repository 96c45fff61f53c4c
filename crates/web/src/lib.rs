//! HTTP and pages in front of the engine.

pub mod errors;
