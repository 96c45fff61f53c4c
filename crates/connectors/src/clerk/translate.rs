//! Clerk's words into ours.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, UserId};
use tollgate_rules::time::Timestamp;

use super::wire;
use crate::identity::{
    Event, Fact, InvitationFact, InvitationState, Listed, MembershipFact, OrgFact, PublicKey, UserFact,
};

/// How long an invitation is valid where Clerk does not say: its own default.
const INVITATION_DAYS: u64 = 30;
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 20;

/// Reads a webhook's event.
///
/// # Errors
/// What is wrong with it, without its content.
pub fn read_event(raw: &[u8]) -> Result<Event, String> {
    let envelope: wire::Envelope = serde_json::from_slice(raw).map_err(|_| "no event envelope".to_owned())?;
    if envelope.object != "event" {
        return Err("no event envelope".to_owned());
    }
    let object_id = envelope.data.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let fact = fact(&envelope.kind, envelope.data)?;
    Ok(Event { kind: envelope.kind, object_id, fact })
}

fn fact(kind: &str, data: Value) -> Result<Fact, String> {
    match kind {
        "user.created" | "user.updated" => Ok(Fact::User(user(of(data)?)?)),
        "user.deleted" => Ok(Fact::UserGone(user_id(&of::<wire::Named>(data)?.id)?)),
        "organization.created" | "organization.updated" => Ok(Fact::Org(organization(of(data)?)?)),
        "organization.deleted" => Ok(Fact::OrgGone(org_id(&of::<wire::Named>(data)?.id)?)),
        "organizationMembership.created" | "organizationMembership.updated" => {
            Ok(Fact::Membership(membership(of(data)?)?))
        }
        "organizationMembership.deleted" => Ok(Fact::MembershipGone(membership(of(data)?)?)),
        "organizationInvitation.created" | "organizationInvitation.accepted" | "organizationInvitation.revoked" => {
            Ok(Fact::Invitation(invitation(of(data)?)?))
        }
        "session.ended" | "session.removed" | "session.revoked" => Ok(Fact::SessionEnded(of::<wire::Named>(data)?.id)),
        _ => Ok(Fact::Other),
    }
}

fn of<T: DeserializeOwned>(data: Value) -> Result<T, String> {
    // The error's own words could quote personal data.
    serde_json::from_value(data).map_err(|_| "the object is not of the shape its type has".to_owned())
}

fn user_id(text: &str) -> Result<UserId, String> {
    UserId::parse(text).map_err(|error| error.to_string())
}

fn org_id(text: &str) -> Result<OrgId, String> {
    OrgId::parse(text).map_err(|error| error.to_string())
}

fn millis(at: i64) -> Timestamp {
    Timestamp::from_micros(at.saturating_mul(1_000))
}

fn user(user: wire::User) -> Result<UserFact, String> {
    let primary = user.email_addresses.iter().find(|address| {
        let verified = address.verification.as_ref().is_some_and(|verification| verification.status == "verified");
        verified && address.id.is_some() && address.id == user.primary_email_address_id
    });
    let name = [user.first_name, user.last_name].into_iter().flatten().filter(|part| !part.trim().is_empty());
    let name: Vec<String> = name.collect();
    Ok(UserFact {
        user_id: user_id(&user.id)?,
        email: primary.map(|address| address.email_address.to_lowercase()),
        name: (!name.is_empty()).then(|| name.join(" ")),
        updated_at: millis(user.updated_at),
    })
}

pub(super) fn organization(organization: wire::Organization) -> Result<OrgFact, String> {
    Ok(OrgFact {
        org_id: org_id(&organization.id)?,
        name: organization.name,
        created_by: organization.created_by.as_deref().map(user_id).transpose()?,
        updated_at: millis(organization.updated_at),
    })
}

pub(super) fn membership(membership: wire::Membership) -> Result<MembershipFact, String> {
    let user = membership.public_user_data.ok_or("a membership without its user")?;
    let user_id = user_id(&user.user_id)?;
    let org = organization(membership.organization)?;
    Ok(MembershipFact {
        role: role(&membership.role, org.created_by.as_ref() == Some(&user_id)),
        membership_id: membership.id,
        org,
        user_id,
        created_at: millis(membership.created_at),
        updated_at: millis(membership.updated_at),
    })
}

pub(super) fn invitation(invitation: wire::Invitation) -> Result<InvitationFact, String> {
    let created_at = millis(invitation.created_at);
    let default_end = created_at.plus(std::time::Duration::from_secs(INVITATION_DAYS * 24 * 3600));
    Ok(InvitationFact {
        invitation_id: invitation.id,
        org_id: org_id(&invitation.organization_id)?,
        email: invitation.email_address.to_lowercase(),
        role: role(&invitation.role, false),
        state: match invitation.status.as_str() {
            "pending" => InvitationState::Pending,
            "accepted" => InvitationState::Accepted,
            _ => InvitationState::Revoked,
        },
        user_id: invitation.user_id.as_deref().map(user_id).transpose()?,
        created_at,
        expires_at: invitation.expires_at.map_or(default_end, millis),
        updated_at: millis(invitation.updated_at),
    })
}

/// Our role of a Clerk role: an admin who made the organization is its owner; what we do not know is a member.
#[must_use]
pub fn role(word: &str, made_it: bool) -> Role {
    match word.strip_prefix("org:").unwrap_or(word) {
        "admin" if made_it => Role::Owner,
        "admin" => Role::Admin,
        other => Role::parse(other).unwrap_or(Role::Member),
    }
}

/// Clerk's role of ours: our owner is an admin there.
pub(super) fn role_word(role: Role) -> String {
    match role {
        Role::Owner | Role::Admin => "org:admin".to_owned(),
        Role::Billing | Role::Member => format!("org:{role}"),
    }
}

/// A page, without what cannot be read.
pub(super) fn listed<W: DeserializeOwned, T>(page: wire::Page, read: impl Fn(W) -> Result<T, String>) -> Listed<T> {
    let taken = u32::try_from(page.data.len()).unwrap_or(u32::MAX);
    let items = page.data.into_iter().filter_map(|value| of(value).and_then(&read).ok()).collect();
    Listed { items, taken, total: page.total_count }
}

/// The keys for RSA signatures.
pub(super) fn keys(set: wire::Keys) -> Vec<PublicKey> {
    let fits = |key: &wire::Key| {
        key.kty.as_deref() == Some("RSA") && key.used_for.as_deref().is_none_or(|used_for| used_for == "sig")
    };
    let read = |key: wire::Key| Some(PublicKey { kid: key.kid?, modulus: key.n?, exponent: key.e? });
    set.keys.into_iter().filter(fits).filter_map(read).take(KEYS_MAX).collect()
}
