//! The clients against the contracts of the services they speak to.
//!
//! Every request a client can make is recorded over HTTP and checked against the official description; every official
//! sample is decoded. Where the contract data is absent the test says so and passes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; the failure then names the line")]

mod clerk;
mod data;
mod dns;
mod outgoing;
mod reach;
mod recorder;
mod sandbox;
mod schema;
mod stigg;
mod stripe;
mod transport;
