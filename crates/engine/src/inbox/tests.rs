//! What the inbox promises, against the real sandbox and on both databases.

mod crashes;
mod histories;
mod operate;
mod orders;
mod reconciliation;
