//! What holds for changes of members that are made here where Clerk keeps them.

use std::time::Duration;

use super::*;
use crate::access::OrgScope;
use crate::db::Lane;
use crate::fault::Manner;
use crate::jobs;
use crate::members::Error as Members;

const NO_LEASES: Statement = Statement::new("test.no_member_leases", "UPDATE operations SET lease_until = 0");

fn mate() -> UserId {
    UserId::parse("user_m").unwrap()
}

/// An org with its owner and a member, as they are there.
async fn known(kind: Kind) -> Option<(Stage, OrgScope)> {
    let stage = Stage::set(kind, true).await?;
    there(&stage, false).await;
    reconcile(&stage.engine).await.unwrap();
    let scope = stage.engine.scope("org_c1").await;
    Some((stage, scope))
}

fn base(stage: &Stage) -> String {
    stage.sandbox.as_ref().unwrap().0.base_url()
}

async fn there(stage: &Stage, refuses_members: bool) {
    let members = [member("orgmem_o", "user_o", "org:admin", 10), member("orgmem_m", "user_m", "org:member", 10)];
    let state = json!({ "organizations": [org("Acme", 10)], "memberships": { "org_c1": members }, "refuses_members": refuses_members });
    put_state(&base(stage), &state).await;
}

/// The role of the member there; none where they are none.
async fn role_there(stage: &Stage) -> Option<String> {
    let answer = exchange(&base(stage), "GET", "").await;
    let state: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let members = state["memberships"]["org_c1"].as_array().unwrap();
    let found = members.iter().find(|member| member["public_user_data"]["user_id"] == "user_m")?;
    found["role"].as_str().map(str::to_owned)
}

async fn role_here(stage: &Stage, scope: &OrgScope) -> Option<Role> {
    let members = members::list(&stage.engine, scope, &Paging::default()).await.unwrap();
    members.items.into_iter().find(|member| member.user_id == mate()).map(|member| member.role)
}

async fn actions(stage: &Stage, scope: &OrgScope) -> Vec<(String, String)> {
    let filter = crate::audit::Filter { org_id: Some(scope.org_id().clone()), ..Default::default() };
    let page = crate::audit::list(&stage.engine, &stage.engine.server(), &filter, &Paging::default()).await.unwrap();
    page.items.into_iter().map(|entry| (entry.action, entry.actor.unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_changed_here_is_changed_there_first_and_messages_change_nothing_more() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some((stage, scope)) = known(kind).await else { continue };
        let changed = members::change_role(&stage.engine, &scope, &mate(), Role::Billing).await.unwrap();
        assert_eq!(changed.role, Role::Billing);
        assert_eq!(
            (role_there(&stage).await.as_deref(), role_here(&stage, &scope).await),
            (Some("org:billing"), Some(Role::Billing))
        );
        let done = actions(&stage, &scope).await;
        assert!(
            done.iter().any(|(action, actor)| action == "members.change-role" && actor.starts_with("operator")),
            "{done:?}"
        );
        // A message from before the change comes late.
        stage
            .tell("msg_late", "organizationMembership.updated", &member("orgmem_m", "user_m", "org:admin", 20))
            .await
            .unwrap();
        assert_eq!(role_here(&stage, &scope).await, Some(Role::Billing));
        members::remove(&stage.engine, &scope, &mate()).await.unwrap();
        assert_eq!((role_there(&stage).await, role_here(&stage, &scope).await), (None, None));
        stage
            .tell(
                "msg_later",
                "organizationMembership.updated",
                &member("orgmem_m", "user_m", "org:admin", i64::MAX / 2_000),
            )
            .await
            .unwrap();
        assert_eq!(role_here(&stage, &scope).await, None, "who was removed is not revived");
        assert_eq!(reconcile(&stage.engine).await.unwrap().drift, 0);
        for refused in [
            members::change_role(&stage.engine, &scope, &UserId::parse("user_o").unwrap(), Role::Owner).await.err(),
            members::transfer(&stage.engine, &scope, &mate()).await.err(),
        ] {
            assert!(matches!(refused, Some(Members::OwnerElsewhere)), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_there_is_not_changed_here_and_who_is_removed_is_out_all_the_same() {
    let Some((stage, scope)) = known(Kind::Sqlite).await else { return };
    there(&stage, true).await;
    let refused = members::change_role(&stage.engine, &scope, &mate(), Role::Admin).await;
    assert!(matches!(refused, Err(Members::Elsewhere(_))), "{refused:?}");
    assert_eq!(
        (role_there(&stage).await.as_deref(), role_here(&stage, &scope).await),
        (Some("org:member"), Some(Role::Member))
    );
    members::remove(&stage.engine, &scope, &mate()).await.unwrap();
    assert_eq!(role_here(&stage, &scope).await, None);
    assert_eq!(role_there(&stage).await.as_deref(), Some("org:member"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_on_after_a_crash_and_undoes_nothing_that_was_changed_there_since() {
    for (kind, point) in [(Kind::Sqlite, "members.change.before_send"), (Kind::Postgres, "members.change.sent")] {
        let Some((stage, scope)) = known(kind).await else { continue };
        stage.engine.faults().plan(point, Manner::Vanish, 1);
        assert!(members::change_role(&stage.engine, &scope, &mate(), Role::Billing).await.is_err());
        assert_eq!(role_here(&stage, &scope).await, Some(Role::Member), "not before it is known to be so there");
        let other = members::change_role(&stage.engine, &scope, &mate(), Role::Admin).await;
        assert!(matches!(other, Err(Members::Busy)), "one after the other: {other:?}");
        let mut tx = stage.engine.engine.db().begin(Lane::Control).await.unwrap();
        tx.execute(&NO_LEASES, &[]).await.unwrap();
        tx.commit().await.unwrap();
        stage.engine.set_now(START.plus(Duration::from_secs(600)));
        jobs::run_due(&stage.engine).await.unwrap();
        assert_eq!(
            (role_there(&stage).await.as_deref(), role_here(&stage, &scope).await),
            (Some("org:billing"), Some(Role::Billing))
        );
        members::change_role(&stage.engine, &scope, &mate(), Role::Admin).await.unwrap();
        assert_eq!(role_there(&stage).await.as_deref(), Some("org:admin"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_answers_there_a_role_waits_and_a_removal_does_not() {
    let Some(stage) = Stage::set(Kind::Sqlite, false).await else { return };
    for (place, (kind, data)) in life().iter().enumerate().take(4) {
        stage.tell(&format!("msg_{place}"), kind, data).await.unwrap();
    }
    let scope = stage.engine.scope("org_c1").await;
    let waits = members::change_role(&stage.engine, &scope, &mate(), Role::Admin).await;
    let Err(Members::Pending(operation_id)) = waits else { panic!("{waits:?}") };
    let shown = crate::operations::get(&stage.engine, &scope, &operation_id).await.unwrap().unwrap();
    assert_eq!((shown.kind, shown.state.as_str()), ("member.change", "running"));
    assert_eq!(role_here(&stage, &scope).await, Some(Role::Member));
    members::remove(&stage.engine, &scope, &mate()).await.unwrap();
    assert_eq!(role_here(&stage, &scope).await, None);
}
