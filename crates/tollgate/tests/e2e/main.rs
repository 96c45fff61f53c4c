//! The binary from outside: real processes, real HTTP on loopback, both databases, kill -9, a browser.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod api;
mod backups;
mod canaries;
mod catalog;
mod command_line;
mod database;
mod durability;
mod faults;
mod generator;
mod hard_stop;
mod journey;
mod log_lines;
mod mirror;
mod once;
mod payments;
mod quotes;
mod readme;
mod refusals;
mod revocations;
mod rollover;
mod sandbox;
mod server;
mod shapes;
mod shutdown;
mod size;
mod start_page;
mod taxes;
mod tenant;
mod webhooks;
