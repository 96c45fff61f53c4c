//! `tollgate doctor`: looks at what a server needs, one numbered line each, with a way out for what is wrong.

use std::net::SocketAddr;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tollgate_connectors::billing::{Permission, Seen};

use super::Done;
use crate::admin::{self, Request};
use crate::assemble;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, field};

/// Open files below which a busy server runs out of connections.
const OPEN_FILES_MIN: u64 = 4_096;

/// One finding.
struct Finding {
    name: &'static str,
    ok: bool,
    detail: String,
    fix: String,
}

/// Looks at everything; exit code 1 when something is wrong.
///
/// # Errors
/// At least one finding is bad; it has been printed.
pub(crate) async fn run(config: &Config, format: Format) -> Result<Done, Failure> {
    let data = DataDir::new(&config.data);
    let mut findings = vec![data_directory(&data)];
    findings.extend(database(config, &data).await);
    findings.extend([stripe(config).await, webhooks(config), open_files(), listening(config, &data)]);
    let all_well = findings.iter().all(|finding| finding.ok);
    let checks: Vec<Value> = findings.iter().map(shown).collect();
    format.print(&json!({"ok": all_well, "checks": checks}), told);
    if all_well {
        return Ok(Done::Ok);
    }
    output::message("tollgate: something needs attention, see above");
    Err(Failure::new("not everything is well"))
}

fn shown(finding: &Finding) -> Value {
    json!({"name": finding.name, "ok": finding.ok, "detail": finding.detail, "fix": (!finding.ok).then_some(&finding.fix)})
}

fn told(answer: &Value) -> String {
    let mut lines = Vec::new();
    for (number, check) in answer["checks"].as_array().into_iter().flatten().enumerate() {
        let mark = if check["ok"] == true { "ok " } else { "BAD" };
        lines.push(format!("{:>2}. {mark} {:<15} {}", number + 1, field(check, "name"), field(check, "detail")));
        if check["ok"] != true {
            lines.push(format!("        {}", field(check, "fix")));
        }
    }
    lines.join("\n")
}

fn good(name: &'static str, detail: impl Into<String>) -> Finding {
    Finding { name, ok: true, detail: detail.into(), fix: String::new() }
}

fn bad(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { name, ok: false, detail: detail.into(), fix: fix.into() }
}

fn data_directory(data: &DataDir) -> Finding {
    let shown = data.root().display().to_string();
    match std::fs::metadata(data.root()) {
        Err(error) => bad(
            "data directory",
            format!("{shown}: {error}"),
            "`tollgate migrate` makes it, or name another with --data.",
        ),
        Ok(metadata) if !metadata.is_dir() => {
            bad("data directory", format!("{shown} is no directory"), "Name another with --data.")
        }
        Ok(metadata) if metadata.permissions().readonly() => {
            bad("data directory", format!("{shown} cannot be written to"), "Give this user the right to write there.")
        }
        Ok(_) => good("data directory", shown),
    }
}

/// What a running server, or else the database itself, says about its parts.
async fn database(config: &Config, data: &DataDir) -> Vec<Finding> {
    if config.database_url.is_none() && !data.database().exists() {
        return vec![bad("database", "there is none yet", "`tollgate migrate` makes it.")];
    }
    match admin::ask(config, Request::Smoke).await {
        Ok(smoke) => {
            smoke["checks"].as_object().into_iter().flatten().filter_map(|(name, check)| part(name, check)).collect()
        }
        Err(failure) => {
            let fix = failure.remedy.unwrap_or_else(|| match failure.exit {
                Exit::Stale => String::from("`tollgate migrate` brings it up to date."),
                _ => String::from("Check --database-url / DATABASE_URL and the data directory."),
            });
            vec![bad("database", failure.what, fix)]
        }
    }
}

/// Parts of the smoke test that the doctor does not look at more closely itself.
fn part(name: &str, check: &Value) -> Option<Finding> {
    let (name, fix) = match name {
        "db" => ("database", "Look at the database's own log; `tollgate migrate` if its schema is old."),
        "jobs" => ("jobs", "Start the server; see GET /api/admin/jobs.list for jobs that keep failing."),
        "tenancy" => (
            "tenancy",
            "As a superuser: CREATE ROLE tollgate_request NOLOGIN; GRANT tollgate_request TO <the database user>; then `tollgate migrate` and a restart.",
        ),
        _ => return None,
    };
    let detail = format!("{} ({} ms)", field(check, "detail"), field(check, "ms"));
    Some(if check["ok"] == true { good(name, detail) } else { bad(name, detail, fix) })
}

async fn stripe(config: &Config) -> Finding {
    let Some(secret_key) = &config.stripe_secret_key else {
        return good("stripe", "STRIPE_SECRET_KEY is not set: `dev` needs none, `serve` bills nobody without it");
    };
    let key = secret_key.expose_secret();
    let mode = if key.contains("_test_") { "test mode: nobody is charged" } else { "live mode" };
    if !key.starts_with("rk_") {
        return good("stripe", format!("a secret key, {mode}"));
    }
    let seen = match assemble::stripe_at(&config.stripe_api_base, secret_key.clone()) {
        Ok(billing) => billing.permissions().await.unwrap_or_default(),
        Err(failure) => return bad("stripe", failure.what, "Check STRIPE_SECRET_KEY and STRIPE_API_BASE."),
    };
    told_of(&seen, mode)
}

/// What a restricted key may and lacks, in the words of Stripe's dashboard and of its answers.
fn told_of(seen: &[(Permission, Seen)], mode: &str) -> Finding {
    let named = |permission: &Permission| {
        format!("{}: {}", permission.resource, if permission.write { "Write" } else { "Read" })
    };
    let of = |wanted: fn(&Seen) -> bool| {
        let found = seen.iter().filter(|(_, seen)| wanted(seen)).map(|(permission, _)| named(permission));
        found.collect::<Vec<_>>().join(", ")
    };
    let missing: Vec<String> = seen
        .iter()
        .filter_map(|(permission, seen)| match seen {
            Seen::Missing(Some(word)) => Some(format!("{} ({word})", named(permission))),
            Seen::Missing(None) => Some(named(permission)),
            Seen::There | Seen::Untried | Seen::Unknown(_) => None,
        })
        .collect();
    let (all, missing) = (of(|_| true), missing.join(", "));
    let unknown = of(|seen| matches!(seen, Seen::Unknown(_)));
    if !missing.is_empty() {
        let fix = format!("Give the key these permissions in Stripe's dashboard: {missing}.");
        return bad("stripe", format!("a restricted key, {mode}; it needs {all}; missing: {missing}"), fix);
    }
    if !unknown.is_empty() {
        let fix = "Check STRIPE_SECRET_KEY, STRIPE_API_BASE and the way to Stripe.";
        return bad("stripe", format!("a restricted key, {mode}; Stripe did not say whether it has {unknown}"), fix);
    }
    let untried = of(|seen| *seen == Seen::Untried);
    good("stripe", format!("a restricted key, {mode}; it can read what it needs to: {all} (not tried: {untried})"))
}

fn webhooks(config: &Config) -> Finding {
    if config.stripe_secret_key.is_some() && config.webhook_secrets.is_empty() {
        let fix = "Make an endpoint for <APP_BASE_URL>/api/webhooks/stripe.receive at Stripe and set STRIPE_WEBHOOK_SECRET to its whsec_….";
        return bad("webhooks", "STRIPE_WEBHOOK_SECRET is not set: every webhook is refused", fix);
    }
    good("webhooks", format!("{} signing secrets are configured", config.webhook_secrets.len()))
}

fn open_files() -> Finding {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    match line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()) {
        Some(files) if files < OPEN_FILES_MIN => bad(
            "open files",
            format!("at most {files}"),
            format!("Raise it: ulimit -n {OPEN_FILES_MIN}, or LimitNOFILE in the service's unit."),
        ),
        Some(files) => good("open files", format!("at most {files}")),
        None => good("open files", "unlimited, or not told by this system"),
    }
}

fn listening(config: &Config, data: &DataDir) -> Finding {
    let address: SocketAddr = config.listen;
    if data.admin_socket().exists() {
        return good("listening", format!("a server has been started on {}", data.root().display()));
    }
    match std::net::TcpListener::bind(address) {
        Ok(_) => good("listening", format!("{address} is free")),
        Err(error) => {
            bad("listening", format!("{address}: {error}"), "Choose another address with --listen / TOLLGATE_LISTEN.")
        }
    }
}
