//! Invoices as billing told them.
