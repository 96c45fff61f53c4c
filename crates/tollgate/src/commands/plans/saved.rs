//! A saved plan: the catalog it was made of, and what stood when it was made. Applying it carries out exactly this, or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::Request;
use crate::failure::{Exit, Failure};

/// The format of the file; a newer one is not read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    tollgate_plan: u32,
    catalog: String,
    state: BTreeMap<String, String>,
    /// For whoever reads the file.
    changes: Value,
}

/// Saves what `plans plan` found.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, catalog: &str, plan: &Value) -> Result<(), Failure> {
    let mut changes = plan.clone();
    let state = changes.as_object_mut().and_then(|members| members.remove("state")).unwrap_or_default();
    let state = serde_json::from_value(state).map_err(Failure::during("reading what stands"))?;
    let saved = Saved { tollgate_plan: FORMAT, catalog: catalog.to_owned(), state, changes };
    let text = serde_json::to_string_pretty(&saved).map_err(Failure::during("writing the plan"))?;
    std::fs::write(path, text).map_err(Failure::during(format!("writing {}", path.display())))
}

/// The request that carries a saved plan out.
///
/// # Errors
/// The file cannot be read, or is none of ours.
pub(super) fn read(path: &Path) -> Result<Request, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let failure = Failure::new(format!("reading {}: {error}", path.display()));
        if error.kind() == std::io::ErrorKind::NotFound { failure.exit(Exit::NotFound) } else { failure }
    })?;
    let saved: Result<Saved, _> = serde_json::from_str(&text);
    let remedy = "Make one: tollgate plans plan --out FILE";
    let saved =
        saved.map_err(|error| Failure::usage(format!("{}: no saved plan: {error}", path.display())).remedy(remedy))?;
    if saved.tollgate_plan != FORMAT {
        return Err(
            Failure::usage(format!("{}: format {} is not known", path.display(), saved.tollgate_plan)).remedy(remedy)
        );
    }
    Ok(Request::PlansApply { catalog: saved.catalog, expected: Some(saved.state) })
}
