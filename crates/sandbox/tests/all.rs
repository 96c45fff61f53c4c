//! The sandbox as its callers see it, over HTTP; every answer is checked against Stripe's official description.

#[cfg(test)]
mod suite;
