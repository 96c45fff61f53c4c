//! `tollgate plans what-if NEW --last 90d`.

use clap::ArgMatches;
use serde_json::Value;

use super::super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field, table};

/// Folds the ledger through another catalog. Changes nothing.
///
/// # Errors
/// The other catalog is wrong, or the database does not answer.
pub(super) async fn run(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let (path, last) = (text("new"), text("last"));
    let catalog = std::fs::read_to_string(path).map_err(Failure::during(format!("reading {path}")))?;
    let seconds = seconds(last).ok_or_else(|| {
        Failure::usage(format!("--last {last}: not a length")).remedy("Write it as 90d or 12w: whole days or weeks.")
    })?;
    let found = admin::ask(config, Request::PlansWhatIf { catalog, seconds }).await?;
    format.print(&found, told);
    Ok(Done::Ok)
}

/// `90d`, `12w`.
fn seconds(text: &str) -> Option<u64> {
    const DAY: u64 = 24 * 3_600;
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok().filter(|number| (1..=3_660).contains(number))?;
    match unit {
        'd' => number.checked_mul(DAY),
        'w' => number.checked_mul(7 * DAY),
        _ => None,
    }
}

fn told(found: &Value) -> String {
    let mut lines = vec![format!(
        "{} orgs since {}: {} would have been stopped ({} calls, {} units refused)",
        field(found, "orgs"),
        field(found, "since"),
        field(found, "orgsStopped"),
        field(found, "callsRefused"),
        field(found, "unitsRefused")
    )];
    for (currency, money) in found["money"].as_object().into_iter().flatten() {
        lines.push(format!(
            "{currency}: recurring per month {} -> {}, overage {} -> {} (minor units)",
            field(money, "mrrBefore"),
            field(money, "mrrAfter"),
            field(money, "overageBefore"),
            field(money, "overageAfter")
        ));
    }
    let rows: Vec<Vec<String>> = found["differing"].as_array().into_iter().flatten().map(row).collect();
    if !rows.is_empty() {
        lines.push(String::new());
        lines.push(table(&["ORG", "PLAN", "PER MONTH", "OVERAGE", "WOULD HAVE STOPPED"], &rows));
    }
    lines.join("\n")
}

fn row(org: &Value) -> Vec<String> {
    let money = &org["money"];
    let pair = |before: &str, after: &str| format!("{} -> {}", field(money, before), field(money, after));
    let stop = |stop: &Value| {
        let (metric, period) = (field(stop, "metric"), field(stop, "periodKey"));
        format!(
            "{metric} in {period}: {} of {} from {}",
            field(stop, "used"),
            field(stop, "included"),
            field(stop, "firstAt")
        )
    };
    let stops: Vec<String> = org["stops"].as_array().into_iter().flatten().map(stop).collect();
    vec![
        field(org, "orgId"),
        field(org, "plan"),
        pair("mrrBefore", "mrrAfter"),
        pair("overageBefore", "overageAfter"),
        stops.join("; "),
    ]
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_length_is_whole_days_or_weeks() {
        assert_eq!((seconds("90d"), seconds("2w")), (Some(7_776_000), Some(1_209_600)));
        for wrong in ["", "d", "0d", "1.5d", "90", "3m", "-1d", "99999d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
