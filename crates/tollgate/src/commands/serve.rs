//! `tollgate serve`: the server in production. It refuses what is only safe on a developer's machine.

use std::net::IpAddr;

use http::Uri;
use secrecy::ExposeSecret;
use tollgate_engine::clock::BusinessClock;
use tollgate_engine::db::Migrate;
use tollgate_engine::{KeyEnvironment, backup};
use tollgate_web::{Mode, State};

use super::Done;
use crate::admin;
use crate::assemble::{self, Parts};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::logs;
use crate::serving::{self, Port, Server, Stop};

/// Serves until told to stop.
///
/// # Errors
/// A setting is not safe, the database cannot be used, the port is taken, or serving became impossible.
pub(crate) async fn run(config: &Config) -> Result<Done, Failure> {
    safe(config)?;
    logs::start(config)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let data = DataDir::new(&config.data);
    let _held = data.hold()?;
    let stop = Stop::on_signals()?;
    let metrics = serving::metrics()?;
    let listener = serving::listen(config.listen, Port::AsNamed).await?;
    let base_url = serving::base_url(&listener)?;
    let parts = Parts {
        business: BusinessClock::system(),
        billing: assemble::stripe_of(config)?,
        plan_mirror: assemble::stigg_of(config)?,
        migrate: if config.migrate { Migrate::Apply } else { Migrate::Refuse },
        keys: KeyEnvironment::Live,
        operator_key: config.operator_key.clone(),
        base_url: base_url.clone(),
    };
    let engine = assemble::engine(config, parts).await?;
    let public_url = config.app_base_url.clone().unwrap_or_else(|| base_url.clone());
    let state = State {
        engine: engine.clone(),
        mode: Mode::Serve,
        render_metrics: std::sync::Arc::new(move || metrics.render()),
        time_machine: None,
        demo: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        base_url: public_url,
        proxies: config.trusted_proxies.clone(),
    };
    backup::keep_daily(&engine).await.map_err(Failure::during("queueing the daily backup"))?;
    let admin = admin::listen(&data.admin_socket())?;
    banner(config, &base_url);
    serving::ready(config.ready_file.as_deref(), &base_url, None, None)?;
    Box::pin(Server { listener, state, admin, data, sandbox: None }.run(&stop, std::future::pending())).await?;
    tracing::info!("drained and stopped");
    Ok(Done::Ok)
}

/// Refuses what must not happen by accident in production.
fn safe(config: &Config) -> Result<(), Failure> {
    if on_loopback(&config.stripe_api_base) && !config.allow_sandbox {
        return Err(Failure::usage(format!(
            "STRIPE_API_BASE: {} is on this machine, so it is not Stripe",
            config.stripe_api_base
        ))
        .remedy(
            "Leave it out to use Stripe, or say --allow-sandbox / TOLLGATE_ALLOW_SANDBOX=1 if that is what you want.",
        ));
    }
    Ok(())
}

fn on_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// What an operator should know about this start.
fn banner(config: &Config, base_url: &str) {
    tracing::info!(address = base_url, version = env!("CARGO_PKG_VERSION"), "serving at {base_url}");
    match &config.stripe_secret_key {
        None => tracing::warn!("STRIPE_SECRET_KEY is not set: everything that bills answers 503 billing_unavailable"),
        Some(key) if key.expose_secret().contains("_test_") => {
            tracing::warn!("*** this server runs with a test key of Stripe: nobody is charged ***");
        }
        Some(_) => {}
    }
    if config.webhook_secrets.is_empty() && config.stripe_secret_key.is_some() {
        tracing::warn!(
            "STRIPE_WEBHOOK_SECRET is not set: webhooks are refused, and changes at Stripe arrive by reconciliation only"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::on_loopback;

    #[test]
    fn loopback_is_known_by_every_name() {
        for url in [
            "http://127.0.0.1:8788",
            "http://localhost:1",
            "http://[::1]:1",
            "http://127.9.9.9",
            "http://0.0.0.0:1",
            "http://a.localhost",
        ] {
            assert!(on_loopback(url), "{url}");
        }
        for url in ["https://api.stripe.com", "http://10.0.0.1", "http://localhost.example.com"] {
            assert!(!on_loopback(url), "{url}");
        }
    }
}
