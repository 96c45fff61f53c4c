//! `library.md`: every library a crate names itself, with version, licence and the reason it is there.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::cell;
use crate::failure::{Failure, Outcome};
use crate::workspace;

/// Library → reason; a library without one fails.
const REASONS: &str = include_str!("reasons.toml");

/// A library as one crate names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    library: String,
    only_in_tests: bool,
}

pub(super) fn render() -> Outcome<String> {
    let metadata = workspace::metadata()?;
    let reasons: BTreeMap<String, String> = toml::from_str(REASONS).map_err(Failure::during("reading reasons.toml"))?;
    let uses = uses(&metadata);
    let mut libraries: Vec<&str> = uses.values().flatten().map(|one| one.library.as_str()).collect();
    libraries.sort_unstable();
    libraries.dedup();
    complete(&libraries, &reasons)?;
    let mut text = "# Libraries\n\nWhat the crates name themselves; everything else comes with these. All licences allow distribution inside an \
         Apache-2.0 binary (a test reads them). One library per job, and only in the crate that owns the job.\n\n\
         | library | version | licence | why | in |\n|---|---|---|---|---|\n"
        .to_owned();
    for library in libraries {
        let (version, licence) = resolved(&metadata, library);
        let reason = reasons.get(library).map(|reason| cell(reason)).unwrap_or_default();
        let row = format!("| {library} | {version} | {licence} | {reason} | {} |", users(&uses, library));
        writeln!(text, "{row}").expect("a string takes text");
    }
    Ok(text)
}

fn complete(libraries: &[&str], reasons: &BTreeMap<String, String>) -> Outcome {
    let unexplained: Vec<&str> = libraries.iter().copied().filter(|library| !reasons.contains_key(*library)).collect();
    let forgotten: Vec<&String> = reasons.keys().filter(|library| !libraries.contains(&library.as_str())).collect();
    if unexplained.is_empty() && forgotten.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "xtask/src/docs/reasons.toml: add a reason for {unexplained:?}, remove {forgotten:?}: every library has one reason"
    )))
}

/// Which crate names which libraries of others.
fn uses(metadata: &Value) -> BTreeMap<String, Vec<Use>> {
    let members = metadata["workspace_members"].as_array().cloned().unwrap_or_default();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let ours: Vec<&Value> = packages.iter().filter(|package| members.contains(&package["id"])).collect();
    let is_ours = |name: &str| ours.iter().any(|package| package["name"] == name);
    let mut uses = BTreeMap::new();
    for package in &ours {
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        let foreign = dependencies.iter().filter(|dependency| !is_ours(text(&dependency["name"])));
        let mut named: Vec<Use> = foreign
            .map(|dependency| Use {
                library: text(&dependency["name"]).to_owned(),
                only_in_tests: dependency["kind"] == "dev",
            })
            .collect();
        named.sort();
        named.dedup_by(|later, earlier| later.library == earlier.library);
        uses.insert(text(&package["name"]).to_owned(), named);
    }
    uses
}

fn users(uses: &BTreeMap<String, Vec<Use>>, library: &str) -> String {
    let naming = uses.iter().filter_map(|(package, named)| {
        let one = named.iter().find(|one| one.library == library)?;
        let package = package.strip_prefix("tollgate-").unwrap_or(package);
        Some(if one.only_in_tests { format!("{package} (tests)") } else { package.to_owned() })
    });
    naming.collect::<Vec<_>>().join(", ")
}

/// Version and licence of the newest resolved package of this name that a crate of ours names.
fn resolved(metadata: &Value, library: &str) -> (String, String) {
    let members = metadata["workspace_members"].as_array().cloned().unwrap_or_default();
    let nodes = metadata["resolve"]["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let ours = nodes.iter().filter(|node| members.contains(&node["id"]));
    let named: Vec<&Value> = ours.flat_map(|node| node["dependencies"].as_array().into_iter().flatten()).collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.filter(|package| package["name"] == library).find(|package| named.contains(&&package["id"]));
    found.map_or_else(Default::default, |package| {
        (text(&package["version"]).to_owned(), text(&package["license"]).replace('/', " OR "))
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
