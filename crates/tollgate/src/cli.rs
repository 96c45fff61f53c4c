//! The command line as clap sees it; common flags come from the table in `settings.rs`.

use clap::{Arg, ArgAction, Command};

use crate::settings::{Reader, SETTINGS, Setting, Value};

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 changes pending, 3 conflicts, 4 stale precondition, 5 not found, 6 denied,
7 unreachable, 8 quota exceeded, 64 usage. Data goes to stdout, messages to stderr.";

/// The whole command line. Without a command it is `dev`, whose flags therefore stand at the top too.
pub(crate) fn command() -> Command {
    Command::new("tollgate")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The gate between an API and its bill. Without a command: `tollgate dev`")
        .after_help(EXIT_CODES)
        .args_override_self(true)
        .args(flags(Reader::All).map(|arg| arg.global(true)))
        .args(flags(Reader::Dev))
        .arg(switch("json", "Prints data as one JSON object").global(true))
        .subcommand(
            Command::new("dev")
                .about("A seeded server on loopback with its own Stripe sandbox (the default)")
                .args_override_self(true)
                .args(flags(Reader::Dev)),
        )
        .subcommand(Command::new("serve").about("The server in production").args(flags(Reader::Serve)))
        .subcommand(
            Command::new("migrate")
                .about("Brings the database up to date")
                .arg(switch("check", "Changes nothing; exit code 2 when migrations are pending")),
        )
        .subcommand(
            Command::new("doctor")
                .about(
                    "Checks settings, database, clock, Stripe and the running server, with a way out for each finding",
                )
                .args(flags(Reader::Serve)),
        )
        .subcommand(keys())
        .subcommand(plans())
        .subcommand(sandbox())
        .subcommand(audit())
        .subcommand(Command::new("explain").about("Says in words what a decision's receipt stands for").arg(required(
            "receipt",
            "RECEIPT",
            "The Tollgate-Receipt header of an answer; - reads it from stdin",
        )))
        .subcommand(usage())
        .subcommand(crate::commands::webhooks_command())
        .subcommand(Command::new("backup").about("Copies the embedded database while it runs").arg(required(
            "to",
            "FILE",
            "A file that does not exist yet",
        )))
        .subcommand(
            Command::new("restore")
                .about("Puts a backup in place of the embedded database; the server must be stopped")
                .arg(required("from", "FILE", "What `tollgate backup` wrote")),
        )
        .subcommands(crate::commands::generator_commands())
        .subcommand(Command::new("openapi").about("Prints the OpenAPI document"))
        .subcommand(completions())
        .subcommand(
            Command::new("config")
                .about("The settings")
                .subcommand_required(true)
                .subcommand(Command::new("reference").about("Prints the reference of all settings as Markdown")),
        )
}

fn audit() -> Command {
    Command::new("audit")
        .about("The audit journal")
        .subcommand_required(true)
        .subcommand(Command::new("verify").about("Recomputes the hash chain; exit code 2 when it is broken"))
}

fn completions() -> Command {
    let shell = required("shell", "SHELL", "bash, zsh, fish, elvish or powershell");
    Command::new("completions")
        .about("Prints completions for a shell")
        .arg(shell.value_parser(clap::value_parser!(clap_complete::Shell)))
}

fn keys() -> Command {
    let org = || Arg::new("org").long("org").value_name("ORG").help("The org the key is for");
    Command::new("keys")
        .about("API keys of orgs, and operator keys")
        .subcommand_required(true)
        .subcommand(
            Command::new("create")
                .about("Makes a key and prints its secret, once")
                .arg(org())
                .arg(switch("operator", "An operator key instead of an org's").conflicts_with_all(["org", "scopes"]))
                .arg(
                    Arg::new("name")
                        .long("name")
                        .value_name("NAME")
                        .default_value("command line")
                        .help("What it is called in lists"),
                )
                .arg(
                    Arg::new("scopes")
                        .long("scopes")
                        .value_name("SCOPE,…")
                        .help("usage:write,quota:check,entitlements:read when left out"),
                )
                .arg(
                    Arg::new("expires-at")
                        .long("expires-at")
                        .value_name("TIME")
                        .help("When it stops working (RFC 3339)"),
                )
                .arg(
                    Arg::new("quota")
                        .long("quota")
                        .value_name("METRIC=UNITS,…")
                        .help("Its slice of the org's allowance per period; all of it when left out"),
                ),
        )
        .subcommand(
            Command::new("list").about("Lists an org's keys, or the operator's, without their secrets").arg(org()),
        )
        .subcommand(
            Command::new("rotate")
                .about("Makes a new secret and prints it, once")
                .arg(required("key", "KEY", "key_…"))
                .arg(org()),
        )
        .subcommand(Command::new("revoke").about("Ends a key at once").arg(required("key", "KEY", "key_…")).arg(org()))
}

fn plans() -> Command {
    Command::new("plans")
        .about("The plan catalog as a file")
        .subcommand_required(true)
        .subcommand(
            Command::new("plan")
                .about("Shows what applying the catalog would change; exit code 2 when it would")
                .arg(
                    Arg::new("format")
                        .long("format")
                        .value_name("FORMAT")
                        .value_parser(["text", "markdown"])
                        .default_value("text")
                        .help("markdown for the comment of a pull request"),
                )
                .arg(file("out", "Saves the plan, so that exactly this is applied later or nothing")),
        )
        .subcommand(
            Command::new("apply")
                .about("Publishes the catalog: new versions here, products and prices at Stripe")
                .arg(
                    Arg::new("plan").value_name("PLAN").help(
                        "What `plans plan --out` saved; refused with exit code 4 when anything has changed since",
                    ),
                )
                .args(flags(Reader::Serve)),
        )
        .subcommand(
            Command::new("pull")
                .about("Prints the catalog in force with the prices that Stripe has, as a plans file")
                .arg(file("out", "Writes the file instead"))
                .args(flags(Reader::Serve)),
        )
        .subcommand(
            Command::new("what-if")
                .about(
                    "Folds the real ledger through another catalog: who would have been stopped, what would be charged",
                )
                .arg(required("new", "NEW", "The other plans file"))
                .arg(
                    Arg::new("last")
                        .long("last")
                        .value_name("LENGTH")
                        .default_value("90d")
                        .help("How far back: 90d, 12w"),
                ),
        )
}

fn sandbox() -> Command {
    Command::new("sandbox")
        .about("The Stripe sandbox: alone, or that of a `tollgate dev`")
        .subcommand_required(true)
        .subcommand(
            Command::new("serve")
                .about("Serves the Stripe double alone, with its clock and faults over HTTP")
                .arg(Arg::new("address").value_name("ADDRESS").default_value("127.0.0.1:8788").help("Where it listens"))
                .arg(Arg::new("clock").long("clock").value_name("TIME").help("Where its clock starts (RFC 3339)")),
        )
        .subcommand(
            Command::new("snapshot")
                .about("Keeps a stopped `dev` as a folder: Stripe's side, Tollgate's side and the time it is")
                .arg(required("to", "FOLDER", "A folder that does not exist yet")),
        )
        .subcommand(
            Command::new("restore")
                .about("Goes back to a snapshot; into another --data it makes a branch")
                .arg(required("from", "FOLDER", "What `sandbox snapshot` made"))
                .arg(switch("replace", "Gives up what the data directory holds")),
        )
        .subcommand(Command::new("clock").about("Prints the business clock"))
        .subcommand(
            Command::new("advance")
                .about("Moves the clock and carries out everything that falls due")
                .arg(Arg::new("by").value_name("BY").help("How far: 31d, 1mo, 1y (s m h d w mo y)"))
                .arg(
                    Arg::new("to").long("to").value_name("TIME").conflicts_with("by").help("Up to a moment (RFC 3339)"),
                )
                .arg(
                    switch("to-next", "Up to the next event at Stripe, quota boundary or hold expiry")
                        .conflicts_with_all(["by", "to"]),
                ),
        )
}

fn usage() -> Command {
    let org = || Arg::new("org").long("org").value_name("ORG").help("One org; all when left out");
    Command::new("usage")
        .about("The ledger")
        .subcommand_required(true)
        .subcommand(
            Command::new("verify")
                .about("Compares every counter with the sum of its events; exit code 2 when one differs")
                .arg(org()),
        )
        .subcommand(Command::new("rebuild").about("Computes counters and rollups again from the events").arg(org()))
}

fn flags(reader: Reader) -> impl Iterator<Item = Arg> {
    SETTINGS.iter().filter(move |setting| setting.reader == reader && !setting.flag.is_empty()).map(flag)
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.flag).long(setting.flag);
    let mut help = setting.help.to_owned();
    if !setting.default.is_empty() {
        help.push_str(&format!(" [default: {}]", setting.default));
    }
    if !setting.variable.is_empty() {
        help.push_str(&format!(" [variable: {}]", setting.variable));
    }
    match setting.value {
        Value::Switch => arg.action(ArgAction::SetTrue).help(help),
        Value::Text(name) | Value::Secret(name) => arg.value_name(name).help(help),
    }
}

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("FILE").help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn required(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).required(true).help(help)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
