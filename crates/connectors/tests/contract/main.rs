//! The clients against the contracts of the services they speak to.
//!
//! Every request a client can make is recorded over HTTP and checked against the official description; every official
//! sample is decoded. Where the contract data is absent the test says so and passes.

mod data;
mod recorder;
mod schema;
mod stigg;
mod stripe;
mod transport;
