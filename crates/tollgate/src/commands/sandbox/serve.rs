//! `tollgate sandbox serve`: the Stripe double alone, for whoever develops against Stripe.

use std::net::SocketAddr;

use clap::ArgMatches;
use serde_json::json;
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::{Faults, Sandbox};

use super::super::Done;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::{self, Format, field};
use crate::serving::{self, Stop};

/// Serves until it is told to stop.
///
/// # Errors
/// The address is taken, or the data directory belongs to another process.
pub(super) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let address = text("address").unwrap_or("127.0.0.1:8788");
    let listen: SocketAddr = address
        .parse()
        .map_err(|_| Failure::usage(format!("{address}: not an address")).remedy("Write it as 127.0.0.1:8788."))?;
    let clock = text("clock").map(|moment| {
        Timestamp::parse_rfc3339(moment).map_err(|_| {
            Failure::usage(format!("--clock {moment}: not a time")).remedy("Write it as 2026-03-01T00:00:00Z.")
        })
    });
    let data = DataDir::new(&config.data);
    let _held = data.hold()?;
    let stop = Stop::on_signals()?;
    let wanted = tollgate_sandbox::Config {
        listen,
        database: data.sandbox(),
        start_at_micros: clock.transpose()?.map(Timestamp::as_micros),
        faults: Faults::none(),
    };
    let sandbox = Sandbox::start(wanted).await.map_err(Failure::during("starting the sandbox"))?;
    let base_url = sandbox.base_url();
    if !listen.ip().is_loopback() {
        output::message("tollgate: whoever reaches this address may use and move the sandbox");
    }
    serving::ready(config.ready_file.as_deref(), "", Some(&base_url), None)?;
    let told = json!({"stripe": base_url, "stigg": format!("{base_url}/stigg"), "clerk": format!("{base_url}/clerk")});
    format.print(&told, |told| {
        format!(
            "Stripe at {}/v1 with any sk_test_… key, Stigg at {}/api/v1, Clerk at {}/v1\nclock and faults at {base_url}/sandbox/…",
            field(told, "stripe"),
            field(told, "stigg"),
            field(told, "clerk")
        )
    });
    stop.told().await;
    sandbox.stop().await;
    Ok(Done::Ok)
}
