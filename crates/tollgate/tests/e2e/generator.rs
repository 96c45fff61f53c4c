//! Starter apps: the commands, the generated app's own checks, and the app beside `tollgate dev`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::api::http;
use crate::database::Database;
use crate::server::{Server, tollgate};

const WEBHOOK_SECRET: &str = "whsec_app";

/// A generated project in a directory of its own.
struct Project {
    place: TempDir,
}

impl Project {
    fn generated() -> Self {
        let project = Self { place: tempfile::tempdir().unwrap() };
        let (code, told) = project.run(&["generate", "board"]);
        assert_eq!(code, 0, "{told}");
        project
    }

    /// A command in this place: its exit code, and all it said.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let output = tollgate().args(words).current_dir(self.place.path()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code().unwrap_or(-1), text.concat())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join("production_projects/board").join(path)
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.at(path)).unwrap();
        assert!(text.contains(from), "{path} has {from:?}");
        std::fs::write(self.at(path), text.replacen(from, to, 1)).unwrap();
    }

    /// Runs cargo in the app with this workspace's lock and target directory.
    fn cargo(&self, words: &[&str]) {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let lock = self.at("backend/Cargo.lock");
        if !lock.exists() {
            std::fs::copy(workspace.join("Cargo.lock"), &lock).unwrap();
        }
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let target = workspace.join("target").canonicalize().unwrap();
        let output =
            Command::new(cargo).args(words).env("CARGO_TARGET_DIR", target).current_dir(self.at("backend")).output();
        let output = output.unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "cargo {words:?} in the generated app:\n{}", text.concat());
    }

    /// What the app's workflow files run, read from them.
    fn run_workflow(&self, name: &str) {
        let text = std::fs::read_to_string(self.at(&format!(".github/workflows/{name}.yml"))).unwrap();
        let steps: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- run: cargo ")).collect();
        assert!(!steps.is_empty(), "{name}.yml runs something");
        steps.iter().for_each(|step| self.cargo(&step.split(' ').collect::<Vec<_>>()));
    }
}

#[test]
fn an_example_is_printed_and_wrong_names_and_descriptions_are_refused() {
    let project = Project { place: tempfile::tempdir().unwrap() };
    let (code, example) = project.run(&["generate", "--example"]);
    assert_eq!(code, 0);
    let spec = project.place.path().join("app.toml");
    std::fs::write(&spec, example.replace("features =", "colour = 1\nfeatures =")).unwrap();
    let (code, told) = project.run(&["generate", "board", "--spec", "app.toml"]);
    assert_eq!((code, told.contains("tollgate.app.toml:10: unknown field `colour`")), (1, true), "{told}");
    assert!(!project.place.path().join("production_projects").exists(), "nothing was written");
    for name in ["../up", "a/b", "/abs", "Upper"] {
        assert_eq!(project.run(&["generate", name]).0, 64, "{name}");
    }
    assert_eq!(project.run(&["apply-plan", "missing"]).0, 5);
}

#[test]
fn the_thin_wrapper_runs_the_binary() {
    let project = Project::generated();
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/apply_plan.py");
    let mut command = Command::new("python3");
    command.arg(wrapper).args(["--dry-run", "board"]).env("TOLLGATE_BIN", env!("CARGO_BIN_EXE_tollgate"));
    let Ok(status) = command.current_dir(project.place.path()).stdout(Stdio::null()).status() else {
        println!("SKIPPED: python3 is not installed: tools/apply_plan.py is not run");
        return;
    };
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn the_rust_app_works_beside_tollgate_and_takes_a_new_description_over_edits() {
    let project = Project::generated();
    project.run_workflow("lint");
    project.cargo(&["build"]);
    through_the_gate(&project).await;
    regenerate_over_edits(&project);
    project.run_workflow("unit");
}

/// An entity with what the example has not: a feature of plans, and fields that may be missing.
const LABEL: &str = "\
[entities.label]
feature = \"labels\"
[entities.label.fields]
name = \"string\"
rank = \"integer?\"
hidden = \"boolean?\"
project = \"ref:project?\"

[entities.task]";

fn regenerate_over_edits(project: &Project) {
    project.edit(
        "backend/src/models/task.rs",
        "    pub title: String,",
        "    /// As its author wrote it.\n    pub title: String,",
    );
    project.edit("README.md", "cargo test", "cargo test --all-targets");
    project.edit("tollgate.app.toml", "title = \"string\"", "headline = \"string\"\ncolour = \"string?\"");
    project.edit("tollgate.app.toml", "[entities.task]", LABEL);
    let (code, told) = project.run(&["generate", "board"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("! conflict  backend/src/models/task.rs"), "{told}");
    assert!(told.contains("+ create    backend/src/models/label.rs"), "{told}");
    assert!(told.contains("0005_change_tasks.sql  DESTRUCTIVE"), "{told}");
    assert_eq!(project.run(&["apply-plan", "--dry-run", "board"]).0, 3);
    assert!(!project.at("backend/src/models/label.rs").exists(), "a dry run touches nothing");
    let (code, told) = project.run(&["apply-plan", "--apply", "board"]);
    assert_eq!(code, 3, "{told}");
    let model = std::fs::read_to_string(project.at("backend/src/models/task.rs")).unwrap();
    assert!(model.contains("As its author wrote it."), "the edited file is as it was");
    let (code, told) = project.run(&["apply-plan", "resolve", "board", "backend/src/models/task.rs", "--theirs"]);
    assert_eq!(code, 0, "{told}");
    let readme = std::fs::read_to_string(project.at("README.md")).unwrap();
    assert!(readme.contains("--all-targets") && readme.contains("/labels"), "both changes are in it");
    assert_eq!(project.run(&["generate", "board"]).0, 0, "nothing is left to do");
}

/// Sign up, verify, invite, accept, create, a foreign id, a webhook, the hard stop, the upgrade, and a call that passes.
async fn through_the_gate(project: &Project) {
    let server = Server::dev(&Database::Embedded).await;
    let app = App::start(project, &server).await;
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
    async fn start(project: &Project, server: &Server) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let binary = Path::new(env!("CARGO_BIN_EXE_tollgate")).with_file_name("board");
        let mail = project.place.path().join("mail");
        let mut command = Command::new(binary);
        command.current_dir(project.at("backend")).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
        command.envs([
            ("LISTEN", format!("127.0.0.1:{port}").as_str()),
            ("SECRET_KEY", "a secret of the tests, 32 characters"),
            ("MAIL_FOLDER", &mail.to_string_lossy()),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("TOLLGATE_URL", &server.api),
            ("TOLLGATE_KEY", &server.operator_key),
        ]);
        let app = Self { child: command.spawn().unwrap(), url: format!("http://127.0.0.1:{port}"), mail };
        for _ in 0..600 {
            if http().get(format!("{}/health", app.url)).send().await.is_ok() {
                return app;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the generated app did not start");
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
        let credentials = json!({"email": email, "password": "correct horse battery"});
        assert_eq!(self.call("POST", "/auth/sign-up", &nobody, &credentials).await.0, 201);
        let token = json!({"token": self.code(email, "token")});
        assert_eq!(self.call("POST", "/auth/verify-email", &nobody, &token).await.0, 200);
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
