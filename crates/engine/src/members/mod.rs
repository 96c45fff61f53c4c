//! Who belongs to which org as what, and who was invited. Tables `memberships`, `invitations`.
//!
//! Invariants: an org always keeps an owner; nobody grants or takes away more than they hold; an invitation is accepted once, by
//! a user whose verified address it names, under any concurrency; a change counts at the member's next call; where somebody else keeps the members, it is told there too. Every change locks
//! the org's row first, so that two owners cannot demote each other at once. A removed member's row stays and says when.

mod accept;
mod change_role;
mod elsewhere;
mod invite;
mod leave;
mod list;
mod pass_on;
mod pending;
mod remove;
mod revoke;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod transfer;

use secrecy::SecretString;

use tollgate_rules::access::Role;
use tollgate_rules::ids::{OperationId, OrgId, UserId};
use tollgate_rules::time::Timestamp;

use crate::access::{OrgScope, Refused};
use crate::db::{self, Tx};
use crate::orgs;

pub use accept::{Accepted, accept};
pub use change_role::change_role;
pub(crate) use invite::written;
pub use invite::{Invite, invite, invite_in, resend};
pub use leave::leave;
pub use list::list;
pub(crate) use pass_on::advance as advance_change;
pub(crate) use pending::waiting_for;
pub use pending::{mine, pending};
pub use remove::remove;
pub use revoke::revoke;
pub use transfer::transfer;

/// A member of an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// What they are in the org.
    pub role: Role,
    /// Their address, where they have an account.
    pub email: Option<String>,
    /// Their name, where they have an account.
    pub name: Option<String>,
    /// Since when.
    pub joined_at: Timestamp,
}

/// An invitation, without its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// `inv_…`.
    pub invitation_id: String,
    /// To which org.
    pub org_id: OrgId,
    /// What the org is called.
    pub org_name: String,
    /// Whom.
    pub email: String,
    /// What they will be.
    pub role: Role,
    /// Who invited, as in the audit journal.
    pub invited_by: String,
    /// When.
    pub created_at: Timestamp,
    /// From when on it cannot be accepted.
    pub expires_at: Timestamp,
}

/// An invitation with its code, which is shown to whoever invited and to nobody else; none where somebody else keeps the members and
/// sends the letters.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The invitation.
    pub invitation: Invitation,
    /// What is presented to accept it.
    pub code: Option<SecretString>,
}

/// Why a use case of members does nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such member or invitation in this org.
    #[error("no such member or invitation")]
    NotFound,
    /// The code is unknown, used, withdrawn, too old, or of an invitation to another address: all the same.
    #[error("this code is not valid (any more), or is for another e-mail address")]
    InvalidCode,
    /// A field breaks its rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which field, as the API spells it.
        field: &'static str,
        /// The rule, in words for the caller.
        rule: String,
    },
    /// Nobody grants or takes away more than they hold.
    #[error("only an owner may give or take away the role {0}")]
    Escalation(Role),
    /// An org always keeps an owner.
    #[error("an org keeps at least one owner; transfer the ownership first")]
    LastOwner,
    /// They are a member already.
    #[error("this person is a member already")]
    AlreadyMember,
    /// The org has as many members and invitations as it may.
    #[error("the org has {0} members and invitations, as many as it may")]
    TooMany(i64),
    /// The org is closed.
    #[error("the org is closed")]
    Closed,
    /// Only a person can do this, not a key or an operator.
    #[error("only a signed-in user can do this")]
    PeopleOnly,
    /// Another change of this member is on its way to whoever keeps the members.
    #[error("another change of this member is under way")]
    Busy,
    /// Whoever keeps the members does not answer now; it is done by itself.
    #[error("whoever keeps the members does not answer; operation {0} completes by itself")]
    Pending(OperationId),
    /// Whoever keeps the members knows no owners beside the one who made the org.
    #[error("where somebody else keeps the members, the owner is who made the org there")]
    OwnerElsewhere,
    /// Whoever keeps the members did not do it.
    #[error("whoever keeps the members did not do it: {0}")]
    Elsewhere(crate::identity::Elsewhere),
    /// The caller may not.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// The org, locked until the transaction ends: what every change of members begins with.
async fn lock_org(tx: &mut Tx, scope: &OrgScope) -> Result<orgs::Org, Error> {
    let org = orgs::sql::lock(tx, scope).await?.ok_or(Error::NotFound)?;
    if org.status == tollgate_rules::entitlement::OrgStatus::Closed { Err(Error::Closed) } else { Ok(org) }
}

/// Refuses to give or take away a role above the actor's own.
fn may_grant(scope: &OrgScope, role: Role) -> Result<(), Error> {
    if tollgate_rules::access::role_may_grant(scope.role(), role) { Ok(()) } else { Err(Error::Escalation(role)) }
}

/// Refuses to take the last owner from the org. Its row is locked by the caller.
async fn keeps_an_owner(tx: &mut Tx, scope: &OrgScope, leaving: &Member) -> Result<(), Error> {
    if leaving.role == Role::Owner && sql::owners(tx, scope).await? <= 1 { Err(Error::LastOwner) } else { Ok(()) }
}
