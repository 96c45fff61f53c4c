//! What runs beside the callers, and how it stops.

use std::future::Future;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::db::{Error, Kind, Lane};
use crate::engine::Engine;
use crate::{accounts, audit, inbox, jobs, keys, ledger, outgoing, plans, tokens};

/// The workers of one process; see [`Engine::start_workers`].
#[derive(Debug)]
pub struct Workers {
    engine: Engine,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Engine {
    /// Starts what runs beside the callers: the jobs, the inbox, the sealer of the audit journal, the ledger's sweep, the uses of keys. Needs a Tokio runtime.
    #[must_use]
    pub fn start_workers(&self) -> Workers {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (runner, told) = (self.clone(), stopped.clone());
        tasks.spawn(async move {
            if let Err(error) = queue_recurring(&runner).await {
                tracing::warn!(%error, "housekeeping could not be queued; the next start tries again");
            }
            jobs::work(runner, told).await;
        });
        tasks.spawn(inbox::worker::run(self.clone(), stopped.clone()));
        tasks.spawn(outgoing::worker::run(self.clone(), stopped.clone()));
        let sealer = self.clone();
        tasks.spawn(every(self.limits().seal_every, stopped.clone(), "seal the audit journal", move || {
            let engine = sealer.clone();
            async move { audit::seal(&engine).await.map(|_| ()) }
        }));
        let ledger = self.clone();
        tasks.spawn(every(self.limits().sweep_every, stopped.clone(), "open what is due in the ledger", move || {
            let engine = ledger.clone();
            async move {
                ledger::sweep(&engine).await.map(|_| ()).map_err(|error| Error::Unavailable(error.to_string()))
            }
        }));
        let uses = self.clone();
        tasks.spawn(every(self.limits().key_uses_every, stopped.clone(), "write down uses of keys", move || {
            let engine = uses.clone();
            async move { keys::write_uses(&engine).await }
        }));
        let seen = self.clone();
        tasks.spawn(every(
            self.limits().people.session_uses_every,
            stopped.clone(),
            "write down uses of sessions",
            move || {
                let engine = seen.clone();
                async move { accounts::write_uses(&engine).await }
            },
        ));
        let sweeper = self.clone();
        tasks.spawn(every(self.limits().ledger_sweep_every, stopped.clone(), "sweep the ledger", move || {
            let engine = sweeper.clone();
            async move { ledger::sweep(&engine).await.map(|_| ()).map_err(Error::from) }
        }));
        if self.db().kind() == Kind::Postgres {
            let hearing = self.clone();
            let pause = self.limits().revocations_heard_every;
            tasks.spawn(every(pause, stopped.clone(), "hear what other nodes revoked", move || {
                let engine = hearing.clone();
                async move { tokens::hear(&engine).await }
            }));
            let plans = self.clone();
            tasks.spawn(every(self.limits().plans_reload_every, stopped, "look for published plans", move || {
                let engine = plans.clone();
                async move { plans::reload(&engine).await }
            }));
        }
        Workers { engine: self.clone(), stop, tasks }
    }
}

impl Workers {
    /// Lets what is running end, for at most `deadline`; what is cut is taken over after the next start. Then writes what waits behind.
    pub async fn drain(mut self, deadline: Duration) {
        let _ = self.stop.send(true);
        let tasks = &mut self.tasks;
        let all = async move { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("workers were cut at the deadline; their leases end by themselves");
        }
        let behind = async {
            keys::write_uses(&self.engine).await?;
            accounts::write_uses(&self.engine).await?;
            audit::seal(&self.engine).await.map(|_| ())
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(1), behind).await, Ok(Ok(()))) {
            tracing::warn!("the last uses of keys or the end of the audit chain wait for the next start");
        }
    }
}

async fn queue_recurring(engine: &Engine) -> Result<(), Error> {
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        for kind in jobs::dispatch::RECURRING {
            let job = jobs::Job {
                kind: *kind,
                key: "recurring".to_owned(),
                org_key: None,
                payload: Value::Null,
                run_at: task.now().plus(Duration::from_secs(60)),
                corr_id: String::new(),
            };
            jobs::enqueue(&task, &mut tx, &job).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// Does something again and again until told to stop. A failure or panic is logged and does not end it.
async fn every<F, Fut>(pause: Duration, mut stop: watch::Receiver<bool>, what: &'static str, turn: F)
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    while !*stop.borrow() {
        tokio::select! {
            _ = stop.changed() => continue,
            () = tokio::time::sleep(pause) => {}
        }
        match tokio::spawn(turn()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to {what}; it is tried again"),
            Err(join) => tracing::error!(%join, "failed to {what}; it is tried again"),
        }
    }
}
