//! One file per behaviour; `harness` starts servers and checks answers.

mod anything;
mod basics;
mod changes;
mod checkout;
mod discounts;
mod harness;
mod idempotency;
mod life;
mod lists;
mod official_clients;
mod portal;
mod returns;
mod stigg;
mod taxes;
mod webhooks;
