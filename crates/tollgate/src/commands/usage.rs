//! `tollgate usage verify|rebuild`: do the counters say what the events say?

use clap::ArgMatches;
use serde_json::Value;

use super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field};

/// Compares, or computes again. A difference is exit code 2.
///
/// # Errors
/// There is no such org, or the database does not answer.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let Some((verb, inner)) = matches.subcommand() else { return Err(Failure::usage("usage verify or rebuild?")) };
    let org = inner.get_one::<String>("org").cloned();
    let request = if verb == "rebuild" { Request::UsageRebuild { org } } else { Request::UsageVerify { org } };
    let answer = admin::ask(config, request).await?;
    format.print(&answer, told);
    Ok(if answer["ok"] == true { Done::Ok } else { Done::ChangesPending })
}

fn told(answer: &Value) -> String {
    let mut lines = format!(
        "{} counters, {} events, {} units: drift {}",
        field(answer, "counters"),
        field(answer, "events"),
        field(answer, "units"),
        field(answer, "drift")
    );
    for drift in answer["drifts"].as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "\n  org {} period {} {} {}: stored {}, counted {}",
            field(drift, "org"),
            field(drift, "period"),
            field(drift, "metric"),
            field(drift, "number"),
            field(drift, "stored"),
            field(drift, "counted")
        ));
    }
    if answer["ok"] != true {
        lines.push_str("\n  `tollgate usage rebuild` computes the counters again from the events.");
    }
    lines
}
