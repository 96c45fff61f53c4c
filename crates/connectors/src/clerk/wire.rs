//! Clerk's shapes, as far as we read them. Unknown members are ignored: Clerk adds some at any time.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A webhook's envelope.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) object: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: Value,
}

/// What a deleted object leaves, and what a session event says.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) primary_email_address_id: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    #[serde(default)]
    pub(super) email_addresses: Vec<EmailAddress>,
    pub(super) updated_at: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct EmailAddress {
    pub(super) id: Option<String>,
    pub(super) email_address: String,
    pub(super) verification: Option<Verification>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Verification {
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Organization {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created_by: Option<String>,
    pub(super) private_metadata: Option<Value>,
    pub(super) updated_at: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) organization: Organization,
    pub(super) public_user_data: Option<PublicUser>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct PublicUser {
    pub(super) user_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Invitation {
    pub(super) id: String,
    pub(super) email_address: String,
    pub(super) role: String,
    pub(super) organization_id: String,
    pub(super) status: String,
    pub(super) user_id: Option<String>,
    pub(super) expires_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<Value>,
    pub(super) total_count: u32,
}

/// A membership's role to be.
#[derive(Debug, Serialize)]
pub(super) struct NewRole {
    pub(super) role: String,
}

#[derive(Debug, Serialize)]
pub(super) struct NewInvitation<'a> {
    pub(super) email_address: &'a str,
    pub(super) role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inviter_user_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewOrganization<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_by: Option<&'a str>,
    pub(super) private_metadata: Marked<'a>,
}

/// What we write into an organization's private metadata.
#[derive(Debug, Serialize)]
pub(super) struct Marked<'a> {
    pub(super) tollgate_request: &'a str,
}

/// A key set.
#[derive(Debug, Deserialize)]
pub(super) struct Keys {
    pub(super) keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) kty: Option<String>,
    #[serde(rename = "use")]
    pub(super) used_for: Option<String>,
    pub(super) n: Option<String>,
    pub(super) e: Option<String>,
}

/// An error's body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Errors {
    #[serde(default)]
    pub(super) errors: Vec<OneError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneError {
    #[serde(default)]
    pub(super) code: String,
}
