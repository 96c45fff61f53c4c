//! Processes we start, each in a group of its own, so that ending one ends what it started and nothing else.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::failure::{Failure, Outcome};

/// A running process and everything it starts. Dropped while running, the whole group is ended.
#[derive(Debug)]
pub struct Group {
    child: Child,
    leader: Option<u32>,
}

impl Group {
    /// Starts the command as the leader of a new process group, without an input.
    ///
    /// # Errors
    /// The program is not there or cannot be started.
    pub fn start(mut command: Command) -> Outcome<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).process_group(0);
        let child = command.spawn().map_err(Failure::during(format!("starting {program}")))?;
        let leader = child.id();
        Ok(Self { child, leader })
    }

    /// The process itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The id of the process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.leader
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// The operating system cannot tell.
    pub async fn wait(&mut self) -> Outcome<ExitStatus> {
        let status = self.child.wait().await.map_err(Failure::during("waiting for a process"))?;
        self.leader = None;
        Ok(status)
    }

    /// Sends the signal (`TERM`, `INT`, …) to the process and waits; what does not end in time is killed.
    ///
    /// # Errors
    /// The operating system refuses to wait.
    pub async fn stop(mut self, signal: &str, patience: Duration) -> Outcome {
        if let Some(leader) = self.leader {
            send(signal, &leader.to_string());
        }
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(ended) => {
                ended.map_err(Failure::during("waiting for a process"))?;
                self.leader = None;
                Ok(())
            }
            Err(_) => Err(Failure::new(format!("a process ignored SIG{signal} for {patience:?} and was killed"))),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            send("KILL", &format!("-{leader}"));
        }
    }
}

/// The standard library can only kill; everything gentler goes through `kill(1)`.
fn send(signal: &str, target: &str) {
    let sent = std::process::Command::new("kill").args(["-s", signal, "--", target]).stderr(Stdio::null()).status();
    if sent.is_err() {
        eprintln!("xtask: no kill(1) on this machine; process {target} may still be running");
    }
}

/// Resolves when someone wants us to stop: Ctrl-C or SIGTERM.
///
/// # Errors
/// Signal handlers cannot be installed.
pub async fn interrupted() -> Outcome {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::during("listening for SIGTERM"))?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A port that was free on loopback a moment ago.
///
/// # Errors
/// Loopback is not usable.
pub fn free_port() -> Outcome<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(Failure::during("looking for a free port"))?;
    Ok(listener.local_addr().map_err(Failure::during("looking for a free port"))?.port())
}
