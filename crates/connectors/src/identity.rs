//! The role *identity*: who keeps the users, organizations and memberships.
//!
//! `BuiltIn` needs nothing: our own tables do. `Clerk` keeps them at Clerk, and our tables follow.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, UserId};
use tollgate_rules::time::Timestamp;

use crate::clerk;

/// Who keeps them.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Our own accounts.
    BuiltIn,
    /// Clerk, or a stand-in that speaks its language.
    Clerk(Box<clerk::Client>),
}

/// A public key of a foreign issuer (RSA, for signatures).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its id.
    pub kid: String,
    /// The modulus in base64url.
    pub modulus: String,
    /// The exponent in base64url.
    pub exponent: String,
}

/// A user as told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFact {
    /// The user.
    pub user_id: UserId,
    /// The primary address, where it is verified; lower case.
    pub email: Option<String>,
    /// First and last name.
    pub name: Option<String>,
    /// When it changed last: orders what is told.
    pub updated_at: Timestamp,
}

/// An organization as told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgFact {
    /// The organization.
    pub org_id: OrgId,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// A membership as told, with the organization it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipFact {
    /// Its id.
    pub membership_id: String,
    /// The organization.
    pub org: OrgFact,
    /// The user.
    pub user_id: UserId,
    /// The role in our words.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// An invitation as told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationFact {
    /// Its id.
    pub invitation_id: String,
    /// The organization.
    pub org_id: OrgId,
    /// Who is invited; lower case.
    pub email: String,
    /// As what.
    pub role: Role,
    /// Where it stands.
    pub state: InvitationState,
    /// Who accepted it.
    pub user_id: Option<UserId>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationState {
    /// It waits for an answer.
    Pending,
    /// It was accepted.
    Accepted,
    /// It was taken back, or ran out.
    Revoked,
}

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A user is new or changed.
    User(UserFact),
    /// A user is gone.
    UserGone(UserId),
    /// An organization is new or changed.
    Org(OrgFact),
    /// An organization is gone.
    OrgGone(OrgId),
    /// A membership is new or changed.
    Membership(MembershipFact),
    /// A membership is gone.
    MembershipGone(MembershipFact),
    /// An invitation is new or changed.
    Invitation(InvitationFact),
    /// A session is over.
    SessionEnded(String),
    /// Nothing we keep depends on it.
    Other,
}

/// A webhook's event, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened, in the sender's word (`user.updated`).
    pub kind: String,
    /// The object it happened to.
    pub object_id: String,
    /// What it tells.
    pub fact: Fact,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many the page had before what we do not know was left out: where the next one begins.
    pub taken: u32,
    /// How many there are in all.
    pub total: u32,
}

/// An invitation to make.
#[derive(Debug, Clone)]
pub struct Invite<'a> {
    /// The organization.
    pub org_id: &'a OrgId,
    /// Who.
    pub email: &'a str,
    /// As what.
    pub role: Role,
    /// By whom, where that is a user there.
    pub inviter: Option<&'a str>,
}

/// An organization to make.
#[derive(Debug, Clone)]
pub struct NewOrg<'a> {
    /// Its name.
    pub name: &'a str,
    /// Who owns it, where that is a user there.
    pub created_by: Option<&'a str>,
    /// Marks the request, so that it is found again when an answer was lost.
    pub marker: &'a str,
    /// Whether an earlier call may have carried the same marker.
    pub repeated: bool,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody outside keeps identities.
    #[error("identities are kept here")]
    Off,
    /// It may work later.
    #[error("not reachable: {0}")]
    Passing(String),
    /// It was refused; a retry gives the same.
    #[error("refused: {0}")]
    Refused(String),
    /// There is no such object.
    #[error("there is no such object")]
    NotFound,
}

impl Identity {
    fn clerk(&self) -> Result<&clerk::Client, Error> {
        match self {
            Identity::Clerk(client) => Ok(client),
            Identity::BuiltIn => Err(Error::Off),
        }
    }

    /// The exact name of the foreign issuer; none where there is none.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        match self {
            Identity::Clerk(client) => Some(client.issuer()),
            Identity::BuiltIn => None,
        }
    }

    /// The foreign issuer's public keys.
    ///
    /// # Errors
    /// [`Error`], by what the caller does about it.
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>, Error> {
        self.clerk()?.public_keys().await
    }

    /// Checks a webhook's signature over its raw bytes, at a Unix second.
    ///
    /// # Errors
    /// Nothing of the delivery may be stored or acted on.
    pub fn verify(
        raw: &[u8],
        signed: &clerk::webhook::Signed<'_>,
        secrets: &[SecretString],
        now: i64,
    ) -> Result<(), clerk::webhook::Error> {
        clerk::webhook::verify(raw, signed, secrets, now)
    }

    /// Reads a webhook's event after its signature was checked.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    pub fn read_event(raw: &[u8]) -> Result<Event, String> {
        clerk::read_event(raw)
    }

    /// One page of organizations.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn organizations(&self, offset: u32) -> Result<Listed<OrgFact>, Error> {
        self.clerk()?.organizations(offset).await
    }

    /// An organization.
    ///
    /// # Errors
    /// [`Error::NotFound`] and the others.
    pub async fn organization(&self, org_id: &OrgId) -> Result<OrgFact, Error> {
        self.clerk()?.organization(org_id).await
    }

    /// Makes an organization, once for each marker.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_organization(&self, new: &NewOrg<'_>) -> Result<OrgFact, Error> {
        self.clerk()?.create_organization(new).await
    }

    /// One page of an organization's memberships.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn memberships(&self, org_id: &OrgId, offset: u32) -> Result<Listed<MembershipFact>, Error> {
        self.clerk()?.memberships(org_id, offset).await
    }

    /// Gives a member another role; the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] where they are none, and the others.
    pub async fn set_role(&self, org_id: &OrgId, user_id: &UserId, role: Role) -> Result<MembershipFact, Error> {
        self.clerk()?.set_role(org_id, user_id, role).await
    }

    /// Takes a member out; the membership as it ended.
    ///
    /// # Errors
    /// [`Error::NotFound`] where they are none (any more), and the others.
    pub async fn remove_member(&self, org_id: &OrgId, user_id: &UserId) -> Result<MembershipFact, Error> {
        self.clerk()?.remove_member(org_id, user_id).await
    }

    /// Invites somebody; the letter is the other side's.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn invite(&self, invite: &Invite<'_>) -> Result<InvitationFact, Error> {
        self.clerk()?.invite(invite).await
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn revoke_invitation(&self, org_id: &OrgId, invitation_id: &str) -> Result<InvitationFact, Error> {
        self.clerk()?.revoke_invitation(org_id, invitation_id).await
    }
}
