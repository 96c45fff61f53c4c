//! A message as it is sent and pulled: the same bytes every time.

use serde_json::{Value, json};

use tollgate_rules::time::Timestamp;

/// A numbered message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id: `webhook-id`.
    pub message_id: String,
    /// Its place in the order of all messages.
    pub sequence: i64,
    /// What happened.
    pub kind: String,
    /// Whose; none for the server itself.
    pub org_id: Option<String>,
    /// What changed: `entity`, `before`, `after`.
    pub data: Value,
    /// When, on the business clock.
    pub created_at: Timestamp,
}

impl Message {
    /// The body: type, time, sequence and data, as Standard Webhooks recommends.
    #[must_use]
    pub fn body(&self) -> String {
        let mut data = self.data.clone();
        if let Some(members) = data.as_object_mut() {
            members.insert("orgId".to_owned(), json!(self.org_id));
        }
        json!({
            "type": self.kind,
            "timestamp": self.created_at.to_string(),
            "sequence": self.sequence,
            "data": data,
        })
        .to_string()
    }
}
