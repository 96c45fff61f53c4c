//! Finds the contract data: `TOLLGATE_CONTRACTS`, else beside the repository.

use std::path::PathBuf;

use serde_json::Value;

/// One file of contract data; `None`, with the reason printed, where there is none.
pub(crate) fn contract(file: &str) -> Option<Value> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/contracts"));
    let path = std::env::var_os("TOLLGATE_CONTRACTS").map_or_else(beside, PathBuf::from).join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("contract data is JSON")),
        Err(error) => {
            println!("SKIPPED: no contract data {file}: {error}");
            None
        }
    }
}
