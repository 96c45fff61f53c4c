//! The operator's commands on a server's data: over the admin socket of the running server, else on the files themselves.
//!
//! One request per connection, a line of JSON each way. The socket (mode 0600) is the credential: whoever can open it is the
//! operator. Both ways end in the same [`execute`], so a command means the same with and without a server.

mod execute;
mod keys;
mod ledger;
mod plans;
mod webhooks;
mod what_if;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tollgate_engine::Engine;
use tollgate_sandbox::Sandbox;
use tollgate_web::TimeMachine;

use crate::assemble;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::serving::Stop;

pub(crate) use execute::{backup_failed, execute, operator};
pub(crate) use plans::publish;

/// A request is a few words; a catalog is the longest.
const REQUEST_BYTES_MAX: u64 = 4 << 20;

/// What an operator can ask for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// The business clock.
    Clock,
    /// Moves it.
    Advance {
        /// How far.
        how: How,
    },
    /// Makes a key.
    KeysCreate {
        /// For this org; an operator key when left out.
        org: Option<String>,
        /// What it is called.
        name: String,
        /// What it may do; the default when left out.
        scopes: Option<Vec<String>>,
        /// When it stops working.
        expires_at: Option<String>,
        /// Units it may use of each metric in a period.
        #[serde(default)]
        quota: std::collections::BTreeMap<String, i64>,
    },
    /// Lists the keys of an org, or the operator's.
    KeysList {
        /// Whose.
        org: Option<String>,
    },
    /// Gives a key a new secret.
    KeysRotate {
        /// Whose.
        org: String,
        /// Which.
        key: String,
    },
    /// Ends a key.
    KeysRevoke {
        /// Whose; the operator's when left out.
        org: Option<String>,
        /// Which.
        key: String,
    },
    /// What publishing a catalog would change.
    PlansPlan {
        /// The catalog's text.
        catalog: String,
    },
    /// Publishes a catalog, here and at Stripe.
    PlansApply {
        /// The catalog's text.
        catalog: String,
        /// What must still stand, of a saved plan.
        #[serde(default)]
        expected: Option<BTreeMap<String, String>>,
    },
    /// The catalog in force with what is at Stripe.
    PlansPull,
    /// The ledger folded through another catalog.
    PlansWhatIf {
        /// The other catalog's text.
        catalog: String,
        /// How many seconds back.
        seconds: u64,
    },
    /// Checks the audit journal's chains.
    AuditVerify,
    /// Tries everything the server needs.
    Smoke,
    /// Says what a receipt stands for.
    Explain {
        /// The receipt.
        receipt: String,
    },
    /// Counts the ledger again and compares.
    UsageVerify {
        /// One org, or all.
        org: Option<String>,
    },
    /// Makes counters and rollups anew.
    UsageRebuild {
        /// One org, or all.
        org: Option<String>,
    },
    /// Stripe's events in the inbox.
    WebhooksList {
        /// Which.
        chosen: Chosen,
        /// How many, 1 to 200.
        limit: i64,
    },
    /// Processes events again.
    WebhooksReplay {
        /// These; all that are chosen when empty.
        events: Vec<String>,
        /// Which.
        chosen: Chosen,
        /// Whether to only count them.
        dry_run: bool,
    },
    /// Keeps the world of a running `dev` as a folder.
    WorldKeep {
        /// The folder to make, as an absolute path.
        to: PathBuf,
    },
    /// Copies the embedded database.
    Backup {
        /// The file to make, as an absolute path.
        to: PathBuf,
    },
}

/// Which events are meant; what is `None` does not matter.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Chosen {
    /// `pending`, `done` or `dead`.
    pub(crate) state: Option<String>,
    /// Their kind.
    pub(crate) kind: Option<String>,
    /// Whose object they are about.
    pub(crate) customer: Option<String>,
    /// Received at this time or later.
    pub(crate) from: Option<String>,
    /// Received before this time.
    pub(crate) to: Option<String>,
}

/// How far to move the clock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// By a length.
    By(String),
    /// To a moment.
    To(String),
    /// To the next thing that happens.
    ToNext,
}

/// What a command works on.
pub(crate) struct Context {
    /// The engine.
    pub(crate) engine: Engine,
    /// Only in a running `dev`.
    pub(crate) time_machine: Option<Arc<TimeMachine>>,
    /// Stripe's side and where both sides are kept; only in a running `dev`.
    pub(crate) world: Option<World>,
}

/// What a running `dev` is made of, to be kept as a whole.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Stripe's side.
    pub(crate) sandbox: Sandbox,
    /// Where everything lies.
    pub(crate) data: DataDir,
}

/// What came of a request, as it goes over the socket.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Done(Value),
    Failed { exit: u8, what: String, remedy: Option<String> },
}

/// Asks the running server, or without one works on the files where the command can.
///
/// # Errors
/// The command failed, or needs a server and there is none.
pub(crate) async fn ask(config: &Config, request: Request) -> Result<Value, Failure> {
    if let Some(answer) = ask_running(config, &request).await? {
        return Ok(answer);
    }
    if matches!(request, Request::Clock | Request::Advance { .. }) {
        let what = format!("no `tollgate dev` is running on {}", config.data.display());
        return Err(Failure::new(what)
            .exit(Exit::Unreachable)
            .remedy("Start it, or name its data directory with --data."));
    }
    let context = Context { engine: assemble::offline(config).await?, time_machine: None, world: None };
    let outcome = execute(&context, request).await;
    context.engine.close().await;
    outcome
}

/// Asks the running server; nothing where none runs on the data directory.
///
/// # Errors
/// The command failed, or the socket is somebody else's.
pub(crate) async fn ask_running(config: &Config, request: &Request) -> Result<Option<Value>, Failure> {
    let socket = DataDir::new(&config.data).admin_socket();
    match UnixStream::connect(&socket).await {
        Ok(stream) => over(stream, request).await.map(Some),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(Failure::new(format!("opening {}: {error}", socket.display())).exit(Exit::Denied)),
    }
}

async fn over(stream: UnixStream, request: &Request) -> Result<Value, Failure> {
    let gone = |error: std::io::Error| {
        Failure::new(format!("the server ended before it answered: {error}")).exit(Exit::Unreachable)
    };
    let mut line = serde_json::to_string(request).map_err(Failure::during("writing the request"))?;
    line.push('\n');
    let (reader, mut writer) = stream.into_split();
    writer.write_all(line.as_bytes()).await.map_err(gone)?;
    let mut answer = String::new();
    BufReader::new(reader).read_line(&mut answer).await.map_err(gone)?;
    match serde_json::from_str(&answer) {
        Ok(Reply::Done(data)) => Ok(data),
        Ok(Reply::Failed { exit, what, remedy }) => Err(Failure { exit: Exit::from_number(exit), what, remedy }),
        Err(_) => Err(Failure::new("the server ended before it answered").exit(Exit::Unreachable)),
    }
}

/// Opens the socket; commands that come now wait until it is served.
///
/// # Errors
/// The socket cannot be made.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, Failure> {
    private_socket(path).map_err(Failure::during(format!("opening the admin socket {}", path.display())))
}

/// Serves the socket until told to stop; a request that is running then may end.
pub(crate) async fn serve(listener: UnixListener, context: &Arc<Context>, stop: &Stop) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    running.spawn(answer(stream, Arc::clone(context)));
                }
                Err(error) => tracing::warn!(%error, "a connection to the admin socket could not be accepted"),
            },
            Some(_) = running.join_next() => {}
            () = stop.told() => break,
        }
    }
    while running.join_next().await.is_some() {}
}

async fn answer(stream: UnixStream, context: Arc<Context>) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let read = BufReader::new(reader.take(REQUEST_BYTES_MAX)).read_line(&mut line).await;
    if read.is_err() || line.is_empty() {
        return;
    }
    let outcome = match serde_json::from_str(&line) {
        Ok(request) => execute(&context, request).await,
        Err(error) => Err(Failure::usage(format!("the server does not know this command: {error}"))
            .remedy("Use a tollgate of the server's own version.")),
    };
    let reply = match outcome {
        Ok(data) => Reply::Done(data),
        Err(failure) => Reply::Failed { exit: failure.exit.number(), what: failure.what, remedy: failure.remedy },
    };
    if let Ok(mut text) = serde_json::to_string(&reply) {
        text.push('\n');
        if let Err(error) = writer.write_all(text.as_bytes()).await {
            tracing::debug!(%error, "the asker of an admin command went away");
        }
    }
}

/// Makes the socket so that it is never open to others, not even for a moment: bound under another name inside the data
/// directory (mode 0700), narrowed, then renamed.
fn private_socket(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let fresh = path.with_extension("sock.new");
    for old in [&fresh, path] {
        match std::fs::remove_file(old) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}
