//! `tollgate sandbox serve|clock|advance|snapshot|restore`: the Stripe double alone, its time machine, and whole worlds kept and branched.

mod serve;
mod snapshot;

use std::fmt::Write as _;

use clap::ArgMatches;
use serde_json::Value;

use super::Done;
use crate::admin::{self, How, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field};

/// Reads or moves the clock. What has not converged within a minute is exit code 1.
///
/// # Errors
/// No `dev` is running, or the clock cannot be moved so.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    match matches.subcommand() {
        Some(("advance", how)) => advance(config, how, format).await,
        Some(("serve", inner)) => serve::run(config, inner, format).await,
        Some(("snapshot", inner)) => snapshot::snapshot(config, inner, format).await,
        Some(("restore", inner)) => snapshot::restore(config, inner, format).await,
        _ => {
            let clock = admin::ask(config, Request::Clock).await?;
            format.print(&clock, |clock| field(clock, "now"));
            Ok(Done::Ok)
        }
    }
}

async fn advance(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let text = |name| matches.get_one::<String>(name).cloned();
    let how = match (text("by"), text("to"), matches.get_flag("to-next")) {
        (Some(length), _, _) => How::By(length),
        (None, Some(moment), _) => How::To(moment),
        (None, None, true) => How::ToNext,
        (None, None, false) => {
            return Err(
                Failure::usage("how far?").remedy("tollgate sandbox advance 1mo   (or --to TIME, or --to-next)")
            );
        }
    };
    let moved = admin::ask(config, Request::Advance { how }).await?;
    format.print(&moved, told);
    match moved["unconverged"].as_array() {
        Some(open) if !open.is_empty() => {
            Err(Failure::new("the clock has moved, but not everything has converged within a minute")
                .remedy("See `unconverged` above; `tollgate doctor` looks closer."))
        }
        _ => Ok(Done::Ok),
    }
}

fn told(moved: &Value) -> String {
    let mut lines = String::new();
    for event in moved["happened"].as_array().into_iter().flatten() {
        let _ = writeln!(lines, "  {}  {:<32} {}", field(event, "at"), field(event, "kind"), field(event, "summary"));
    }
    let _ = write!(lines, "{} · {} events", field(moved, "now"), field(moved, "count"));
    for open in moved["unconverged"].as_array().into_iter().flatten() {
        let _ = write!(lines, "\n  not converged: {open}");
    }
    lines
}
