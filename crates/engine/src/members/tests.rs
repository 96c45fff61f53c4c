//! What holds for members and invitations.

use secrecy::ExposeSecret;

use tollgate_rules::access::{Permission, Role, Scope};
use tollgate_rules::ids::{OrgId, UserId};

use super::{Error, Invite, accept, change_role, invite, leave, list, mine, pending, remove, resend, revoke, transfer};
use crate::access::{Caller, Refused, authenticate_session};
use crate::accounts::tests::{account, enter};
use crate::paging::Paging;
use crate::testing::TestEngine;
use crate::{keys, on_both};

fn whom(email: &str, role: Role) -> Invite {
    Invite { email: email.to_owned(), role }
}

/// A signed-in user who is this in the org.
async fn member(engine: &TestEngine, org_id: &str, email: &str, role: Role) -> (UserId, Caller) {
    let user = account(engine, email).await;
    let (begun, caller) = enter(engine, email).await;
    let issued = invite(engine, &engine.scope(org_id).await, whom(email, role)).await.unwrap();
    accept(engine, &caller, issued.code.as_ref().unwrap().expose_secret()).await.unwrap();
    (user.user_id, authenticate_session(engine, begun.cookie.unwrap().expose_secret()).await.unwrap())
}

async fn roles(engine: &TestEngine, org_id: &str) -> Vec<(String, Role)> {
    let page = list(engine, &engine.scope(org_id).await, &Paging::default()).await.unwrap();
    page.items.into_iter().map(|member| (member.user_id.to_string(), member.role)).collect()
}

on_both! {
    async fn an_org_has_the_owner_it_was_made_with(engine: TestEngine) {
        engine.org("org_a").await;
        assert_eq!(roles(&engine, "org_a").await, [("user_1".to_owned(), Role::Owner)]);
    }

    async fn an_invitation_is_accepted_once_by_the_address_it_names(engine: TestEngine) {
        engine.org("org_a").await;
        for email in ["ann@example.com", "eve@example.com"] {
            account(&engine, email).await;
        }
        let issued = invite(&engine, &engine.scope("org_a").await, whom("Ann@example.com", Role::Billing)).await.unwrap();
        let code = issued.code.as_ref().unwrap().expose_secret();
        let (_, eve) = enter(&engine, "eve@example.com").await;
        assert!(matches!(accept(&engine, &eve, code).await, Err(Error::InvalidCode)));
        let (_, ann) = enter(&engine, "ann@example.com").await;
        assert_eq!(mine(&engine, &ann).await.unwrap().len(), 1);
        let callers: Vec<_> = (0..20).map(|_| {
            let (engine, ann, code) = (engine.engine.clone(), ann.clone(), code.to_owned());
            tokio::spawn(async move { accept(&engine, &ann, &code).await })
        }).collect();
        let mut succeeded = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(accepted) => {
                    assert_eq!(accepted.role, Role::Billing);
                    succeeded += 1;
                }
                Err(error) => assert!(matches!(error, Error::InvalidCode), "{error}"),
            }
        }
        assert_eq!(succeeded, 1);
        assert!(pending(&engine, &engine.scope("org_a").await, &Paging::default()).await.unwrap().items.is_empty());
    }

    async fn a_code_is_void_once_withdrawn_or_sent_again_or_too_old(engine: TestEngine) {
        engine.org("org_a").await;
        account(&engine, "ann@example.com").await;
        let (_, ann) = enter(&engine, "ann@example.com").await;
        let scope = engine.scope("org_a").await;
        let first = invite(&engine, &scope, whom("ann@example.com", Role::Member)).await.unwrap();
        let second = resend(&engine, &scope, &first.invitation.invitation_id).await.unwrap();
        assert!(matches!(accept(&engine, &ann, first.code.as_ref().unwrap().expose_secret()).await, Err(Error::InvalidCode)));
        revoke(&engine, &scope, &second.invitation.invitation_id).await.unwrap();
        assert!(matches!(accept(&engine, &ann, second.code.as_ref().unwrap().expose_secret()).await, Err(Error::InvalidCode)));
        let third = invite(&engine, &scope, whom("ann@example.com", Role::Member)).await.unwrap();
        engine.set_now(third.invitation.expires_at);
        assert!(matches!(accept(&engine, &ann, third.code.as_ref().unwrap().expose_secret()).await, Err(Error::InvalidCode)));
    }

    async fn a_role_opens_what_the_table_says_and_a_foreign_org_looks_missing(engine: TestEngine) {
        engine.org("org_a").await;
        engine.org("org_b").await;
        let (_, ann) = member(&engine, "org_a", "ann@example.com", Role::Billing).await;
        let scope = ann.require(&engine, Permission::BillingWrite, None).await.unwrap();
        assert_eq!((scope.org_id().as_str(), scope.role()), ("org_a", Role::Billing));
        let more = ann.require(&engine, Permission::KeysWrite, None).await;
        assert_eq!(more, Err(Refused::Forbidden(Permission::KeysWrite)));
        for id in ["org_b", "org_nowhere"] {
            let org = OrgId::parse(id).unwrap();
            assert_eq!(ann.require(&engine, Permission::OrgRead, Some(&org)).await, Err(Refused::NotFound), "{id}");
        }
        assert!(ann.require_operator(Permission::OrgsList).is_err());
    }

    async fn nobody_grants_or_takes_more_than_they_hold(engine: TestEngine) {
        engine.org("org_a").await;
        let (_, ann) = member(&engine, "org_a", "ann@example.com", Role::Admin).await;
        let scope = ann.require(&engine, Permission::MembersWrite, None).await.unwrap();
        let owner = UserId::parse("user_1").unwrap();
        assert!(matches!(invite(&engine, &scope, whom("b@example.com", Role::Owner)).await, Err(Error::Escalation(_))));
        assert!(matches!(change_role(&engine, &scope, &owner, Role::Member).await, Err(Error::Escalation(_))));
        assert!(matches!(remove(&engine, &scope, &owner).await, Err(Error::Escalation(_))));
        let own = ann.user_id().unwrap().clone();
        assert!(matches!(change_role(&engine, &scope, &own, Role::Owner).await, Err(Error::Escalation(_))));
        let forced = keys::Create { name: "k".to_owned(), scopes: Some(vec![Scope::UsageForce]), expires_at: None, quota: Default::default() };
        assert!(matches!(keys::create(&engine, &ann, &scope, forced).await, Err(keys::Error::Escalation)));
        let plain = keys::Create { name: "k".to_owned(), scopes: None, expires_at: None, quota: Default::default() };
        keys::create(&engine, &ann, &scope, plain).await.unwrap();
    }

    async fn an_org_always_keeps_an_owner(engine: TestEngine) {
        engine.org("org_a").await;
        let operator = engine.scope("org_a").await;
        let first = UserId::parse("user_1").unwrap();
        assert!(matches!(remove(&engine, &operator, &first).await, Err(Error::LastOwner)));
        assert!(matches!(change_role(&engine, &operator, &first, Role::Admin).await, Err(Error::LastOwner)));
        let (ann, caller) = member(&engine, "org_a", "ann@example.com", Role::Member).await;
        transfer(&engine, &operator, &ann).await.unwrap();
        change_role(&engine, &operator, &first, Role::Admin).await.unwrap();
        let scope = caller_again(&engine, &caller, Permission::MembersLeave).await;
        assert!(matches!(leave(&engine, &scope).await, Err(Error::LastOwner)));
        transfer(&engine, &scope, &first).await.unwrap();
        assert!(roles(&engine, "org_a").await.contains(&(ann.to_string(), Role::Admin)), "who hands over becomes an admin");
    }

    async fn a_removed_member_finds_nothing_at_their_next_call(engine: TestEngine) {
        engine.org("org_a").await;
        let user = account(&engine, "ann@example.com").await;
        let (begun, caller) = enter(&engine, "ann@example.com").await;
        let scope = engine.scope("org_a").await;
        let issued = invite(&engine, &scope, whom("ann@example.com", Role::Member)).await.unwrap();
        accept(&engine, &caller, issued.code.as_ref().unwrap().expose_secret()).await.unwrap();
        let again = async || authenticate_session(&engine, begun.cookie.as_ref().unwrap().expose_secret()).await.unwrap();
        again().await.require(&engine, Permission::OrgRead, None).await.unwrap();
        remove(&engine, &scope, &user.user_id).await.unwrap();
        assert_eq!(again().await.require(&engine, Permission::OrgRead, None).await, Err(Refused::NotFound));
        assert!(matches!(accept(&engine, &caller, issued.code.as_ref().unwrap().expose_secret()).await, Err(Error::InvalidCode)));
    }
}

/// The scope of a caller whose memberships changed since they were let in.
async fn caller_again(engine: &TestEngine, caller: &Caller, permission: Permission) -> crate::access::OrgScope {
    let crate::access::CallerKind::User { user_id, session, .. } = caller.kind() else { panic!("a user") };
    let caller = crate::access::caller_of(engine, user_id.clone(), session.clone()).await.unwrap();
    caller.require(engine, permission, None).await.unwrap()
}
