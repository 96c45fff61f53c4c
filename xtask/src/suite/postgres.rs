//! A PostgreSQL server for one run: its own port, its own directory, real fsync, gone afterwards.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use super::setup;
use super::tally::Tally;
use crate::children::{self, Group};
use crate::failure::{Failure, Outcome};

/// The variable that tells the tests where a PostgreSQL is; set from outside, that one is used.
pub(super) const VARIABLE: &str = "TOLLGATE_TEST_POSTGRES";

/// The server of this run, if there is one.
#[derive(Debug)]
pub struct Postgres {
    url: Option<String>,
    running: Option<(Group, TempDir)>,
}

impl Postgres {
    /// Starts a server, or takes the one named in the environment, or says why there is none.
    ///
    /// # Errors
    /// PostgreSQL is installed and does not start.
    pub(super) async fn start(tally: &mut Tally) -> Outcome<Self> {
        if let Ok(url) = std::env::var(VARIABLE) {
            println!("== PostgreSQL: the one of {VARIABLE}");
            return Ok(Self { url: Some(url), running: None });
        }
        if Owner::find().is_none() {
            tally.skip("PostgreSQL refuses to run as root and there is no user postgres: its tests are left out");
        }
        Self::start_in(&std::env::temp_dir()).await
    }

    /// Starts a server with its files below this directory; without PostgreSQL on this machine there is no address.
    ///
    /// # Errors
    /// PostgreSQL is installed and does not start.
    pub async fn start_in(parent: &Path) -> Outcome<Self> {
        let programs = (setup::program("initdb"), setup::program("postgres"), Owner::find());
        let (Some(initdb), Some(server), Some(owner)) = programs else {
            return Ok(Self { url: None, running: None });
        };
        let directory = owner.directory(parent)?;
        let data = directory.path().join("data");
        owner.initialise(&initdb, &data).await?;
        let port = children::free_port()?;
        let mut group = Group::start(owner.server(&server, &data, port)?)?;
        ready(&mut group, port, &data).await?;
        println!("== PostgreSQL on port {port}, for this run only");
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        Ok(Self { url: Some(url), running: Some((group, directory)) })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Ends the server and removes its directory.
    pub async fn stop(self) {
        let Some((group, directory)) = self.running else { return };
        // SIGINT is PostgreSQL's "fast" shutdown: clients are sent away, data is written.
        if let Err(failure) = group.stop("INT", Duration::from_secs(20)).await {
            println!("stopping PostgreSQL: {failure}");
        }
        drop(directory);
    }
}

/// The user the server runs as: us, or, since it refuses root, the user of its package.
enum Owner {
    Ourselves,
    Package { user: u32, group: u32 },
}

impl Owner {
    fn find() -> Option<Self> {
        if !setup::is_root() {
            return Some(Self::Ourselves);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
        let account = accounts.lines().find(|line| line.starts_with("postgres:"))?;
        let mut fields = account.split(':').skip(2);
        Some(Self::Package { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }

    fn directory(&self, parent: &Path) -> Outcome<TempDir> {
        let doing = "making PostgreSQL's directory";
        let directory = tempfile::Builder::new().prefix("tollgate-pg-").tempdir_in(parent);
        let directory = directory.map_err(Failure::during(doing))?;
        if let Self::Package { user, group } = self {
            std::os::unix::fs::chown(directory.path(), Some(*user), Some(*group)).map_err(Failure::during(doing))?;
        }
        Ok(directory)
    }

    fn command(&self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(home);
        if let Self::Package { user, group } = self {
            command.uid(*user).gid(*group);
        }
        command
    }

    async fn initialise(&self, initdb: &Path, data: &Path) -> Outcome {
        let home = data.parent().unwrap_or(data);
        let mut command = self.command(initdb, home);
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"]);
        let output =
            command.arg(data).stdin(Stdio::null()).output().await.map_err(Failure::during("running initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("initdb: {}", String::from_utf8_lossy(&output.stderr))))
    }

    fn server(&self, server: &Path, data: &Path, port: u16) -> Outcome<Command> {
        let log = std::fs::File::create(log(data)).map_err(Failure::during("making PostgreSQL's log"))?;
        let errors = log.try_clone().map_err(Failure::during("making PostgreSQL's log"))?;
        let mut command = self.command(server, data.parent().unwrap_or(data));
        command.arg("-D").arg(data).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=on",
            "full_page_writes=on",
            "synchronous_commit=on",
            "max_connections=300",
            "shared_buffers=128MB",
        ] {
            command.args(["-c", setting]);
        }
        command.stdout(log).stderr(errors);
        Ok(command)
    }
}

fn log(data: &Path) -> PathBuf {
    data.with_file_name("log")
}

async fn ready(group: &mut Group, port: u16, data: &Path) -> Outcome {
    const ATTEMPTS: u32 = 600;
    for _ in 0..ATTEMPTS {
        if group.has_ended() {
            break;
        }
        let probe = setup::program("pg_isready").unwrap_or_else(|| PathBuf::from("pg_isready"));
        let mut command = Command::new(probe);
        command.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        if command.status().await.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = std::fs::read_to_string(log(data)).unwrap_or_default();
    Err(Failure::new(format!("PostgreSQL did not start:\n{log}")))
}
