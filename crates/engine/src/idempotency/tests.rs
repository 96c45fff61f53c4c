//! What holds for idempotency.
