//! `tollgate plans plan|apply|pull|what-if`: the catalog file against what is published and what is at Stripe.

mod markdown;
mod saved;
mod what_if;

use std::path::Path;

use clap::ArgMatches;
use serde_json::Value;

use super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{self, Format, field};

/// Shows what applying would change (exit code 2 when it would), applies, pulls, or folds the ledger through another catalog.
///
/// # Errors
/// The catalog is wrong, a saved plan is stale, or the database or Stripe does not answer.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    match matches.subcommand() {
        Some(("apply", inner)) => apply(config, inner, format).await,
        Some(("pull", inner)) => pull(config, inner, format).await,
        Some(("what-if", inner)) => what_if::run(config, inner, format).await,
        Some((_, inner)) => plan(config, inner, format).await,
        None => Err(Failure::usage("plans: which command?")),
    }
}

async fn plan(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let catalog = config.catalog_text.clone();
    let plan = admin::ask(config, Request::PlansPlan { catalog: catalog.clone() }).await?;
    if let Some(path) = matches.get_one::<String>("out") {
        saved::write(Path::new(path), &catalog, &plan)?;
    }
    let markdown = matches.get_one::<String>("format").is_some_and(|word| word == "markdown");
    format.print(&plan, |plan| if markdown { markdown::planned(plan) } else { planned(plan) });
    Ok(if plan["pending"] == true { Done::ChangesPending } else { Done::Ok })
}

async fn apply(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let request = match matches.get_one::<String>("plan") {
        Some(path) => saved::read(Path::new(path))?,
        None => Request::PlansApply { catalog: config.catalog_text.clone(), expected: None },
    };
    let done = admin::ask(config, request).await?;
    format.print(&done, applied);
    Ok(Done::Ok)
}

async fn pull(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let pulled = admin::ask(config, Request::PlansPull).await?;
    for line in pulled["takenOver"].as_array().into_iter().flatten() {
        output::message(&format!("taken over: {}", shown(line)));
    }
    for line in pulled["leftOut"].as_array().into_iter().flatten() {
        output::message(&format!("left out: {}", shown(line)));
    }
    match matches.get_one::<String>("out") {
        None => format.print(&pulled, |pulled| field(pulled, "file")),
        Some(path) => {
            std::fs::write(path, field(&pulled, "file")).map_err(Failure::during(format!("writing {path}")))?;
            format.print(&pulled, |_| format!("{path}: look at it, then `tollgate plans plan --plans {path}`"));
        }
    }
    Ok(Done::Ok)
}

fn planned(plan: &Value) -> String {
    if plan["pending"] != true {
        return String::from("No changes: what is published is this catalog.");
    }
    let mut lines = Vec::new();
    for change in plan["plans"].as_array().into_iter().flatten() {
        let version = field(change, "version");
        let version = if version.is_empty() { version } else { format!(" -> version {version}") };
        lines.push(format!("{} {}{version}", field(change, "change"), field(change, "plan")));
        for one in change["fields"].as_array().into_iter().flatten() {
            lines.push(format!("    {}: {} -> {}", field(one, "field"), shown(&one["before"]), shown(&one["after"])));
        }
        for staying in change["orgsStaying"].as_array().into_iter().flatten() {
            lines.push(format!("    {} orgs stay on version {}", field(staying, "orgs"), field(staying, "version")));
        }
        for over in change["orgsOver"].as_array().into_iter().flatten() {
            lines.push(format!(
                "    {} orgs would exceed the new limit of {}",
                field(over, "orgs"),
                field(over, "metric")
            ));
        }
    }
    for other in plan["others"].as_array().into_iter().flatten() {
        lines.push(format!("{}: {} -> {}", field(other, "what"), shown(&other["before"]), shown(&other["after"])));
    }
    for price in plan["prices"].as_array().into_iter().flatten() {
        let replaces = field(price, "replaces");
        let replaces = if replaces.is_empty() { replaces } else { format!(" in the place of {replaces}") };
        lines.push(format!("new price at Stripe {}{replaces}", field(price, "lookupKey")));
    }
    lines.push(String::from("`tollgate plans apply` carries this out."));
    lines.join("\n")
}

fn applied(done: &Value) -> String {
    let mut lines = Vec::new();
    for version in done["versions"].as_array().into_iter().flatten() {
        lines.push(format!("{} is now version {}", field(version, "plan"), field(version, "version")));
    }
    for code in done["archived"].as_array().into_iter().flatten() {
        lines.push(format!("{} is no longer sold", shown(code)));
    }
    match &done["atStripe"] {
        Value::Null => lines.push(String::from("Stripe was not told: STRIPE_SECRET_KEY is not set.")),
        made => lines.push(format!(
            "at Stripe: {} products and {} prices made, {} prices taken off sale",
            field(made, "productsCreated"),
            field(made, "pricesCreated"),
            field(made, "pricesArchived")
        )),
    }
    lines.join("\n")
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::from("nothing"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
