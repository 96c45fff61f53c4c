//! Asks Clerk's Backend API. Reads are sent again when they fail in passing; an invitation is too (Clerk refuses a second one for
//! the same address, which is then looked at as it is), and so is a change of a membership, which says how it is to be. Clerk knows no idempotency keys: an organization carries a mark of its request,
//! and is looked for by it before it is asked for again.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, UserId};

use super::{translate, wire};
use crate::Pacing;
use crate::identity::{Error, InvitationFact, Invite, Listed, MembershipFact, NewOrg, OrgFact, PublicKey};
use crate::stripe::form::path_segment;

/// Where Clerk's Backend API lives unless `CLERK_API_BASE` says otherwise.
pub const API_BASE: &str = "https://api.clerk.com";
/// The version we speak.
const VERSION: &str = "2026-05-12";
/// Rows of one page.
const PAGE: u32 = 500;
/// Bytes of a key set that are read at most.
const KEYS_BYTES_MAX: usize = 64 * 1024;

/// What a client needs to be made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address before `/v1/…`.
    pub base_url: String,
    /// The secret key (`sk_…`).
    pub secret_key: SecretString,
    /// The publishable key (`pk_…`), which names the issuer.
    pub publishable_key: String,
    /// How often and how long a call is tried.
    pub pacing: Pacing,
}

/// A cheap clone: all clones share one pool of connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    base_url: String,
    issuer: String,
    pacing: Pacing,
}

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client refused its settings.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// The secret key holds bytes that no header can carry.
    #[error("the Clerk secret key is not printable text")]
    Key,
    /// The publishable key does not hold the name of a Frontend API.
    #[error("the Clerk publishable key is not one (pk_test_… or pk_live_…)")]
    Publishable,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("issuer", &self.shared.issuer).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// The settings cannot be used at all.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let issuer = issuer_of(&settings.publishable_key).ok_or(SetupError::Publishable)?;
        let bearer = format!("Bearer {}", settings.secret_key.expose_secret());
        let mut key = HeaderValue::from_str(&bearer).map_err(|_| SetupError::Key)?;
        key.set_sensitive(true);
        let version = (HeaderName::from_static("clerk-api-version"), HeaderValue::from_static(VERSION));
        let http = reqwest::Client::builder()
            .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, key), version]))
            .timeout(settings.pacing.attempt_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        Ok(Self { shared: Arc::new(Shared { http, base_url, issuer, pacing: settings.pacing }) })
    }

    /// The exact `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    pub(crate) async fn public_keys(&self) -> Result<Vec<PublicKey>, Error> {
        let body = self.send(Method::GET, "/v1/jwks", None).await?;
        if body.len() > KEYS_BYTES_MAX {
            return Err(Error::Refused("the key set is too large".to_owned()));
        }
        Ok(translate::keys(parsed(&body)?))
    }

    pub(crate) async fn organizations(&self, offset: u32) -> Result<Listed<OrgFact>, Error> {
        let path = format!("/v1/organizations?limit={PAGE}&offset={offset}&order_by=%2Bcreated_at");
        let page = parsed(&self.send(Method::GET, &path, None).await?)?;
        Ok(translate::listed(page, translate::organization))
    }

    pub(crate) async fn organization(&self, org_id: &OrgId) -> Result<OrgFact, Error> {
        let path = format!("/v1/organizations/{}", path_segment(org_id.as_str()));
        let organization: wire::Organization = parsed(&self.send(Method::GET, &path, None).await?)?;
        translate::organization(organization).map_err(Error::Refused)
    }

    pub(crate) async fn create_organization(&self, new: &NewOrg<'_>) -> Result<OrgFact, Error> {
        let body = wire::NewOrganization {
            name: new.name,
            created_by: new.created_by.filter(|user| user.starts_with("user_")),
            private_metadata: wire::Marked { tollgate_request: new.marker },
        };
        let body = serde_json::to_vec(&body).map_err(|error| Error::Refused(error.to_string()))?;
        let making = self.make_organization(new, &body);
        let made = tokio::time::timeout(self.shared.pacing.deadline, making).await;
        made.unwrap_or_else(|_| Err(Error::Passing("no answer in time".to_owned())))
    }

    async fn make_organization(&self, new: &NewOrg<'_>, body: &[u8]) -> Result<OrgFact, Error> {
        let mut failures = 0;
        loop {
            if (new.repeated || failures > 0)
                && let Some(there) = self.marked(new).await?
            {
                return translate::organization(there).map_err(Error::Refused);
            }
            match self.attempt(&Method::POST, "/v1/organizations", Some(body)).await {
                Err(Error::Passing(reason)) => {
                    failures += 1;
                    if failures >= self.shared.pacing.attempts_max {
                        return Err(Error::Passing(reason));
                    }
                    tokio::time::sleep(self.shared.pacing.pause(failures)).await;
                }
                answer => return translate::organization(parsed(&answer?)?).map_err(Error::Refused),
            }
        }
    }

    /// The organization of this name that an earlier request with the same mark made.
    async fn marked(&self, new: &NewOrg<'_>) -> Result<Option<wire::Organization>, Error> {
        let name = path_segment(new.name);
        let path = format!("/v1/organizations?limit={PAGE}&offset=0&query={name}&order_by=-created_at");
        let page: wire::Page = parsed(&self.send(Method::GET, &path, None).await?)?;
        let read = page.data.into_iter().filter_map(|value| serde_json::from_value::<wire::Organization>(value).ok());
        let ours = |organization: &wire::Organization| {
            let marks = organization.private_metadata.as_ref();
            marks.and_then(|marks| marks.get("tollgate_request")).and_then(|mark| mark.as_str()) == Some(new.marker)
        };
        Ok(read.into_iter().find(ours))
    }

    pub(crate) async fn memberships(&self, org_id: &OrgId, offset: u32) -> Result<Listed<MembershipFact>, Error> {
        let org = path_segment(org_id.as_str());
        let path = format!("/v1/organizations/{org}/memberships?limit={PAGE}&offset={offset}&order_by=%2Bcreated_at");
        let page = parsed(&self.send(Method::GET, &path, None).await?)?;
        Ok(translate::listed(page, translate::membership))
    }

    pub(crate) async fn set_role(&self, org_id: &OrgId, user_id: &UserId, role: Role) -> Result<MembershipFact, Error> {
        let body = wire::NewRole { role: translate::role_word(role) };
        let body = serde_json::to_vec(&body).map_err(|error| Error::Refused(error.to_string()))?;
        self.change_member(Method::PATCH, org_id, user_id, Some(body)).await
    }

    pub(crate) async fn remove_member(&self, org_id: &OrgId, user_id: &UserId) -> Result<MembershipFact, Error> {
        self.change_member(Method::DELETE, org_id, user_id, None).await
    }

    async fn change_member(
        &self,
        method: Method,
        org_id: &OrgId,
        user_id: &UserId,
        body: Option<Vec<u8>>,
    ) -> Result<MembershipFact, Error> {
        let (org, user) = (path_segment(org_id.as_str()), path_segment(user_id.as_str()));
        let path = format!("/v1/organizations/{org}/memberships/{user}");
        let told: wire::Membership = parsed(&self.send(method, &path, body).await?)?;
        translate::membership(told).map_err(Error::Refused)
    }

    pub(crate) async fn invite(&self, invite: &Invite<'_>) -> Result<InvitationFact, Error> {
        let path = format!("/v1/organizations/{}/invitations", path_segment(invite.org_id.as_str()));
        let body = wire::NewInvitation {
            email_address: invite.email,
            role: translate::role_word(invite.role),
            inviter_user_id: invite.inviter.filter(|user| user.starts_with("user_")),
        };
        let body = serde_json::to_vec(&body).map_err(|error| Error::Refused(error.to_string()))?;
        let told: wire::Invitation = parsed(&self.send(Method::POST, &path, Some(body)).await?)?;
        translate::invitation(told).map_err(Error::Refused)
    }

    pub(crate) async fn revoke_invitation(&self, org_id: &OrgId, id: &str) -> Result<InvitationFact, Error> {
        let (org, id) = (path_segment(org_id.as_str()), path_segment(id));
        let path = format!("/v1/organizations/{org}/invitations/{id}/revoke");
        let told: wire::Invitation = parsed(&self.send(Method::POST, &path, Some(b"{}".to_vec())).await?)?;
        translate::invitation(told).map_err(Error::Refused)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let deadline = self.shared.pacing.deadline;
        let answer = tokio::time::timeout(deadline, self.attempts(&method, path, body.as_deref())).await;
        answer.unwrap_or_else(|_| Err(Error::Passing("no answer in time".to_owned())))
    }

    async fn attempts(&self, method: &Method, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        let mut failures = 0;
        loop {
            match self.attempt(method, path, body).await {
                Err(Error::Passing(reason)) => {
                    failures += 1;
                    if failures >= self.shared.pacing.attempts_max {
                        return Err(Error::Passing(reason));
                    }
                    tokio::time::sleep(self.shared.pacing.pause(failures)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn attempt(&self, method: &Method, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        let mut request = self.shared.http.request(method.clone(), format!("{}{path}", self.shared.base_url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_vec());
        }
        let mut response = request.send().await.map_err(|error| Error::Passing(without_address(error)))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Error::Passing(without_address(error)))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > self.shared.pacing.body_bytes_max {
                return Err(Error::Refused("the answer is too large".to_owned()));
            }
        }
        match status {
            ok if ok.is_success() => Ok(bytes),
            StatusCode::NOT_FOUND => Err(Error::NotFound),
            again if again.is_server_error() || matches!(again.as_u16(), 408 | 429) => {
                Err(Error::Passing(format!("status {again}")))
            }
            other => Err(Error::Refused(format!("status {other} {}", codes(&bytes)))),
        }
    }
}

/// The machine's words of an error; the human ones may quote addresses of people.
fn codes(body: &[u8]) -> String {
    let errors: wire::Errors = serde_json::from_slice(body).unwrap_or_default();
    let codes: Vec<String> = errors.errors.into_iter().map(|error| error.code).take(3).collect();
    codes.join(" ")
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::Refused("unreadable answer".to_owned()))
}

fn without_address(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

/// The Frontend API's address, which a publishable key holds in base64 with a `$` at its end.
fn issuer_of(publishable_key: &str) -> Option<String> {
    let coded = publishable_key.strip_prefix("pk_test_").or_else(|| publishable_key.strip_prefix("pk_live_"))?;
    let padded = format!("{coded}{}", "=".repeat((4 - coded.len() % 4) % 4));
    let host = String::from_utf8(STANDARD.decode(padded).ok()?).ok()?;
    let host = host.strip_suffix('$')?;
    let fits = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    fits.then(|| format!("https://{host}"))
}

#[cfg(test)]
mod tests {
    use super::issuer_of;

    #[test]
    fn the_issuer_is_read_from_the_publishable_key() {
        let key = "pk_test_Y2xlcmsuZXhhbXBsZS5jb20k";
        assert_eq!(issuer_of(key).as_deref(), Some("https://clerk.example.com"));
        for bad in [
            "",
            "pk_test_",
            "sk_test_Y2xlcmsuZXhhbXBsZS5jb20k",
            "pk_test_Y2xlcmsuZXhhbXBsZS5jb20",
            "pk_live_ZXZpbC9wYXRoJA==",
        ] {
            assert_eq!(issuer_of(bad), None, "{bad}");
        }
    }
}
