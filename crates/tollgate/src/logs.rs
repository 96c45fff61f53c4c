//! Where log lines go: JSON lines for machines in `serve`, readable lines in `dev`, both on stderr.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, Mode};
use crate::failure::Failure;

mod json;

/// Starts logging for the rest of the process.
///
/// # Errors
/// `TOLLGATE_LOG` is not a filter.
pub(crate) fn start(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::usage(format!("TOLLGATE_LOG: {error}")).remedy("Write it as info, or as info,tollgate_engine=debug.")
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.mode {
        Mode::Serve => registry.with(json::Lines::new(config.environment.clone())).try_init(),
        Mode::Dev => {
            let lines = tracing_subscriber::fmt::layer().compact().with_target(false).with_ansi(false);
            registry.with(lines.with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(Failure::during("starting the log"))
}
