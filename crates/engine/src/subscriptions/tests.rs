//! What an org's subscription does, played against the sandbox over HTTP on both databases.

pub(crate) mod stage;
