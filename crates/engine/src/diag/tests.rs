//! What holds for diag.
