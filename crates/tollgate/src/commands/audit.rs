//! `tollgate audit verify`: is the journal whole and unaltered?

use serde_json::Value;

use super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Format, field};

/// Recomputes every chain. A finding is exit code 2.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn verify(config: &Config, format: Format) -> Result<Done, Failure> {
    let answer = admin::ask(config, Request::AuditVerify).await?;
    format.print(&answer, told);
    Ok(if answer["ok"] == true { Done::Ok } else { Done::ChangesPending })
}

fn told(answer: &Value) -> String {
    let mut lines = format!(
        "{} chains, {} entries checked, {} wait to be sealed",
        field(answer, "chains"),
        field(answer, "entries"),
        field(answer, "unsealed")
    );
    for finding in answer["findings"].as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "\n  org {} at {}: {}",
            field(finding, "org"),
            field(finding, "place"),
            field(finding, "problem")
        ));
    }
    lines
}
