//! The product over HTTP: a real engine on an embedded database, served on loopback, asked by a real client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attacks;
mod bad_input;
mod browsers;
mod clerk;
mod device;
mod dpop;
mod guessing;
mod keys;
mod matrix;
mod oauth;
mod operator_sign_in;
mod pages;
mod people;
mod server;
mod step_up;
