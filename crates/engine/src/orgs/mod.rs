//! Orgs: the operator's customers. Table `organizations`.
//!
//! Invariants: rows everywhere key on `org_key`, so the public id can change (`relink`) without touching the ledger;
//! an org is never deleted, only closed.

mod find;
pub(crate) mod sql;

pub(crate) use find::find;
