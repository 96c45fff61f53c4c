//! What `dev` and `serve` have in common: listening, being ready, serving until told to stop, draining.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tollgate_engine::Engine;
use tollgate_sandbox::Sandbox;
use tollgate_web::State;

use crate::admin;
use crate::data_dir::{DataDir, write_whole};
use crate::failure::Failure;
use crate::output;

/// How many ports above the default `dev` tries.
const PORTS_TRIED_MAX: u16 = 20;

/// What workers may take to end after the last request; together with the requests' own 8 s it stays below 10 s.
const WORKERS_DRAIN_SECONDS_MAX: Duration = Duration::from_millis(1_500);

/// May `dev` move to the next free port?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The person named it: another one would surprise.
    AsNamed,
    /// It is only the default.
    NextFree,
}

/// The addresses to try in turn.
pub(crate) fn candidates(address: SocketAddr, port: Port) -> Vec<SocketAddr> {
    let more = if port == Port::NextFree { PORTS_TRIED_MAX } else { 0 };
    let ports = (0..=more).filter_map(|step| address.port().checked_add(step));
    ports.map(|port| SocketAddr::new(address.ip(), port)).collect()
}

/// Binds the address of the API.
///
/// # Errors
/// It is taken, or not ours; the failure names the setting.
pub(crate) async fn listen(address: SocketAddr, port: Port) -> Result<TcpListener, Failure> {
    for candidate in candidates(address, port) {
        match TcpListener::bind(candidate).await {
            Ok(listener) => {
                if candidate != address {
                    output::message(&format!("tollgate: {address} is taken, using {candidate} instead"));
                }
                return Ok(listener);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => {
                let failure = Failure::new(format!("listening on {candidate}: {error}"));
                return Err(failure.remedy("Choose an address of this machine with --listen / TOLLGATE_LISTEN."));
            }
        }
    }
    Err(taken(address, "--listen / TOLLGATE_LISTEN"))
}

/// The failure for a port that is taken.
pub(crate) fn taken(address: SocketAddr, setting: &str) -> Failure {
    Failure::new(format!("{address} is taken by another program"))
        .remedy(format!("Choose another address with {setting}, or port 0 for a free one."))
}

/// The address that clients on this machine use.
pub(crate) fn base_url(listener: &TcpListener) -> Result<String, Failure> {
    let address = listener.local_addr().map_err(Failure::during("asking for the address listened on"))?;
    let host = if address.ip().is_unspecified() { String::from("127.0.0.1") } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("http://{host}:{}", address.port()))
}

/// Starts collecting metrics.
///
/// # Errors
/// They are being collected already.
pub(crate) fn metrics() -> Result<PrometheusHandle, Failure> {
    PrometheusBuilder::new().install_recorder().map_err(Failure::during("starting the metrics"))
}

/// Says in a file, atomically, that the server is ready.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn ready(
    path: Option<&Path>,
    api: &str,
    sandbox: Option<&str>,
    operator_key: Option<&str>,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let told = json!({"api": api, "sandbox": sandbox, "operatorKey": operator_key, "pid": std::process::id()});
    write_whole(path, &format!("{told}\n"))
}

/// A server that is assembled and bound, but answers nobody yet.
pub(crate) struct Server {
    /// Where it is bound.
    pub(crate) listener: TcpListener,
    /// What the routes work with.
    pub(crate) state: State,
    /// Where operator commands come in.
    pub(crate) admin: UnixListener,
    /// Its data directory.
    pub(crate) data: DataDir,
    /// Stripe's side, where it is this process's own.
    pub(crate) sandbox: Option<Sandbox>,
}

/// Resolves when this process is asked to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens for SIGTERM and Ctrl-C; a second one ends the process at once.
    ///
    /// # Errors
    /// The operating system gives no signals.
    pub(crate) fn on_signals() -> Result<Stop, Failure> {
        let (sender, receiver) = watch::channel(false);
        let during = |error| Failure::during("listening for signals")(error);
        let mut terminate = signal(SignalKind::terminate()).map_err(during)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(during)?;
        tokio::spawn(async move {
            for times in 1..=2 {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if times == 2 {
                    std::process::exit(130);
                }
                // Nobody listening any more means that everything has ended already.
                let _ended = sender.send(true);
            }
        });
        Ok(Stop(receiver))
    }

    /// Waits for it.
    pub(crate) async fn told(&self) {
        let mut receiver = self.0.clone();
        // The sender lives in a task that never ends before the process does.
        let _closed = receiver.wait_for(|told| *told).await;
    }
}

impl Server {
    /// Serves until told to stop, with `beside` running next to it; then drains requests and workers and closes the database.
    ///
    /// # Errors
    /// Serving became impossible.
    pub(crate) async fn run(self, stop: &Stop, beside: impl Future<Output = ()> + Send) -> Result<(), Failure> {
        let engine: Engine = self.state.engine.clone();
        let workers = engine.start_workers();
        let world = self.sandbox.map(|sandbox| admin::World { sandbox, data: self.data.clone() });
        let time_machine = self.state.time_machine.clone();
        let context = Arc::new(admin::Context { engine: engine.clone(), time_machine, world });
        let (served, (), ()) = tokio::join!(
            tollgate_web::serve(self.listener, self.state, stop.told()),
            admin::serve(self.admin, &context, stop),
            until_stopped(beside, stop),
        );
        // Somebody may have removed it already; the next start makes it anew either way.
        let _removed = std::fs::remove_file(self.data.admin_socket());
        workers.drain(WORKERS_DRAIN_SECONDS_MAX).await;
        engine.close().await;
        served.map_err(Failure::during("serving"))
    }
}

async fn until_stopped(beside: impl Future<Output = ()> + Send, stop: &Stop) {
    tokio::select! {
        () = beside => {}
        () = stop.told() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Port, candidates, listen};

    #[tokio::test]
    async fn a_default_port_that_is_taken_gives_way_to_the_next_and_a_named_one_does_not() {
        let taken = listen("127.0.0.1:0".parse().unwrap(), Port::AsNamed).await.unwrap();
        let address = taken.local_addr().unwrap();
        let failure = listen(address, Port::AsNamed).await.unwrap_err();
        assert!(failure.to_string().contains("--listen"), "{failure}");
        let next = listen(address, Port::NextFree).await.unwrap();
        assert!(next.local_addr().unwrap().port() > address.port());
    }

    #[test]
    fn ports_end_at_the_last_one() {
        assert_eq!(candidates("127.0.0.1:65534".parse().unwrap(), Port::NextFree).len(), 2);
    }
}
