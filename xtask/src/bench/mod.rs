//! `cargo xtask bench`: what a call costs, as ratios to a bare server measured in the same run.
//!
//! The measuring runs in a release build of this tool, started by the command itself. Method and figures:
//! `docs/benchmarks.md`.

mod bare;
mod disk;
mod echo;
mod latency;
mod load;
mod report;
mod request;
mod scenario;
mod sql;
mod subject;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::children::Group;
use crate::clock::Stopwatch;
use crate::failure::{Failure, Outcome};
use crate::suite::Postgres;
use crate::workspace;
use bare::Bare;
use scenario::{Calls, Figures};
use subject::{Database, Subject, Tenant};

pub use echo::serve as serve_echo;

/// How much is measured.
#[derive(Clone, Debug)]
struct Sizes {
    round: Duration,
    warm_up: Duration,
    rounds: usize,
    connections: Vec<usize>,
    tenants: usize,
    /// The number of stored events at which everything is measured again.
    events: u64,
}

impl Sizes {
    fn parse(arguments: &[&str]) -> Outcome<Self> {
        let mut sizes = Self {
            round: Duration::from_secs(3),
            warm_up: Duration::from_millis(500),
            rounds: 5,
            connections: vec![64, 256],
            tenants: 16,
            events: 10_000_000,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => {
                    sizes.round = Duration::from_secs(1);
                    sizes.rounds = 3;
                    sizes.events = 200_000;
                }
                "--events" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    sizes.events = number.ok_or_else(|| Failure::new("--events takes a number"))?;
                }
                "--write" => {}
                other => return Err(Failure::new(format!("no option {other}; use --quick, --events N, --write"))),
            }
        }
        Ok(sizes)
    }
}

/// Everything one run measured.
#[derive(Clone, Debug, Default)]
struct Measured {
    syncs: Option<disk::Syncs>,
    binary_bytes: u64,
    start_up: Vec<(String, Duration)>,
    memory_kib: Vec<(String, u64)>,
    passes: Vec<Pass>,
    left_out: Vec<String>,
}

/// One database at one size.
#[derive(Clone, Debug)]
struct Pass {
    title: String,
    calls: Vec<Calls>,
    batch: Figures,
    bare_per_second: Option<u64>,
}

/// Builds the release binaries, then measures with them.
///
/// # Errors
/// A build or the measuring failed.
pub async fn run(arguments: &[&str]) -> Outcome {
    Sizes::parse(arguments)?;
    let mut build = Command::new(workspace::cargo());
    build.args(["build", "--release", "--locked", "-p", "tollgate", "-p", "xtask"]).current_dir(workspace::root());
    if !Group::start(build)?.wait().await?.success() {
        return Err(Failure::new("the release build failed"));
    }
    let mut measure = Command::new(subject::release_binary("xtask")?);
    measure.arg("bench-measure").args(arguments).current_dir(workspace::root());
    let mut group = Group::start(measure)?;
    let status = tokio::select! {
        status = group.wait() => status?,
        _ = crate::children::interrupted() => {
            return group.stop("TERM", Duration::from_secs(30)).await;
        }
    };
    if status.success() { Ok(()) } else { Err(Failure::new("the measuring failed")) }
}

/// Measures; runs in the release build.
///
/// # Errors
/// Something measured did not answer as it must, or we were interrupted.
pub async fn measure(arguments: &[&str]) -> Outcome {
    let sizes = Sizes::parse(arguments)?;
    let run = async {
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(target_directory()?);
        let directory = directory.map_err(Failure::during("making a directory for the run"))?;
        all(&sizes, &directory).await
    };
    let measured = tokio::select! {
        measured = run => measured?,
        _ = crate::children::interrupted() => return Err(Failure::new("interrupted")),
    };
    let text = report::render(&sizes, &measured);
    println!("{text}");
    if arguments.contains(&"--write") { report::write(&text) } else { Ok(()) }
}

fn target_directory() -> Outcome<PathBuf> {
    let binary = subject::release_binary("xtask")?;
    let directory = binary.parent().and_then(Path::parent).map(Path::to_path_buf);
    directory.ok_or_else(|| Failure::new("the release build has no target directory"))
}

async fn all(sizes: &Sizes, directory: &TempDir) -> Outcome<Measured> {
    let tollgate = subject::release_binary("tollgate")?;
    let mut measured = Measured {
        syncs: Some(disk::measure(directory.path(), sizes.round)?),
        binary_bytes: std::fs::metadata(&tollgate).map_or(0, |metadata| metadata.len()),
        ..Measured::default()
    };
    let (echo, echo_at) = start_echo(directory.path()).await?;
    embedded(sizes, directory.path(), &tollgate, echo_at, &mut measured).await?;
    postgres(sizes, directory.path(), &tollgate, echo_at, &mut measured).await?;
    echo.stop("TERM", Duration::from_secs(10)).await?;
    Ok(measured)
}

async fn start_echo(directory: &Path) -> Outcome<(Group, SocketAddr)> {
    let ready_file = directory.join("echo.ready");
    let mut command = Command::new(subject::release_binary("xtask")?);
    command.arg("echo-server").arg(&ready_file);
    let mut group = Group::start(command)?;
    let watch = Stopwatch::start();
    while watch.elapsed() < Duration::from_secs(10) && !group.has_ended() {
        if let Ok(address) = std::fs::read_to_string(&ready_file) {
            let address = address.parse().map_err(Failure::during("reading the echo server's address"))?;
            return Ok((group, address));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(Failure::new("the echo server did not start"))
}

/// The embedded database: fresh, then with many stored events.
async fn embedded(
    sizes: &Sizes,
    directory: &Path,
    tollgate: &Path,
    echo_at: SocketAddr,
    measured: &mut Measured,
) -> Outcome {
    let data = directory.join("embedded");
    let subject = Subject::start(tollgate, &data, &Database::Embedded).await?;
    measured.start_up.push(("new data directory".to_owned(), subject.start_up));
    tokio::time::sleep(Duration::from_secs(2)).await;
    measured.memory_kib.push(("idle after start".to_owned(), subject.resident_kib()));
    let tenants = subject.tenants(sizes.tenants).await?;
    scenario::preload(&subject, &tenants, 100_000).await?;
    let run = Run { sizes, directory, tollgate, echo_at, data: &data, tenants: &tenants };
    let subject = run.pass("SQLite", "SQLite, 10⁵ events stored before", subject, measured).await?;

    println!("storing {} events", sizes.events);
    scenario::preload(&subject, &tenants, sizes.events).await?;
    measured.memory_kib.push((format!("after storing {} events", sizes.events), subject.resident_kib()));
    let title = format!("SQLite, {} events stored before", sizes.events);
    run.pass("SQLite large", &title, subject, measured).await?.stop().await
}

/// PostgreSQL, where it is installed.
async fn postgres(
    sizes: &Sizes,
    directory: &Path,
    tollgate: &Path,
    echo_at: SocketAddr,
    measured: &mut Measured,
) -> Outcome {
    let server = Postgres::start_in(directory).await?;
    let Some(url) = server.url() else {
        measured.left_out.push("PostgreSQL is not installed on this machine".to_owned());
        return Ok(());
    };
    let data = directory.join("with-postgres");
    let subject = Subject::start(tollgate, &data, &Database::Postgres(url.to_owned())).await?;
    measured.start_up.push(("new PostgreSQL database".to_owned(), subject.start_up));
    let tenants = subject.tenants(sizes.tenants).await?;
    scenario::preload(&subject, &tenants, 100_000).await?;
    let mut calls = Vec::new();
    for connections in &sizes.connections {
        calls.push(scenario::calls(sizes, echo_at, &subject, &tenants, *connections).await?);
    }
    let mut batches = Vec::new();
    for _ in 0..sizes.rounds {
        batches.push(scenario::batch(sizes, &subject, &tenants).await?);
    }
    let title = "PostgreSQL, 10⁵ events stored before".to_owned();
    measured.passes.push(Pass { title, calls, batch: scenario::median(batches), bare_per_second: None });
    subject.stop().await?;
    server.stop().await;
    Ok(())
}

/// What the passes on the embedded database share.
struct Run<'a> {
    sizes: &'a Sizes,
    directory: &'a Path,
    tollgate: &'a Path,
    echo_at: SocketAddr,
    data: &'a Path,
    tenants: &'a [Tenant],
}

impl Run<'_> {
    /// Measures calls and batches, the batches beside the bare loop; gives the server back, restarted in between.
    async fn pass(&self, name: &str, title: &str, subject: Subject, measured: &mut Measured) -> Outcome<Subject> {
        println!("{title}");
        subject.stop().await?;
        let copy = self.directory.join(format!("{name}.db"));
        let mut bare = Bare::copy_of(self.data, &copy).await?;
        let subject = Subject::start(self.tollgate, self.data, &Database::Embedded).await?;
        measured.start_up.push((title.to_owned(), subject.start_up));
        let mut calls = Vec::new();
        for connections in &self.sizes.connections {
            let figures = scenario::calls(self.sizes, self.echo_at, &subject, self.tenants, *connections).await?;
            calls.push(figures);
        }
        let (mut batches, mut bare_rates) = (Vec::new(), Vec::new());
        for _ in 0..self.sizes.rounds {
            batches.push(scenario::batch(self.sizes, &subject, self.tenants).await?);
            bare_rates.push(bare.round(scenario::BATCH, self.sizes.round).await?);
        }
        bare_rates.sort_unstable();
        let bare_per_second = bare_rates.get(bare_rates.len() / 2).copied();
        let batch = scenario::median(batches);
        measured.passes.push(Pass { title: title.to_owned(), calls, batch, bare_per_second });
        drop(bare);
        std::fs::remove_file(&copy).map_err(Failure::during("removing the copy"))?;
        Ok(subject)
    }
}
