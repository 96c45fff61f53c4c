//! What holds where identities are kept elsewhere: any order of messages, and none at all, end at the same state.

use std::net::SocketAddr;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value, json};
use tollgate_connectors::Pacing;
use tollgate_connectors::clerk::{Client, Settings, webhook};
use tollgate_connectors::identity::Identity;
use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, UserId};
use tollgate_sandbox::{Config, Sandbox};

use super::{Delivery, Error, Reconciled, invite, receive, reconcile, revoke_invitation};
use crate::db::{Kind, Statement};
use crate::paging::Paging;
use crate::settings::{IdentitySettings, WebhookSecrets};
use crate::testing::{START, TestEngine};
use crate::tokens::{Operators, Parties};
use crate::{members, orgs};

mod passing_on;

const SECRET: &str = "whsec_dGhlIHNpZ25pbmcgc2VjcmV0IG9mIHRlc3Rz";

struct Stage {
    engine: TestEngine,
    sandbox: Option<(Sandbox, tempfile::TempDir)>,
}

impl Stage {
    async fn set(kind: Kind, with_clerk: bool) -> Option<Stage> {
        let mut sandbox = None;
        let mut base_url = "http://127.0.0.1:9".to_owned();
        if with_clerk {
            let folder = tempfile::tempdir().unwrap();
            let config = Config {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                database: folder.path().join("sandbox.db"),
                start_at_micros: None,
                faults: tollgate_sandbox::Faults::default(),
            };
            let served = Sandbox::start(config).await.unwrap();
            base_url = format!("{}/clerk", served.base_url());
            sandbox = Some((served, folder));
        }
        let client = Client::new(Settings {
            base_url,
            secret_key: SecretString::from("sk_test_x"),
            publishable_key: "pk_test_Y2xlcmsuZXhhbXBsZS5jb20k".to_owned(),
            pacing: Pacing { attempts_max: 1, ..Pacing::with_random(Arc::new(|| 1)) },
        });
        let identity = IdentitySettings {
            identity: Identity::Clerk(Box::new(client.unwrap())),
            webhook_secrets: WebhookSecrets::new(vec![SecretString::from(SECRET)]),
            parties: Parties::default(),
            operators: Operators::default(),
        };
        let engine = TestEngine::open_with(kind, "identity", |settings| settings.identity = identity).await?;
        Some(Stage { engine, sandbox })
    }

    async fn tell(&self, id: &str, kind: &str, data: &Value) -> Result<(), Error> {
        let body = json!({ "object": "event", "type": kind, "timestamp": 1, "data": data }).to_string();
        let time = START.as_micros() / 1_000_000;
        let signature = webhook::sign(body.as_bytes(), id, &SecretString::from(SECRET), time).unwrap();
        let timestamp = time.to_string();
        let delivery = Delivery { raw: body.as_bytes(), id, timestamp: &timestamp, signature: &signature };
        let received = receive(&self.engine, &delivery).await?;
        assert_eq!(received.event_id, id);
        Ok(())
    }

    /// Orgs with their members, and users, as lines.
    async fn seen(&self) -> Vec<String> {
        const SEEN: Statement = Statement::new(
            "test.identity_seen",
            "SELECT o.org_id || ' ' || o.name || ' ' || o.status || ' ' || COALESCE(m.user_id, '-') || ' ' || COALESCE(m.role, '-') AS line
             FROM organizations o
             LEFT JOIN memberships m ON m.org_key = o.org_key AND m.removed_at IS NULL
             UNION ALL
             SELECT u.user_id || ' ' || u.status || ' ' || COALESCE(u.name, '-') AS line FROM users u
             ORDER BY line
             LIMIT 1000",
        );
        let mut read = self.engine.engine.db().read().await.unwrap();
        read.all(&SEEN, &[]).await.unwrap().iter().map(|row| row.text("line").unwrap()).collect()
    }
}

fn org(name: &str, updated_at: i64) -> Value {
    json!({ "object": "organization", "id": "org_c1", "name": name, "created_by": "user_o", "updated_at": updated_at })
}

fn member(id: &str, user: &str, role: &str, updated_at: i64) -> Value {
    json!({ "object": "organization_membership", "id": id, "role": role, "organization": org("Acme", 1),
        "public_user_data": { "user_id": user }, "created_at": 1_000, "updated_at": updated_at })
}

fn user(name: &str, updated_at: i64) -> Value {
    json!({ "object": "user", "id": "user_m", "primary_email_address_id": "idn_1", "first_name": name, "last_name": null,
        "email_addresses": [{ "id": "idn_1", "email_address": "M@example.com", "verification": { "status": "verified" } }],
        "updated_at": updated_at })
}

/// What happened there, in order.
fn life() -> Vec<(&'static str, Value)> {
    vec![
        ("organization.created", org("Acme", 10)),
        ("organizationMembership.created", member("orgmem_o", "user_o", "org:admin", 10)),
        ("user.created", user("Mia", 20)),
        ("organizationMembership.created", member("orgmem_m", "user_m", "org:member", 20)),
        ("organization.updated", org("Acme Two", 30)),
        ("user.updated", user("Mia Maria", 30)),
        ("organizationMembership.updated", member("orgmem_m", "user_m", "org:billing", 40)),
        ("organizationMembership.created", member("orgmem_x", "user_x", "org:admin", 40)),
        ("organizationMembership.deleted", member("orgmem_x", "user_x", "org:admin", 40)),
        ("session.ended", json!({ "object": "session", "id": "sess_9" })),
        ("role.created", json!({ "object": "role", "id": "role_1" })),
    ]
}

const END: [&str; 3] =
    ["org_c1 Acme Two active user_m billing", "org_c1 Acme Two active user_o owner", "user_m active Mia Maria"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_in_any_order_and_any_number_of_times_end_at_the_same_state() {
    for (kind, turn) in [(Kind::Sqlite, 0), (Kind::Sqlite, 1), (Kind::Sqlite, 2), (Kind::Postgres, 3)] {
        let Some(stage) = Stage::set(kind, false).await else { continue };
        let mut messages: Vec<(usize, (&str, Value))> = life().into_iter().enumerate().collect();
        let length = messages.len();
        match turn {
            0 => {}
            1 => messages.reverse(),
            _ => messages.sort_by_key(|(place, _)| place * 7 % length),
        }
        for _ in 0..2 {
            for (place, (kind, data)) in &messages {
                stage.tell(&format!("msg_{place}"), kind, data).await.unwrap();
            }
        }
        assert_eq!(stage.seen().await, END, "order {turn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_not_revived_by_a_late_message() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(stage) = Stage::set(kind, false).await else { continue };
        for (place, (kind, data)) in life().iter().enumerate() {
            stage.tell(&format!("msg_{place}"), kind, data).await.unwrap();
        }
        stage.tell("msg_gone_user", "user.deleted", &json!({ "id": "user_m", "deleted": true })).await.unwrap();
        stage.tell("msg_late_1", "user.updated", &user("Late", 99)).await.unwrap();
        stage
            .tell("msg_late_2", "organizationMembership.updated", &member("orgmem_m", "user_m", "org:admin", 99))
            .await
            .unwrap();
        assert_eq!(stage.seen().await, ["org_c1 Acme Two active user_o owner", "user_m closed Mia Maria"]);
        stage.tell("msg_gone_org", "organization.deleted", &json!({ "id": "org_c1", "deleted": true })).await.unwrap();
        stage.tell("msg_late_3", "organization.updated", &org("Late", 99)).await.unwrap();
        assert_eq!(stage.seen().await[0], "org_c1 Acme Two closed user_o owner");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_and_comes_back_is_a_member_whatever_comes_last() {
    let Some(stage) = Stage::set(Kind::Sqlite, false).await else { return };
    stage
        .tell("msg_1", "organizationMembership.created", &member("orgmem_1", "user_m", "org:member", 10))
        .await
        .unwrap();
    stage
        .tell("msg_3", "organizationMembership.created", &member("orgmem_2", "user_m", "org:admin", 30))
        .await
        .unwrap();
    stage
        .tell("msg_2", "organizationMembership.deleted", &member("orgmem_1", "user_m", "org:member", 20))
        .await
        .unwrap();
    assert_eq!(stage.seen().await, ["org_c1 Acme active user_m admin"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_a_wrong_signature_is_not_stored() {
    let Some(stage) = Stage::set(Kind::Sqlite, false).await else { return };
    let body = json!({ "object": "event", "type": "organization.created", "data": org("Evil", 10) }).to_string();
    let time = (START.as_micros() / 1_000_000).to_string();
    let delivery = Delivery { raw: body.as_bytes(), id: "msg_1", timestamp: &time, signature: "v1,AAAA" };
    assert!(matches!(receive(&stage.engine, &delivery).await, Err(Error::BadSignature(_))));
    assert_eq!(stage.seen().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_message_lost_a_comparison_ends_at_the_same_state() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(stage) = Stage::set(kind, true).await else { continue };
        let (sandbox, _folder) = stage.sandbox.as_ref().unwrap();
        // A member who is none there any more, of whom no message told.
        stage
            .tell("msg_1", "organizationMembership.created", &member("orgmem_x", "user_x", "org:admin", 5))
            .await
            .unwrap();
        stage.engine.set_now(START.plus(std::time::Duration::from_secs(60)));
        let mut there =
            vec![member("orgmem_o", "user_o", "org:admin", 10), member("orgmem_m", "user_m", "org:billing", 40)];
        for one in &mut there {
            one["organization"] = org("Acme Two", 30);
        }
        let state = json!({ "jwks": { "keys": [] }, "organizations": [org("Acme Two", 30)], "memberships": { "org_c1": there } });
        put_state(&sandbox.base_url(), &state).await;
        let found = reconcile(&stage.engine).await.unwrap();
        assert_eq!((found.orgs, found.memberships), (1, 2));
        assert!(found.drift >= 3, "{found:?}");
        assert_eq!(stage.seen().await, END[..2]);
        let again = reconcile(&stage.engine).await.unwrap();
        assert_eq!(again, Reconciled { drift: 0, ..found });
        invitations(&stage).await;
    }
}

/// People are invited there, and taken back; our table follows.
async fn invitations(stage: &Stage) {
    let scope = stage.engine.scope("org_c1").await;
    let told = invite(&stage.engine, &scope, "New@example.com", Role::Member).await.unwrap();
    assert_eq!((told.email.as_str(), told.role), ("new@example.com", Role::Member));
    assert!(matches!(invite(&stage.engine, &scope, "New@example.com", Role::Member).await, Err(Error::Elsewhere(_))));
    revoke_invitation(&stage.engine, &scope, &told.invitation_id).await.unwrap();
    const OPEN: Statement = Statement::new(
        "test.identity_invitations",
        "SELECT COUNT(*) AS found FROM invitations WHERE revoked_at IS NULL AND accepted_at IS NULL",
    );
    let mut read = stage.engine.engine.db().read().await.unwrap();
    assert_eq!(read.one(&OPEN, &[]).await.unwrap().i64("found").unwrap(), 0);
    assert!(OrgId::parse("org_c1").is_ok());
}

async fn put_state(base_url: &str, state: &Value) {
    let answer = exchange(base_url, "PUT", &state.to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn exchange(base_url: &str, method: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = base_url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} /clerk/state HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_invited_there_and_nobody_is_invited_twice() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(stage) = Stage::set(kind, true).await else { continue };
        let (sandbox, _folder) = stage.sandbox.as_ref().unwrap();
        let members = json!({ "org_c1": [member("orgmem_o", "user_o", "org:admin", 10)] });
        put_state(&sandbox.base_url(), &json!({ "organizations": [org("Acme", 10)], "memberships": members })).await;
        reconcile(&stage.engine).await.unwrap();
        let scope = stage.engine.scope("org_c1").await;
        let whom = |role| members::Invite { email: "New@example.com".to_owned(), role };
        let first = members::invite(&stage.engine, &scope, whom(Role::Member)).await.unwrap();
        assert!(first.code.is_none() && first.invitation.invitation_id.starts_with("orginv_"));
        let second = members::invite(&stage.engine, &scope, whom(Role::Billing)).await.unwrap();
        let again = members::resend(&stage.engine, &scope, &second.invitation.invitation_id).await.unwrap();
        let waiting = members::pending(&stage.engine, &scope, &Paging::default()).await.unwrap().items;
        assert_eq!((waiting.len(), waiting[0].role), (1, Role::Billing), "{waiting:?}");
        assert_eq!(waiting[0].invitation_id, again.invitation.invitation_id);
        members::revoke(&stage.engine, &scope, &again.invitation.invitation_id).await.unwrap();
        let told = get_state(&sandbox.base_url()).await;
        let states: Vec<&str> =
            told["invitations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
        assert_eq!(states, ["revoked", "revoked", "revoked"]);
        let gone = members::revoke(&stage.engine, &scope, &again.invitation.invitation_id).await;
        assert!(matches!(gone, Err(members::Error::NotFound)), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_org_is_the_one_that_is_there_or_is_made_there() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(stage) = Stage::set(kind, true).await else { continue };
        let (sandbox, _folder) = stage.sandbox.as_ref().unwrap();
        put_state(&sandbox.base_url(), &json!({ "organizations": [org("Acme", 10)] })).await;
        let make = async |org_id: Option<&str>, name: &str, key: Option<&str>| {
            let create = orgs::Create {
                name: name.to_owned(),
                owner_user_id: UserId::parse("user_o").unwrap(),
                org_id: org_id.map(|id| OrgId::parse(id).unwrap()),
                email: None,
                timezone: None,
                idempotency_key: key.map(str::to_owned),
            };
            orgs::create(&stage.engine, &stage.engine.operator(), create).await
        };
        let there = make(Some("org_c1"), "Acme", None).await.unwrap();
        assert_eq!(make(Some("org_c1"), "Acme", None).await.unwrap().org_key, there.org_key);
        assert!(matches!(make(Some("org_c1"), "Other", None).await, Err(orgs::Error::Taken)));
        let missing = make(Some("org_nowhere"), "Acme", None).await;
        assert!(matches!(missing, Err(orgs::Error::Invalid { field: "orgId", .. })), "{missing:?}");
        let made = make(None, "New & Sons", Some("once")).await.unwrap();
        assert_eq!(
            make(None, "New & Sons", Some("once")).await.unwrap().org_id,
            made.org_id,
            "a lost answer makes no second one"
        );
        assert_ne!(make(None, "New & Sons", None).await.unwrap().org_id, made.org_id);
        let told = get_state(&sandbox.base_url()).await;
        assert_eq!(told["organizations"].as_array().unwrap().len(), 3, "{told}");
        assert_eq!(told["organizations"][1]["id"], made.org_id.as_str());
    }
}

async fn get_state(base_url: &str) -> Value {
    let answer = exchange(base_url, "GET", "").await;
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}
