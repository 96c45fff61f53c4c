//! Webhook endpoints.

use serde::Deserialize;

/// A webhook endpoint; its secret is only in the answer to its creation.
#[derive(Clone, PartialEq, Deserialize)]
pub struct WebhookEndpoint {
    /// `we_…`
    pub id: String,
    /// Where it sends.
    pub url: String,
    /// `enabled` or `disabled`.
    pub status: Option<String>,
    /// The version of the objects it sends.
    pub api_version: Option<String>,
    /// What it sends.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// `whsec_…`
    pub secret: Option<String>,
}

impl std::fmt::Debug for WebhookEndpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "WebhookEndpoint({})", self.id)
    }
}
