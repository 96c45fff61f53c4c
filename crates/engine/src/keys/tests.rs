//! What holds for keys.
