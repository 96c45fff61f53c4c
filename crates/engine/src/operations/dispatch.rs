//! Which steps an operation runs.

use serde_json::Value;

use super::{Kind, Run, Stop};

/// Runs the steps of the operation's kind to its outcome. Each arm is one call.
pub(super) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    match run.kind() {
        #[cfg(test)]
        Kind::Probe => Box::pin(super::tests::probe(run)).await,
    }
}
