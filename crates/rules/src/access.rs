//! Who may do what: one permission per kind of right, and the one table that grants them to API key scopes and roles.
//!
//! An operator has every permission. A permission without scopes and roles in [`TABLE`] is the operator's alone.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word it is written as.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// Reads the word; nothing when it is none of ours.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownWord;
            fn try_from(text: String) -> Result<Self, UnknownWord> {
                Self::parse(&text).ok_or(UnknownWord)
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> String {
                word.as_str().to_owned()
            }
        }
    };
}

/// A word that names no permission, scope or role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a word of the access table")]
pub struct UnknownWord;

words! {
    /// What an org API key may be used for.
    Scope {
        /// Count usage, hold and settle units.
        UsageWrite = "usage:write",
        /// Count past the limit with `force`.
        UsageForce = "usage:force",
        /// Ask whether a call would pass.
        QuotaCheck = "quota:check",
        /// Read what the org may use and has used.
        EntitlementsRead = "entitlements:read",
        /// Read invoices, payment methods and operations.
        BillingRead = "billing:read",
        /// Subscribe, change the plan, set how it is paid.
        BillingWrite = "billing:write",
        /// Rename the org, manage its keys and members.
        OrgAdmin = "org:admin",
        /// Pass the gate.
        Gate = "gate",
    }
}

impl Scope {
    /// The scopes of a new key that asks for none by name.
    pub const DEFAULT: &'static [Scope] = &[Scope::UsageWrite, Scope::QuotaCheck, Scope::EntitlementsRead];
}

words! {
    /// What a member of an org is.
    Role {
        /// May do everything in the org; an org keeps at least one.
        Owner = "owner",
        /// May do everything except removing owners and deleting the org.
        Admin = "admin",
        /// Looks after plan and payment.
        Billing = "billing",
        /// Uses the product.
        Member = "member",
    }
}

words! {
    /// One kind of right.
    Permission {
        /// Make an org.
        OrgsCreate = "orgs.create",
        /// List all orgs.
        OrgsList = "orgs.list",
        /// Read one org.
        OrgRead = "org.read",
        /// Rename an org, set its time zone and address.
        OrgWrite = "org.write",
        /// Suspend an org or give it another public id.
        OrgOperate = "org.operate",
        /// Hand an org to another owner.
        OrgTransfer = "org.transfer",
        /// Take everything that is stored about an org.
        OrgExport = "org.export",
        /// List an org's members.
        MembersRead = "members.read",
        /// Change members' roles and remove members.
        MembersWrite = "members.write",
        /// Invite people, see and withdraw invitations.
        MembersInvite = "members.invite",
        /// Leave an org.
        MembersLeave = "members.leave",
        /// Close an org.
        OrgDelete = "org.delete",
        /// List an org's API keys.
        KeysRead = "keys.read",
        /// Create, rotate and revoke an org's API keys.
        KeysWrite = "keys.write",
        /// List an org's activated sites, and ask about their tokens.
        SitesRead = "sites.read",
        /// Make activation codes, approve devices, verify and revoke sites.
        SitesWrite = "sites.write",
        /// Read invoices, payment methods and the org's operations.
        BillingRead = "billing.read",
        /// Make the customer, subscribe, change the plan, set how it is paid.
        BillingWrite = "billing.write",
        /// Give orgs coupons, credit, refunds and credit notes, and read what was given.
        BillingOperate = "billing.operate",
        /// Tell the plan mirror about an org's plan.
        MirrorProvision = "mirror.provision",
        /// Read what the org may use.
        EntitlementsRead = "entitlements.read",
        /// Ask whether a call would pass.
        QuotaCheck = "quota.check",
        /// Record, reserve, settle, release and extend.
        UsageWrite = "usage.write",
        /// Record with `force`.
        UsageForce = "usage.force",
        /// Read events, history and holds.
        UsageRead = "usage.read",
        /// Pass the gate.
        GatePass = "gate.pass",
        /// Have a decision explained from its receipt.
        DecisionsExplain = "decisions.explain",
        /// Correct recorded usage.
        UsageCorrect = "usage.correct",
        /// Open or empty quota periods.
        QuotasReset = "quotas.reset",
        /// List, process and replay stored webhooks.
        WebhooksOperate = "webhooks.operate",
        /// Read and close incidents.
        IncidentsOperate = "incidents.operate",
        /// Read the audit journal.
        AuditRead = "audit.read",
        /// Read and write operator flags.
        FlagsOperate = "flags.operate",
        /// Give orgs exceptions from their plan.
        OverridesOperate = "overrides.operate",
        /// Give orgs extra units.
        GrantsOperate = "grants.operate",
        /// List, run and retry jobs.
        JobsOperate = "jobs.operate",
        /// Publish plans and read their difference to what is in force.
        PlansPublish = "plans.publish",
        /// Read health in detail, metrics and the smoke test.
        DiagnosticsRead = "diagnostics.read",
        /// Move the sandbox's clock.
        ClockAdvance = "clock.advance",
        /// Take, close and open again what is stored about a person.
        UsersOperate = "users.operate",
        /// Create, list and revoke operator keys; back up and restore.
        ServerOperate = "server.operate",
    }
}

/// One line of the access table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The right.
    pub permission: Permission,
    /// API keys with any of these scopes have it, for their own org.
    pub scopes: &'static [Scope],
    /// Members with any of these roles have it, in their own org.
    pub roles: &'static [Role],
}

const EVERYONE: &[Role] = &[Role::Owner, Role::Admin, Role::Billing, Role::Member];
const MANAGERS: &[Role] = &[Role::Owner, Role::Admin];
const PAYERS: &[Role] = &[Role::Owner, Role::Admin, Role::Billing];

/// Every permission and who has it beside the operator.
pub const TABLE: &[Row] = &[
    row(Permission::OrgsCreate, &[], &[]),
    row(Permission::OrgsList, &[], &[]),
    row(Permission::OrgRead, &[Scope::OrgAdmin, Scope::EntitlementsRead, Scope::BillingRead], EVERYONE),
    row(Permission::OrgWrite, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::OrgOperate, &[], &[]),
    row(Permission::OrgDelete, &[], &[Role::Owner]),
    row(Permission::OrgTransfer, &[], &[Role::Owner]),
    row(Permission::OrgExport, &[], &[Role::Owner]),
    row(Permission::MembersRead, &[Scope::OrgAdmin], EVERYONE),
    row(Permission::MembersWrite, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::MembersInvite, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::MembersLeave, &[], EVERYONE),
    row(Permission::KeysRead, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::KeysWrite, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::SitesRead, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::SitesWrite, &[Scope::OrgAdmin], MANAGERS),
    row(Permission::BillingRead, &[Scope::BillingRead, Scope::BillingWrite], PAYERS),
    row(Permission::BillingWrite, &[Scope::BillingWrite], PAYERS),
    row(Permission::BillingOperate, &[], &[]),
    row(Permission::MirrorProvision, &[Scope::BillingWrite], PAYERS),
    row(Permission::EntitlementsRead, &[Scope::EntitlementsRead], EVERYONE),
    row(Permission::QuotaCheck, &[Scope::QuotaCheck], EVERYONE),
    row(Permission::UsageWrite, &[Scope::UsageWrite], MANAGERS),
    row(Permission::UsageForce, &[Scope::UsageForce], &[]),
    row(Permission::UsageRead, &[Scope::EntitlementsRead, Scope::UsageWrite], EVERYONE),
    row(Permission::GatePass, &[Scope::Gate, Scope::UsageWrite], MANAGERS),
    row(Permission::DecisionsExplain, &[Scope::EntitlementsRead, Scope::QuotaCheck, Scope::UsageWrite], EVERYONE),
    row(Permission::UsageCorrect, &[], &[]),
    row(Permission::QuotasReset, &[], &[]),
    row(Permission::WebhooksOperate, &[], &[]),
    row(Permission::IncidentsOperate, &[], &[]),
    row(Permission::AuditRead, &[], &[]),
    row(Permission::FlagsOperate, &[], &[]),
    row(Permission::OverridesOperate, &[], &[]),
    row(Permission::GrantsOperate, &[], &[]),
    row(Permission::JobsOperate, &[], &[]),
    row(Permission::PlansPublish, &[], &[]),
    row(Permission::DiagnosticsRead, &[], &[]),
    row(Permission::ClockAdvance, &[], &[]),
    row(Permission::UsersOperate, &[], &[]),
    row(Permission::ServerOperate, &[], &[]),
];

/// Whether a key with these scopes has the right, for its own org.
pub fn scopes_grant(scopes: &[Scope], permission: Permission) -> bool {
    line(permission).scopes.iter().any(|scope| scopes.contains(scope))
}

/// Whether a member with this role has the right, in their own org.
pub fn role_grants(role: Role, permission: Permission) -> bool {
    line(permission).roles.contains(&role)
}

/// Whether whoever acts as `holder` may give this role, or take it away: nobody grants more than they hold.
pub fn role_may_grant(holder: Role, granted: Role) -> bool {
    match holder {
        Role::Owner => true,
        Role::Admin => granted != Role::Owner,
        Role::Billing | Role::Member => false,
    }
}

/// Whether a member with this role may make an API key with this scope: only where the role makes keys at all and has every right
/// the scope brings.
pub fn role_may_issue(role: Role, scope: Scope) -> bool {
    line(Permission::KeysWrite).roles.contains(&role)
        && TABLE.iter().filter(|row| row.scopes.contains(&scope)).all(|row| row.roles.contains(&role))
}

/// Whether a person must have proved who they are within the last minutes to change something with this right: it hands access
/// out or takes it away, gives the org away, or moves money. Keys are not asked; they prove nothing but themselves.
pub const fn asks_for_fresh_proof(permission: Permission) -> bool {
    matches!(
        permission,
        Permission::MembersWrite
            | Permission::OrgTransfer
            | Permission::OrgDelete
            | Permission::OrgOperate
            | Permission::KeysWrite
            | Permission::BillingOperate
            | Permission::GrantsOperate
            | Permission::OverridesOperate
            | Permission::UsageCorrect
            | Permission::UsersOperate
            | Permission::PlansPublish
    )
}

/// The table's line about a permission.
pub fn line(permission: Permission) -> &'static Row {
    TABLE
        .iter()
        .find(|row| row.permission == permission)
        .expect("the table has a line for every permission (a test holds it to that)")
}

const fn row(permission: Permission, scopes: &'static [Scope], roles: &'static [Role]) -> Row {
    Row { permission, scopes, roles }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_exactly_one_line() {
        for permission in Permission::ALL {
            let lines = TABLE.iter().filter(|row| row.permission == *permission).count();
            assert_eq!(lines, 1, "{permission}");
        }
        assert_eq!(TABLE.len(), Permission::ALL.len());
    }

    #[test]
    fn every_word_reads_back_as_itself() {
        assert!(Scope::ALL.iter().all(|word| Scope::parse(word.as_str()) == Some(*word)));
        assert!(Role::ALL.iter().all(|word| Role::parse(word.as_str()) == Some(*word)));
        assert!(Permission::ALL.iter().all(|word| Permission::parse(word.as_str()) == Some(*word)));
    }

    #[test]
    fn a_new_key_counts_checks_and_reads_and_nothing_else() {
        let granted: Vec<&str> = Permission::ALL
            .iter()
            .filter(|permission| scopes_grant(Scope::DEFAULT, **permission))
            .map(|permission| permission.as_str())
            .collect();
        assert_eq!(
            granted,
            [
                "org.read",
                "entitlements.read",
                "quota.check",
                "usage.write",
                "usage.read",
                "gate.pass",
                "decisions.explain"
            ]
        );
    }

    #[test]
    fn force_needs_its_own_scope() {
        let all_but_force: Vec<Scope> = Scope::ALL.iter().copied().filter(|s| *s != Scope::UsageForce).collect();
        assert!(!scopes_grant(&all_but_force, Permission::UsageForce));
        assert!(scopes_grant(&[Scope::UsageForce], Permission::UsageForce));
        assert!(!scopes_grant(&[Scope::UsageForce], Permission::UsageWrite));
    }

    #[test]
    fn nobody_grants_a_role_above_their_own() {
        for granted in Role::ALL {
            assert!(role_may_grant(Role::Owner, *granted));
            assert_eq!(role_may_grant(Role::Admin, *granted), *granted != Role::Owner);
            assert!(!role_may_grant(Role::Billing, *granted) && !role_may_grant(Role::Member, *granted));
        }
    }

    #[test]
    fn a_role_has_every_right_of_the_roles_below_it() {
        for row in TABLE {
            let has = |role: Role| row.roles.contains(&role);
            for (lower, higher) in
                [(Role::Member, Role::Billing), (Role::Billing, Role::Admin), (Role::Admin, Role::Owner)]
            {
                assert!(!has(lower) || has(higher), "{}: {lower} but not {higher}", row.permission);
            }
        }
    }

    #[test]
    fn a_member_makes_no_key_that_may_do_more_than_themselves() {
        for scope in Scope::ALL {
            assert!(!role_may_issue(Role::Member, *scope), "{scope}");
            let managers = *scope != Scope::UsageForce;
            assert_eq!(
                role_may_issue(Role::Owner, *scope),
                managers,
                "{scope}: past the limit only the operator lets count"
            );
            assert_eq!(role_may_issue(Role::Admin, *scope), managers, "{scope}");
        }
    }

    #[test]
    fn what_concerns_all_orgs_is_the_operators_alone() {
        for permission in [
            Permission::OrgsCreate,
            Permission::OrgsList,
            Permission::AuditRead,
            Permission::ClockAdvance,
            Permission::UsageCorrect,
            Permission::ServerOperate,
        ] {
            assert!(!scopes_grant(Scope::ALL, permission), "{permission}");
            assert!(Role::ALL.iter().all(|role| !role_grants(*role, permission)), "{permission}");
        }
    }
}
