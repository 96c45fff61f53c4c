//! A `tollgate` process of a test's own: started on free ports, awaited by its ready-file, ended by its process id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::api::Api;
use crate::database::Database;

/// Longer than any start on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How to start one.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) data: PathBuf,
}

impl Options {
    /// `tollgate dev` without seeds on free ports.
    pub(crate) fn dev(data: &Path, database: &Database) -> Self {
        let words =
            ["dev", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--no-open", "--seed", "empty"];
        Self::new(&words, data, database)
    }

    /// `tollgate serve` on a free port.
    pub(crate) fn serve(data: &Path, database: &Database) -> Self {
        Self::new(&["serve", "--listen", "127.0.0.1:0"], data, database)
    }

    fn new(words: &[&str], data: &Path, database: &Database) -> Self {
        let mut options = Self { arguments: Vec::new(), variables: Vec::new(), data: data.to_owned() };
        options.arguments.extend(words.iter().map(|word| (*word).to_owned()));
        match database.url() {
            Some(url) => options.variable("DATABASE_URL", url),
            None => options,
        }
    }

    /// With more words on the command line.
    pub(crate) fn arguments(mut self, words: &[&str]) -> Self {
        self.arguments.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// With a variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    options: Options,
    /// Kept until the server is gone.
    place: Option<TempDir>,
    ready_file: PathBuf,
    pub(crate) api: String,
    pub(crate) sandbox: String,
    pub(crate) operator_key: String,
    /// From starting the process until the ready-file was there.
    pub(crate) started_in: Duration,
}

/// The binary under test, without variables of the person who runs the tests.
pub(crate) fn tollgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Server {
    /// `tollgate dev` without seeds on a directory of its own.
    pub(crate) async fn dev(database: &Database) -> Server {
        Server::dev_with(database, &[]).await
    }

    /// The same with more words on the command line.
    pub(crate) async fn dev_with(database: &Database, words: &[&str]) -> Server {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let data = place.path().join("data");
        let mut server = Server::start(Options::dev(&data, database).arguments(words)).await;
        server.place = Some(place);
        server
    }

    /// Starts one and waits until it is ready.
    pub(crate) async fn start(options: Options) -> Server {
        match Server::try_start(options).await {
            Ok(server) => server,
            Err(log) => panic!("the server did not become ready:\n{log}"),
        }
    }

    /// Starts one; the log when it ends instead of becoming ready.
    pub(crate) async fn try_start(options: Options) -> Result<Server, String> {
        let ready_file = options.data.with_extension("ready");
        let _absent = std::fs::remove_file(&ready_file);
        let log = File::options().create(true).append(true).open(options.data.with_extension("log"));
        let log = log.expect("a log can be written beside the data directory");
        let mut command = tollgate();
        command.args(&options.arguments).arg("--data").arg(&options.data).arg("--ready-file").arg(&ready_file);
        command.envs(options.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(options.data.parent().expect("the data directory has a parent"));
        command.stdout(log.try_clone().expect("the log can be shared")).stderr(log);
        let begun = Instant::now();
        let mut child = command.spawn().expect("the binary starts");
        while begun.elapsed() < READY_WITHIN {
            let written = std::fs::read_to_string(&ready_file).unwrap_or_default();
            if let Ok(told) = serde_json::from_str::<Value>(&written) {
                let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
                assert_eq!(told["pid"].as_u64(), Some(u64::from(child.id())), "the ready-file names this process");
                let started_in = begun.elapsed();
                let (api, sandbox) = (text("api"), text("sandbox"));
                // `serve` writes no key down: it has the one it was given.
                let given = options.variables.iter().find(|(name, _)| name == "TOLLGATE_OPERATOR_KEY");
                let operator_key = given.map_or_else(|| text("operatorKey"), |(_, key)| key.clone());
                return Ok(Server { child, options, place: None, ready_file, api, sandbox, operator_key, started_in });
            }
            if child.try_wait().expect("the process can be asked").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let _ended = child.kill();
        let _reaped = child.wait();
        Err(std::fs::read_to_string(options.data.with_extension("log")).unwrap_or_default())
    }

    /// Calls as the operator.
    pub(crate) fn operator(&self) -> Api {
        Api::new(&self.api, &self.operator_key)
    }

    /// Calls with this key.
    pub(crate) fn with_key(&self, key: &str) -> Api {
        Api::new(&self.api, key)
    }

    /// Tells its sandbox what goes wrong from now on.
    pub(crate) async fn faults(&self, wanted: &Value) {
        let request = crate::api::http().post(format!("{}/sandbox/faults", self.sandbox)).bearer_auth("sk_test_e2e");
        let request = request.header("Content-Type", "application/json").body(wanted.to_string());
        let answer = request.send().await.expect("the sandbox answers");
        assert_eq!(answer.status().as_u16(), 200, "{wanted}");
    }

    /// A call to Stripe's API at its sandbox, as somebody else would make it.
    pub(crate) async fn stripe(&self, method: reqwest::Method, path: &str, form: &str) -> Value {
        let request = crate::api::http().request(method, format!("{}{path}", self.sandbox)).bearer_auth("sk_test_e2e");
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned());
        let text = request.send().await.expect("the sandbox answers").text().await.expect("with a body");
        serde_json::from_str(&text).expect("in JSON")
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> &Path {
        &self.options.data
    }

    /// What it has written to stdout and stderr.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.options.data.with_extension("log")).unwrap_or_default()
    }

    /// A command on its data directory: exit code, stdout, stderr.
    pub(crate) fn command(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = tollgate();
        command.args(words).arg("--data").arg(self.data());
        command.envs(self.options.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.data().parent().expect("the data directory has a parent"));
        let output = command.output().expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Sends SIGTERM and waits; how it ended, and how long that took.
    pub(crate) async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let sent = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill(1) is there").success(), "the server is still running");
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return (status, begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("SIGTERM was ignored for 30 s:\n{}", self.log());
    }

    /// Starts again what has ended, with the same options.
    pub(crate) async fn restart(mut self) -> Server {
        let place = self.place.take();
        let options = self.options.clone();
        drop(self);
        let mut server = Server::start(options).await;
        server.place = place;
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _absent = std::fs::remove_file(&self.ready_file);
        if std::thread::panicking() {
            eprintln!("---- the server's log\n{}", self.log());
        }
    }
}
