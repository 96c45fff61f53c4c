//! API keys of orgs and keys of the operator. Tables `api_keys`, `operator_keys`.
//!
//! Invariants: a secret is shown once and stored as its SHA-256 only; a revoked key is never admitted again;
//! when a key was last used is written behind, never on the way of a call.

pub(crate) mod sql;
