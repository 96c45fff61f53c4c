//! `tollgate webhooks list|replay`: Stripe's events in the inbox, with a running server over its socket, else on its files.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::Done;
use crate::admin::{self, Chosen, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field, message, table};

/// How the command is spelled.
pub(crate) fn webhooks_command() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let filters = [
        option("state", "STATE", "pending, done or dead"),
        option("kind", "KIND", "For example invoice.paid"),
        option("customer", "CUSTOMER", "Whose object they are about: cus_…"),
        option("from", "TIME", "Received at this time or later (RFC 3339)"),
        option("to", "TIME", "Received before this time"),
    ];
    let limit = option("limit", "COUNT", "How many, 1 to 200").value_parser(clap::value_parser!(i64));
    let events = Arg::new("events").value_name("EVENT").action(ArgAction::Append).help("evt_…; instead of a filter");
    let names = ["state", "kind", "customer", "from", "to"];
    let dry_run = Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Counts what fits, and no more");
    Command::new("webhooks")
        .about("Stripe's events as they came in")
        .subcommand_required(true)
        .subcommand(
            Command::new("list").about("Lists events, newest first").args(&filters).arg(limit.default_value("20")),
        )
        .subcommand(
            Command::new("replay")
                .about("Processes events again: their objects are fetched anew, so a repeat is harmless")
                .args(filters)
                .arg(events.conflicts_with_all(names).required_unless_present_any(names))
                .arg(dry_run.conflicts_with("events")),
        )
}

/// Carries out one of the two.
///
/// # Errors
/// A filter is wrong, or the database does not answer.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let Some((verb, inner)) = matches.subcommand() else {
        return Err(Failure::usage("webhooks list or replay?"));
    };
    let text = |name: &str| inner.get_one::<String>(name).cloned();
    let chosen = Chosen {
        state: text("state"),
        kind: text("kind"),
        customer: text("customer"),
        from: text("from"),
        to: text("to"),
    };
    if verb == "list" {
        let limit = inner.get_one("limit").copied().unwrap_or(20);
        let answer = admin::ask(config, Request::WebhooksList { chosen, limit }).await?;
        format.print(&answer, listed);
        return Ok(Done::Ok);
    }
    let events: Vec<String> = inner.get_many("events").into_iter().flatten().cloned().collect();
    let request = Request::WebhooksReplay { events, chosen, dry_run: inner.get_flag("dry-run") };
    let answer = admin::ask(config, request).await?;
    format.print(&answer, replayed);
    Ok(Done::Ok)
}

fn listed(answer: &Value) -> String {
    let names = ["eventId", "kind", "objectId", "receivedAt", "state", "outcome", "lastError"];
    let row = |event: &Value| names.iter().map(|name| field(event, name)).collect();
    let rows: Vec<Vec<String>> = answer["events"].as_array().into_iter().flatten().map(row).collect();
    if answer["more"] == true {
        message("There are more; narrow it down, or raise --limit.");
    }
    table(&["EVENT", "KIND", "OBJECT", "RECEIVED", "STATE", "OUTCOME", "LAST ERROR"], &rows)
}

fn replayed(answer: &Value) -> String {
    let verb = if answer["dryRun"] == true { "would be" } else { "are" };
    let unknown: Vec<String> = answer["unknown"].as_array().into_iter().flatten().map(|id| id.to_string()).collect();
    let rest = if unknown.is_empty() { String::new() } else { format!("; not known here: {}", unknown.join(", ")) };
    format!("{} events {verb} processed again{rest}", field(answer, "enqueued"))
}
