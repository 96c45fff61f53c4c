//! What holds for backup.
