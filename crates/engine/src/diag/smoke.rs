//! The smoke test: everything the server needs, tried once.

use std::future::Future;
use std::time::Duration;

use tollgate_connectors::billing::{Billing, Error as BillingError};

use super::ready;
use crate::db::Error;
use crate::engine::Engine;
use crate::jobs;

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How late a due job may be before something is wrong.
const LATE: Duration = Duration::from_secs(60);

/// What the smoke test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smoke {
    /// The checks, in a fixed order: `db`, `redis`, `env`, `stripe`, `jobs`.
    pub checks: Vec<Check>,
}

impl Smoke {
    /// Whether every check passed.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What was found, in words without secrets.
    pub detail: String,
}

/// Tries everything once.
pub async fn smoke(engine: &Engine) -> Smoke {
    let checks = vec![
        timed(engine, "db", db(engine)).await,
        timed(engine, "redis", async { Ok("not configured".to_owned()) }).await,
        timed(engine, "env", async { env(engine) }).await,
        timed(engine, "stripe", billing(engine)).await,
        timed(engine, "jobs", jobs(engine)).await,
    ];
    Smoke { checks }
}

async fn timed(engine: &Engine, name: &'static str, check: impl Future<Output = Result<String, String>>) -> Check {
    let started = engine.clock().monotonic.now();
    let result = match tokio::time::timeout(PATIENCE, check).await {
        Ok(result) => result,
        Err(_) => Err("no answer within 5 s".to_owned()),
    };
    let ms = u64::try_from(engine.clock().monotonic.now().saturating_sub(started).as_millis()).unwrap_or(u64::MAX);
    let ok = result.is_ok();
    let (Ok(detail) | Err(detail)) = result;
    Check { name, ok, ms, detail }
}

async fn db(engine: &Engine) -> Result<String, String> {
    ready::write(engine).await.map_err(|error| error.to_string())?;
    Ok(match engine.db().kind() {
        crate::db::Kind::Sqlite => "embedded: a durable write".to_owned(),
        crate::db::Kind::Postgres => "PostgreSQL: a durable write".to_owned(),
    })
}

fn env(engine: &Engine) -> Result<String, String> {
    if engine.billing().is_on() && engine.webhook_secrets().current().is_empty() {
        return Err("billing is on, but there is no webhook secret (STRIPE_WEBHOOK_SECRET)".to_owned());
    }
    Ok(format!(
        "{} keys, reached at {}",
        engine.key_environment().prefix().trim_end_matches('_'),
        engine.public_base_url()
    ))
}

async fn billing(engine: &Engine) -> Result<String, String> {
    if let Billing::Off = engine.billing() {
        return Ok("off".to_owned());
    }
    match engine.billing().prices(&["tollgate_smoke".to_owned()]).await {
        Ok(_) => Ok("prices can be read".to_owned()),
        Err(BillingError::Credentials(_)) => Err("the key is refused, or may not read prices".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn jobs(engine: &Engine) -> Result<String, String> {
    let now = engine.now();
    let health = async {
        let mut connection = engine.db().read().await?;
        jobs::sql::health(&mut connection, now).await
    };
    let (dead, oldest_due) = health.await.map_err(|error: Error| error.to_string())?;
    match oldest_due.map(|since| now.since(since)) {
        Some(late) if late > LATE => Err(format!("the oldest due job waits for {} s; {dead} dead", late.as_secs())),
        Some(_) | None if dead > 0 => Ok(format!("on time; {dead} dead letters wait for a person")),
        Some(_) | None => Ok("on time".to_owned()),
    }
}
