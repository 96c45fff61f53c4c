//! What applying a catalog would change, as Markdown: the comment of a pull request.

use serde_json::Value;

use super::shown;
use crate::output::field;

/// The plan as Markdown.
pub(super) fn planned(plan: &Value) -> String {
    let mut text = String::from("### Plans\n\n");
    if plan["pending"] != true {
        text.push_str("No changes: what is published is this catalog.\n");
        return text;
    }
    let changes = || plan["plans"].as_array().into_iter().flatten();
    if changes().next().is_some() {
        text.push_str("| plan | change | what | now | then |\n|---|---|---|---|---|\n");
    }
    for change in changes() {
        let (code, what) = (field(change, "plan"), title(change));
        let fields = change["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        if fields.is_empty() {
            text.push_str(&format!("| {} | {what} | | | |\n", code_cell(&code)));
        }
        for one in fields {
            let cells = [&one["field"], &one["before"], &one["after"]].map(|value| code_cell(&shown(value)));
            text.push_str(&format!("| {} | {what} | {} |\n", code_cell(&code), cells.join(" | ")));
        }
    }
    for other in plan["others"].as_array().into_iter().flatten() {
        let cells = [&other["what"], &other["before"], &other["after"]].map(|value| code_cell(&shown(value)));
        text.push_str(&format!("\n- {}: {} → {}", cells[0], cells[1], cells[2]));
    }
    text.push_str("\n**Impact**\n\n");
    text.push_str(&impact(plan));
    let prices: Vec<String> = plan["prices"].as_array().into_iter().flatten().map(price).collect();
    if !prices.is_empty() {
        text.push_str(&format!("\n**At Stripe**\n\n{}", prices.concat()));
    }
    text
}

fn title(change: &Value) -> String {
    let version = field(change, "version");
    let word = field(change, "change");
    if version.is_empty() { word } else { format!("{word}, version {version}") }
}

/// `312 orgs stay on v3; 4 would exceed the new limit`.
fn impact(plan: &Value) -> String {
    let mut lines = String::new();
    for change in plan["plans"].as_array().into_iter().flatten() {
        let code = code_cell(&field(change, "plan"));
        for staying in change["orgsStaying"].as_array().into_iter().flatten() {
            lines.push_str(&format!(
                "- {code}: {} orgs stay on v{}\n",
                field(staying, "orgs"),
                field(staying, "version")
            ));
        }
        for over in change["orgsOver"].as_array().into_iter().flatten() {
            let metric = code_cell(&field(over, "metric"));
            lines.push_str(&format!("- {code}: {} orgs would exceed the new limit of {metric}\n", field(over, "orgs")));
        }
    }
    if lines.is_empty() { String::from("- no org is concerned\n") } else { lines }
}

fn price(price: &Value) -> String {
    let replaces = field(price, "replaces");
    let tail = if replaces.is_empty() { replaces } else { format!(", {} goes off sale", code_cell(&replaces)) };
    format!("- new price {}{tail}\n", code_cell(&field(price, "lookupKey")))
}

/// Text in a cell that nothing in it can end.
fn code_cell(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|").replace('\n', " "))
}
