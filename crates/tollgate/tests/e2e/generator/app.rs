//! A generated app as a process, and people who use it beside `tollgate dev`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Project;
use crate::api::http;
use crate::database::Database;
use crate::server::Server;

const WEBHOOK_SECRET: &str = "whsec_app";
const PASSWORD: &str = "correct horse battery";

/// Sign up, verify, invite, accept, create, a foreign id, a webhook, the hard stop, the upgrade, and a call that passes.
pub(super) async fn through_the_gate(project: &Project, database: &Database, program: &[String]) {
    let server = Server::dev(&Database::Embedded).await;
    let app = App::start(project, database, (program, Some(&server))).await;
    let owner = app.owner("owner@example.com").await;
    let invited = json!({"email": "guest@example.com", "role": "member"});
    assert_eq!(app.call("POST", "/invitations", &owner, &invited).await.0, 201);
    let code = app.code("guest@example.com", "code");
    let mut guest = app.person("guest@example.com").await;
    assert_eq!(app.call("POST", "/invitations/accept", &guest, &json!({"code": code})).await.0, 200);
    guest.organization.clone_from(&owner.organization);
    let (status, made) = app.call("POST", "/projects", &guest, &json!({"name": "Bridge"})).await;
    assert_eq!(status, 201, "{made}");
    let other = app.owner("other@example.com").await;
    let path = format!("/projects/{}", made["id"].as_str().unwrap());
    assert_eq!(app.call("GET", &path, &other, &Value::Null).await.0, 404, "a foreign id looks like none");
    app.trial_webhook(&owner).await;
    let operator = server.operator();
    let left = operator.get(&format!("/api/me/entitlements.read?orgId={}", owner.organization)).await.data();
    assert_eq!(left["used"], 1, "the one call of this organization was counted");
    let rest = left["remaining"].as_i64().unwrap();
    let spent = json!({"orgId": owner.organization, "metric": "api_call", "value": rest, "request_id": "the rest"});
    operator.ok("/api/usage/record", &spent).await;
    let (status, denial) = app.call("GET", "/projects", &owner, &Value::Null).await;
    assert_eq!((status, &denial["error"]["code"]), (429, &json!("quota_exceeded")), "{denial}");
    let card = json!({"orgId": owner.organization, "paymentMethodId": "pm_card_visa"});
    operator.ok("/api/payments/default-method.set", &card).await;
    operator.ok("/api/plans/upgrade.now", &json!({"orgId": owner.organization, "newPlanCode": "growth"})).await;
    let (status, projects) = app.call("GET", "/projects", &owner, &Value::Null).await;
    assert_eq!((status, &projects[0]["name"]), (200, &json!("Bridge")));
}

/// The app as it was regenerated, without the gate, on the database that the one before it left: who was there signs in,
/// finds what was made, and makes what is new.
pub(super) async fn keeps_its_rows(project: &Project, database: &Database, program: &[String]) {
    let app = App::start(project, database, (program, None)).await;
    let mut owner = app.signed_in("owner@example.com").await;
    let (_, organizations) = app.call("GET", "/organizations", &owner, &Value::Null).await;
    owner.organization = organizations[0]["id"].as_str().unwrap().to_owned();
    let (status, projects) = app.call("GET", "/projects", &owner, &Value::Null).await;
    assert_eq!((status, &projects[0]["name"]), (200, &json!("Bridge")));
    let label = json!({"name": "urgent", "hidden": true, "project_id": projects[0]["id"]});
    let (status, made) = app.call("POST", "/labels", &owner, &label).await;
    assert_eq!((status, &made["hidden"]), (201, &json!(true)), "{made}");
    let task = json!({"headline": "Paint it", "done": false, "project_id": projects[0]["id"]});
    assert_eq!(app.call("POST", "/tasks", &owner, &task).await.0, 201);
    let path = format!("/projects/{}", projects[0]["id"].as_str().unwrap());
    assert_eq!(app.call("DELETE", &path, &owner, &Value::Null).await.0, 409, "a label and a task refer to it");
    let counters = http().get(format!("{}/metrics", app.url)).send().await.unwrap();
    assert_eq!(counters.status().as_u16(), 200, "whoever is on this machine may read the counters");
    assert!(counters.text().await.unwrap().contains("http_requests_total{"));
    let proxied = http().get(format!("{}/metrics", app.url)).header("x-forwarded-for", "127.0.0.1");
    assert_eq!(proxied.send().await.unwrap().status().as_u16(), 401, "what a proxy hands on is not this machine");
}

/// The generated app as a process. Dropped, it is killed.
struct App {
    child: Child,
    url: String,
    mail: PathBuf,
}

#[derive(Clone, Default)]
struct Caller {
    token: String,
    organization: String,
    user: String,
}

impl App {
    async fn start(project: &Project, database: &Database, (program, server): (&[String], Option<&Server>)) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mail = project.place.path().join("mail");
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).current_dir(project.at("backend")).env_clear();
        command.stdout(Stdio::null()).stderr(File::create(project.place.path().join("app.log")).unwrap());
        command.envs([
            ("LISTEN", format!("127.0.0.1:{port}").as_str()),
            ("SECRET_KEY", "a secret of the tests, 32 characters"),
            ("MAIL_FOLDER", &mail.to_string_lossy()),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ]);
        if let Some(server) = server {
            command.envs([("TOLLGATE_URL", &server.api), ("TOLLGATE_KEY", &server.operator_key)]);
        }
        command.envs(database.url().map(|url| ("DATABASE_URL", url)));
        let app = Self { child: command.spawn().unwrap(), url: format!("http://127.0.0.1:{port}"), mail };
        for _ in 0..600 {
            if http().get(format!("{}/health", app.url)).send().await.is_ok() {
                return app;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(project.place.path().join("app.log")).unwrap_or_default();
        panic!("the generated app did not start:\n{log}");
    }

    async fn call(&self, method: &str, path: &str, caller: &Caller, body: &Value) -> (u16, Value) {
        let request = http().request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = request.bearer_auth(&caller.token).header("x-organization-id", &caller.organization);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
    }

    /// What stands behind `name=` in the letter to an address.
    fn code(&self, to: &str, name: &str) -> String {
        let letters =
            std::fs::read_dir(&self.mail).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let plain = letters.map(|text| text.replace("=\r\n", "").replace("=3D", "="));
        let wanted = format!("{name}=");
        let letter = plain.into_iter().find(|text| text.contains(&format!("To: {to}")) && text.contains(&wanted));
        let letter = letter.expect("a letter came");
        let (_, rest) = letter.rsplit_once(&wanted).unwrap();
        rest.chars().take_while(char::is_ascii_alphanumeric).collect()
    }

    async fn person(&self, email: &str) -> Caller {
        let nobody = Caller::default();
        let credentials = json!({"email": email, "password": PASSWORD});
        assert_eq!(self.call("POST", "/auth/sign-up", &nobody, &credentials).await.0, 201);
        let token = json!({"token": self.code(email, "token")});
        assert_eq!(self.call("POST", "/auth/verify-email", &nobody, &token).await.0, 200);
        self.signed_in(email).await
    }

    async fn signed_in(&self, email: &str) -> Caller {
        let nobody = Caller::default();
        let credentials = json!({"email": email, "password": PASSWORD});
        let (_, session) = self.call("POST", "/auth/sign-in", &nobody, &credentials).await;
        let mut caller = Caller { token: session["access_token"].as_str().unwrap().to_owned(), ..nobody };
        caller.user = self.call("GET", "/auth/me", &caller, &Value::Null).await.1["id"].as_str().unwrap().to_owned();
        caller
    }

    async fn owner(&self, email: &str) -> Caller {
        let mut caller = self.person(email).await;
        let (status, organization) = self.call("POST", "/organizations", &caller, &json!({"name": "Acme"})).await;
        assert_eq!(status, 201, "{organization}");
        caller.organization = organization["id"].as_str().unwrap().to_owned();
        caller
    }

    async fn trial_webhook(&self, owner: &Caller) {
        let object =
            json!({"id": "sub_1", "customer": "cus_1", "status": "trialing", "metadata": {"user_id": owner.user}});
        let body =
            json!({"id": "evt_1", "type": "customer.subscription.created", "created": 1, "data": {"object": object}})
                .to_string();
        let time = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = http()
            .post(format!("{}/billing/webhook", self.url))
            .header("stripe-signature", format!("t={time},v1={hex}"));
        assert_eq!(request.body(body).send().await.unwrap().status().as_u16(), 200);
        let (_, me) = self.call("GET", "/auth/me", owner, &Value::Null).await;
        assert_eq!((&me["subscription_status"], &me["stripe_customer_id"]), (&json!("trialing"), &json!("cus_1")));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
