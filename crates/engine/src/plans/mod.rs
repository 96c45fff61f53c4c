//! The catalog as it is in force: published versions of plans, their prices at Stripe.
