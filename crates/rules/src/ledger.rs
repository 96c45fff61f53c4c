//! The ledger's decisions: pure, sequential and deterministic.
