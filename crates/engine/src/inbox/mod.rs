//! Webhooks, stored before they are acted on.
