//! The product over HTTP: a real engine on an embedded database, served on loopback, asked by a real client.

mod pages;
mod server;
