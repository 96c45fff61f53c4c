//! What holds for operations.

use serde_json::Value;

use super::{Run, Stop};

pub(super) async fn probe(_run: &mut Run<'_>) -> Result<Value, Stop> {
    Ok(Value::Null)
}
