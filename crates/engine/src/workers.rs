//! What runs beside the callers, and how it stops.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::engine::Engine;

/// The workers of one process; see [`Engine::start_workers`].
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Engine {
    /// Starts what runs beside the callers.
    #[must_use]
    pub fn start_workers(&self) -> Workers {
        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(crate::inbox::worker::run(self.clone(), stop.subscribe()));
        Workers { stop, tasks }
    }
}

impl Workers {
    /// Lets what is running end, for at most `deadline`; leases of what is cut are taken over after the next start.
    pub async fn drain(mut self, deadline: Duration) {
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("workers were cut at the deadline; their leases expire by themselves");
        }
    }
}
