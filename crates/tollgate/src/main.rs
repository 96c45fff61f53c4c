//! The `tollgate` binary: settings, assembly of the crates, operator commands. It holds no rules of the product.

mod admin;
mod assemble;
mod banner;
mod cli;
mod commands;
mod config;
mod data_dir;
mod failure;
mod logs;
mod output;
mod seeds;
mod serving;
mod settings;
mod time_machine;
mod worlds;

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::failure::{Exit, Failure};

/// Many small allocations per call from many threads are what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = match cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return told_by_clap(&error),
    };
    // One crypto provider for every TLS connection; a second installation would be a bug of ours.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ended(Err(Failure::new("the crypto provider is already installed")));
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => ended(runtime.block_on(commands::run(&matches))),
        Err(error) => ended(Err(Failure::new(format!("starting the runtime: {error}")))),
    }
}

fn ended(outcome: Result<commands::Done, Failure>) -> ExitCode {
    match outcome {
        Ok(commands::Done::Ok) => ExitCode::SUCCESS,
        Ok(commands::Done::ChangesPending) => Exit::ChangesPending.into(),
        Ok(commands::Done::Conflicts) => Exit::Conflict.into(),
        Err(failure) => {
            output::message(&format!("tollgate: {failure}"));
            failure.exit.into()
        }
    }
}

/// Help and version are data and fine; everything else is a usage error, which clap would end with 2.
fn told_by_clap(error: &clap::Error) -> ExitCode {
    let _nobody_reads = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => Exit::Usage.into(),
    }
}
