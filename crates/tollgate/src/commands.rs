//! One file per verb; here only the choice among them.

mod audit;
mod backup;
mod dev;
mod doctor;
mod explain;
mod generate;
mod generate_cli;
mod keys;
mod migrate;
mod plans;
mod sandbox;
mod serve;
mod usage;
mod webhooks;

use std::path::PathBuf;

use clap::ArgMatches;

use crate::config::{Config, Mode, Surroundings};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::{cli, settings};

pub(crate) use generate_cli::commands as generator_commands;
pub(crate) use webhooks::webhooks_command;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// As asked.
    Ok,
    /// It looked only, and found changes to make or something that does not add up.
    ChangesPending,
    /// Something needs a person.
    Conflicts,
}

/// Runs the command of this line.
///
/// # Errors
/// The command failed; the failure knows the exit code.
pub(crate) async fn run(matches: &ArgMatches) -> Result<Done, Failure> {
    let format = if matches.get_flag("json") { Format::Json } else { Format::Text };
    let (name, inner) = matches.subcommand().unwrap_or(("dev", matches));
    match name {
        "dev" => Box::pin(dev::run(&load(Mode::Dev, matches)?)).await,
        "serve" => Box::pin(serve::run(&load(Mode::Serve, matches)?)).await,
        "sandbox" => sandbox::run(&load(Mode::Serve, matches)?, inner, format).await,
        "doctor" => doctor::run(&load(Mode::Serve, matches)?, format).await,
        "keys" => keys::run(&load(Mode::Serve, matches)?, inner, format).await,
        "plans" => plans::run(&load(Mode::Serve, matches)?, inner, format).await,
        "audit" => audit::verify(&load(Mode::Serve, matches)?, format).await,
        "explain" => explain::run(&load(Mode::Serve, matches)?, inner, format).await,
        "usage" => usage::run(&load(Mode::Serve, matches)?, inner, format).await,
        "webhooks" => webhooks::run(&load(Mode::Serve, matches)?, inner, format).await,
        "backup" => backup::create(&load(Mode::Serve, matches)?, inner, format).await,
        "restore" => backup::restore(&load(Mode::Serve, matches)?, inner, format).await,
        "generate" => generate::generate(inner, format),
        "apply-plan" => generate::apply_plan(inner, format),
        "day-one" => generate::day_one(inner),
        "openapi" => {
            output::data_line(&tollgate_web::openapi_document().to_string());
            Ok(Done::Ok)
        }
        "config" => {
            output::data_line(&settings::reference());
            Ok(Done::Ok)
        }
        "completions" => Ok(completions(inner)),
        "migrate" => migrate::run(&load(Mode::Serve, matches)?, inner.get_flag("check"), format).await,
        other => Err(Failure::usage(format!("no such command: {other}"))),
    }
}

/// The settings of this line and this process.
fn load(mode: Mode, matches: &ArgMatches) -> Result<Config, Failure> {
    let mut flags = vec![matches];
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        flags.insert(0, inner);
        innermost = inner;
    }
    let around = Surroundings { variable: &|name| std::env::var(name).ok(), directory: &PathBuf::from(".") };
    Config::load(mode, &flags, &around)
}

fn completions(inner: &ArgMatches) -> Done {
    if let Some(shell) = inner.get_one::<clap_complete::Shell>("shell") {
        // Into memory first: the generator panics when the reader goes away (`| head`).
        let mut text = Vec::new();
        clap_complete::generate(*shell, &mut cli::command(), "tollgate", &mut text);
        output::data_line(String::from_utf8_lossy(&text).trim_end());
    }
    Done::Ok
}
