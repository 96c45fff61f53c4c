//! `tollgate keys create|list|rotate|revoke`: with a running server over its socket, else on its files.

use std::collections::BTreeMap;

use clap::ArgMatches;
use serde_json::Value;

use super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field, table};

/// Carries out one of the four.
///
/// # Errors
/// There is no such org or key, or the database does not answer.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let Some((verb, inner)) = matches.subcommand() else {
        return Err(Failure::usage("keys create, list, rotate or revoke?"));
    };
    let text = |name: &str| inner.try_get_one::<String>(name).ok().flatten().cloned();
    let org = text("org");
    let answer = admin::ask(config, request(verb, inner, &text)?).await?;
    match verb {
        "list" => format.print(&answer, keys),
        "revoke" => format.print(&answer, |key| format!("{} is revoked", field(key, "keyId"))),
        _ => format.print(&answer, |made| made_in_words(made, org.as_deref())),
    }
    Ok(Done::Ok)
}

fn request(verb: &str, inner: &ArgMatches, text: &dyn Fn(&str) -> Option<String>) -> Result<Request, Failure> {
    let org = text("org");
    let key = text("key").unwrap_or_default();
    match verb {
        "create" if org.is_none() && !inner.get_flag("operator") => {
            Err(Failure::usage("whose key?").remedy("Name the org with --org org_…, or say --operator."))
        }
        "create" => Ok(Request::KeysCreate {
            org,
            name: text("name").unwrap_or_default(),
            scopes: text("scopes").map(|scopes| scopes.split(',').map(str::to_owned).collect()),
            expires_at: text("expires-at"),
            quota: text("quota").map(|quota| quota_of(&quota)).transpose()?.unwrap_or_default(),
        }),
        "list" => Ok(Request::KeysList { org }),
        "rotate" => {
            let org = org.ok_or_else(|| Failure::usage("whose key?").remedy("Name the org with --org org_…."))?;
            Ok(Request::KeysRotate { org, key })
        }
        _ => Ok(Request::KeysRevoke { org, key }),
    }
}

/// `api_call=1000,tokens=50000`.
fn quota_of(text: &str) -> Result<BTreeMap<String, i64>, Failure> {
    let wrong = |part: &str| Failure::usage(format!("--quota {part}: not METRIC=UNITS"));
    let parts = text.split(',').map(|part| {
        let (metric, units) = part.split_once('=').ok_or_else(|| wrong(part))?;
        Ok((metric.trim().to_owned(), units.trim().parse::<i64>().map_err(|_| wrong(part))?))
    });
    parts.collect()
}

fn made_in_words(made: &Value, org: Option<&str>) -> String {
    let whose = org.map_or_else(|| String::from("the operator"), str::to_owned);
    format!("{}\n  {} of {whose}; the secret is shown this once.", field(made, "secret"), field(made, "keyId"))
}

fn keys(answer: &Value) -> String {
    let rows: Vec<Vec<String>> = answer["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|key| {
            ["keyId", "name", "createdAt", "lastUsedAt", "revokedAt"].iter().map(|name| field(key, name)).collect()
        })
        .collect();
    table(&["KEY", "NAME", "CREATED", "LAST USED", "REVOKED"], &rows)
}
