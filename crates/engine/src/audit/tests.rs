//! What holds for audit.
