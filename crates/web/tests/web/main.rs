//! The product over HTTP: a real engine on an embedded database, served on loopback, asked by a real client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod device;
mod dpop;
mod keys;
mod matrix;
mod oauth;
mod operator_sign_in;
mod pages;
mod server;
