//! `tollgate plans plan|apply`: the catalog file against what is published and what is at Stripe.

use clap::ArgMatches;
use serde_json::Value;

use super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field};

/// Shows what applying would change (exit code 2 when it would), or applies.
///
/// # Errors
/// The catalog is wrong, or the database or Stripe does not answer.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let catalog = config.catalog_text.clone();
    if matches.subcommand_name() == Some("apply") {
        let done = admin::ask(config, Request::PlansApply { catalog }).await?;
        format.print(&done, applied);
        return Ok(Done::Ok);
    }
    let plan = admin::ask(config, Request::PlansPlan { catalog }).await?;
    format.print(&plan, planned);
    Ok(if plan["pending"] == true { Done::ChangesPending } else { Done::Ok })
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
    }
    for price in plan["prices"].as_array().into_iter().flatten() {
        lines.push(format!("new price at Stripe {}", field(price, "lookupKey")));
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
            "at Stripe: {} products and {} prices made",
            field(made, "productsCreated"),
            field(made, "pricesCreated")
        )),
    }
    lines.join("\n")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::from("nothing"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
