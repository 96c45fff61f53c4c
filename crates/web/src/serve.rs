//! Accepts connections and ends them in good order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::future::Either;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::Service;

use crate::caller::{ClientAddress, Peer};
use crate::state::{Mode, State};

/// Connections open at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 8192;
/// A request's head must have arrived by then; also how long a connection may idle.
const HEAD_SECONDS_MAX: Duration = Duration::from_secs(60);
/// How long running requests may take to end after the shutdown signal.
const DRAIN_SECONDS_MAX: Duration = Duration::from_secs(8);
/// Pause after an accept failed for want of file handles, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves the router on TCP until `shutdown` resolves; then stops accepting, lets running requests end and returns.
///
/// # Errors
/// Only what makes serving impossible; a failing connection ends alone.
pub async fn serve(listener: TcpListener, state: State, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    let tells_peer = state.mode == Mode::Dev;
    let server = Server::new(crate::router(state));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let permit = server.slot().await;
        let accepted = match futures::future::select(shutdown.as_mut(), std::pin::pin!(listener.accept())).await {
            Either::Left(_) => break,
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection would not be set to send at once");
                }
                server.spawn(stream, (peer_of(tells_peer, address), ClientAddress(address.ip())), permit);
            }
            Err(error) => not_accepted(&error).await,
        }
    }
    server.drain().await;
    Ok(())
}

struct Server {
    router: Router,
    slots: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Server {
    fn new(router: Router) -> Self {
        Self { router, slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)), graceful: GracefulShutdown::new() }
    }

    async fn slot(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn spawn<S>(&self, stream: S, from: (Option<Peer>, ClientAddress), permit: tokio::sync::OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(from.1);
            if let Some(peer) = from.0 {
                request.extensions_mut().insert(peer);
            }
            router.clone().call(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_SECONDS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let watched = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }

    async fn drain(self) {
        if tokio::time::timeout(DRAIN_SECONDS_MAX, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in time and were cut off");
        }
    }
}

fn peer_of(tells_peer: bool, address: SocketAddr) -> Option<Peer> {
    (tells_peer && address.ip().to_canonical().is_loopback()).then_some(Peer::Loopback)
}

async fn not_accepted(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
