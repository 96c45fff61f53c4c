//! Which steps an operation runs.

use serde_json::Value;

use super::{Kind, Run, Stop};
use crate::provision;

/// Runs the steps of the operation's kind to its outcome. Each arm is one call.
pub(super) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    match run.kind() {
        Kind::MirrorProvision => Box::pin(provision::steps(run)).await,
        #[cfg(test)]
        Kind::Probe => Box::pin(super::tests::probe(run)).await,
    }
}
