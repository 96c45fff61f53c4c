//! Which use case a job runs.

use super::{Claimed, Failure, Kind, Outcome};
use crate::engine::Engine;
use crate::{
    alerts, backup, flags, identity, inbox, mail, metering, notices, operations, provision, retention, tokens,
};

/// Runs a claimed job. Each arm is one call.
pub(super) async fn dispatch(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    match job.kind() {
        Kind::Operation => Box::pin(operations::resume(engine, job)).await,
        Kind::Retention => Box::pin(retention::sweep(engine)).await,
        Kind::Backup => Box::pin(backup::daily(engine)).await,
        Kind::Reconcile => Box::pin(inbox::reconcile::job(engine)).await,
        Kind::Identity => Box::pin(identity::job(engine)).await,
        Kind::SigningKeys => Box::pin(tokens::job(engine)).await,
        Kind::DecideAnew => Box::pin(flags::decide_anew(engine)).await,
        Kind::Mail => Box::pin(mail::send(engine, job)).await,
        Kind::BillingNotice => Box::pin(notices::tell(engine, job)).await,
        Kind::MirrorFollow => Box::pin(provision::follow(engine, job)).await,
        Kind::MeterReport => Box::pin(metering::job(engine)).await,
        Kind::MeterFlush => Box::pin(metering::flush(engine, job)).await,
        Kind::UsageAlerts => Box::pin(alerts::job(engine)).await,
        Kind::UsageReconcile => Box::pin(metering::reconcile_job(engine)).await,
        #[cfg(test)]
        Kind::Probe => Box::pin(super::tests::probe(engine, job)).await,
    }
}

/// Jobs that are there for ever: queued at start where they are missing.
pub(crate) const RECURRING: &[Kind] = &[
    Kind::Retention,
    Kind::Reconcile,
    Kind::Identity,
    Kind::SigningKeys,
    Kind::MeterReport,
    Kind::UsageAlerts,
    Kind::UsageReconcile,
];
