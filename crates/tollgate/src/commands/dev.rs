//! `tollgate dev`: everything on this machine, with its own Stripe, a clock that can be moved, and something to look at.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tollgate_engine::clock::{BusinessClock, Entropy};
use tollgate_engine::db::Migrate;
use tollgate_engine::{Engine, KeyEnvironment};
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::{Faults, Sandbox, StartError};
use tollgate_web::{Mode, State};

use super::Done;
use crate::admin;
use crate::assemble::{self, Parts};
use crate::config::Config;
use crate::data_dir::{DataDir, write_whole};
use crate::failure::Failure;
use crate::seeds::{self, Seed};
use crate::serving::{self, Port, Server, Stop};
use crate::{banner, logs, output, time_machine};

/// What the sandbox is spoken to with; any key of this kind does.
const SANDBOX_KEY: &str = "sk_test_tollgate_dev";

/// Serves until told to stop.
///
/// # Errors
/// A port is taken, the data directory is in use or unreadable, or the catalog cannot be applied.
pub(crate) async fn run(config: &Config) -> Result<Done, Failure> {
    safe(config)?;
    logs::start(config)?;
    for warning in &config.warnings {
        output::message(&format!("tollgate: {warning}"));
    }
    let begun = tollgate_engine::clock::MonotonicClock::system().now();
    let data = DataDir::new(&config.data);
    let _held = data.hold()?;
    if config.fresh {
        data.wipe()?;
    }
    let new = !data.database().exists() && !data.sandbox().exists();
    let stop = Stop::on_signals()?;
    let metrics = serving::metrics()?;
    let port = if config.listen_is_default { Port::NextFree } else { Port::AsNamed };
    let listener = serving::listen(config.listen, port).await?;
    let base_url = serving::base_url(&listener)?;
    let sandbox = sandbox(config, &data).await?;
    let operator_key = operator_key(config, &data)?;
    let engine = engine(config, &sandbox, &operator_key, &base_url).await?;
    let seed = Seed::choose(config, new)?;
    let demo = seeds::first(&engine, &seed, &data).await?;
    let state = State {
        engine: engine.clone(),
        mode: Mode::Dev,
        render_metrics: Arc::new(move || metrics.render()),
        time_machine: Some(time_machine::build(engine.clone(), sandbox.clone())),
        demo: demo.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        base_url: config.app_base_url.clone().unwrap_or_else(|| base_url.clone()),
        proxies: config.trusted_proxies.clone(),
    };
    let admin = admin::listen(&data.admin_socket())?;
    let key = operator_key.expose_secret();
    serving::ready(config.ready_file.as_deref(), &base_url, Some(&sandbox.base_url()), Some(key))?;
    let took = engine.clock().monotonic.now().saturating_sub(begun);
    banner::print(&banner::Told {
        config,
        api: &base_url,
        sandbox: &sandbox.base_url(),
        now: engine.now(),
        demo: demo.as_ref(),
        operator_key: key,
        took,
    });
    let beside = async {
        banner::open(config, &base_url).await;
        seeds::rest(&engine, &seed).await;
    };
    let server = Server { listener, state, admin, data, sandbox: Some(sandbox.clone()) };
    Box::pin(server.run(&stop, beside)).await?;
    sandbox.stop().await;
    Ok(Done::Ok)
}

/// Keeps what needs no key (the start page, the diagnostics, a Stripe that anyone may move) on this machine.
fn safe(config: &Config) -> Result<(), Failure> {
    let listens = [("--listen / TOLLGATE_LISTEN", config.listen), ("--sandbox-listen", config.sandbox_listen)];
    match listens.into_iter().find(|(_, address)| !address.ip().is_loopback()) {
        None => Ok(()),
        Some((name, address)) => Err(Failure::usage(format!(
            "{name}: {address} is not on loopback, and `dev` is open to whoever reaches it"
        ))
        .remedy("Use 127.0.0.1 or [::1], or start `tollgate serve`.")),
    }
}

/// Starts the sandbox on its address, or the next free one after the default.
async fn sandbox(config: &Config, data: &DataDir) -> Result<Sandbox, Failure> {
    let port = if config.sandbox_listen_is_default { Port::NextFree } else { Port::AsNamed };
    for listen in serving::candidates(config.sandbox_listen, port) {
        let wanted = tollgate_sandbox::Config {
            listen,
            database: data.sandbox(),
            start_at_micros: config.clock.map(Timestamp::as_micros),
            faults: Faults::default(),
        };
        match Sandbox::start(wanted).await {
            Ok(sandbox) => {
                if listen != config.sandbox_listen {
                    output::message(&format!(
                        "tollgate: {} is taken, the sandbox uses {listen} instead",
                        config.sandbox_listen
                    ));
                }
                return Ok(sandbox);
            }
            Err(StartError::Listen { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(Failure::new(format!("starting the sandbox: {error}"))
                    .remedy("Choose another address with --sandbox-listen, or begin anew with --fresh."));
            }
        }
    }
    Err(serving::taken(config.sandbox_listen, "--sandbox-listen / TOLLGATE_SANDBOX_LISTEN"))
}

/// The engine on the sandbox's clock, with the sandbox as Stripe and Stigg, its webhooks accepted and the catalog applied.
async fn engine(
    config: &Config,
    sandbox: &Sandbox,
    operator_key: &SecretString,
    base_url: &str,
) -> Result<Engine, Failure> {
    let stigg = format!("{}/stigg", sandbox.base_url());
    let parts = Parts {
        business: BusinessClock::offset(sandbox.offset()),
        billing: assemble::stripe_at(&sandbox.base_url(), SecretString::from(SANDBOX_KEY))?,
        plan_mirror: assemble::stigg_at(&stigg, SecretString::from("server-tollgate-dev"))?,
        migrate: Migrate::Apply,
        keys: KeyEnvironment::Test,
        operator_key: Some(operator_key.clone()),
        base_url: base_url.to_owned(),
    };
    let engine = assemble::engine(config, parts).await?;
    let webhooks = format!("{base_url}/api/webhooks/stripe.receive");
    let secret = sandbox.ensure_webhook_endpoint(&webhooks).await;
    let secret = secret.map_err(Failure::during("registering for the sandbox's webhooks"))?;
    let secrets = config.webhook_secrets.iter().cloned().chain([SecretString::from(secret)]);
    engine.webhook_secrets().set(secrets.collect());
    admin::publish(&engine, config.catalog.clone()).await?;
    Ok(engine)
}

/// The configured key, else the one this directory has, else a new one.
fn operator_key(config: &Config, data: &DataDir) -> Result<SecretString, Failure> {
    if let Some(key) = &config.operator_key {
        return Ok(key.clone());
    }
    let path = data.operator_key();
    if let Ok(key) = std::fs::read_to_string(&path) {
        return Ok(SecretString::from(key.trim().to_owned()));
    }
    let random: String = Entropy::system().bytes::<20>().iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("tgo_{random}");
    write_whole(&path, &format!("{key}\n"))?;
    Ok(SecretString::from(key))
}
