//! One file per behaviour; `harness` starts servers and checks answers.

mod anything;
mod basics;
mod changes;
mod harness;
mod idempotency;
mod life;
mod lists;
mod stigg;
mod webhooks;
