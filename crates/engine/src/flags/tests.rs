//! What holds for flags.
