//! Invoices as billing told them. Table `invoice_refs`.
//!
//! Billing is the authority; what is kept here is what a list needs, overwritten whole by each fetch. The page of an
//! invoice (`url`) expires at billing and is renewed by the next fetch.
//!

mod apply_fact;
mod explain;
mod list;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

pub(crate) use apply_fact::apply_fact;
pub use explain::{Explained, ExplainedLine, LineUsage, explain};
pub use list::{Error, Invoice, list};
