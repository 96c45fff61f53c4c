//! `tollgate explain RECEIPT`: a decision in words.

use clap::ArgMatches;
use serde_json::Value;

use super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output::{Format, field};

/// A receipt is a few hundred characters.
const RECEIPT_BYTES_MAX: usize = 16 << 10;

/// Explains it; `-` reads the receipt from stdin.
///
/// # Errors
/// It is no receipt of this server.
pub(crate) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let given = matches.get_one::<String>("receipt").map(String::as_str).unwrap_or_default();
    let receipt = if given == "-" { from_stdin()? } else { given.trim().to_owned() };
    if receipt.len() > RECEIPT_BYTES_MAX {
        return Err(Failure::new("this is too long for a receipt").exit(Exit::Usage));
    }
    let answer = admin::ask(config, Request::Explain { receipt }).await?;
    format.print(&answer, told);
    Ok(Done::Ok)
}

fn from_stdin() -> Result<String, Failure> {
    let text = std::io::read_to_string(std::io::stdin().lock()).map_err(Failure::during("reading stdin"))?;
    Ok(text.trim().to_owned())
}

fn told(answer: &Value) -> String {
    let outcome = if answer["allowed"] == true {
        String::from("allowed")
    } else {
        format!("denied ({})", field(answer, "reason"))
    };
    let mut lines = format!(
        "{} {} of {} for {} at {}: {outcome}\n  {}",
        field(answer, "verb"),
        field(answer, "units"),
        field(answer, "metric"),
        field(answer, "orgId"),
        field(answer, "decidedAt"),
        field(answer, "rule")
    );
    let numbers = &answer["numbers"];
    if numbers.is_object() {
        let parts = ["included", "granted", "used", "held", "remaining", "periodKey", "resetAt"];
        let parts: Vec<String> = parts.iter().map(|name| format!("{name} {}", field(numbers, name))).collect();
        lines.push_str(&format!("\n  {}", parts.join(", ")));
    }
    lines
}
