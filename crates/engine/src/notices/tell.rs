//! The job that tells of one occasion.

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::subscription::grace_end;

use super::letters::{About, letter};
use super::{Kind, Occasion, sql};
use crate::db::{Error, Lane, Tx};
use crate::engine::Engine;
use crate::jobs::{Claimed, Failure, Outcome};
use crate::subscriptions::{self, Mirror};
use crate::{invoices, mail, plans};

/// Tells of the occasion that the job names, if it is still so and was not told yet.
pub(crate) async fn tell(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let occasion = Occasion::parse(job.key()).ok_or_else(|| Failure::Dead("the job names no occasion".to_owned()))?;
    let Some(org_key) = job.org_key() else { return Err(Failure::Dead("the job names no org".to_owned())) };
    let (task, ours) = (engine.clone(), job.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if ours.still_ours(&mut tx).await? {
            tell_in(&task, &mut tx, org_key, &occasion).await?;
        }
        tx.commit().await
    };
    engine.db().detached::<_, Error, _>(write).await?;
    engine.wake_workers();
    Ok(Outcome::Done)
}

async fn tell_in(engine: &Engine, tx: &mut Tx, org_key: OrgKey, occasion: &Occasion) -> Result<(), Error> {
    let mirrors = subscriptions::sql::mirrors(tx, org_key).await?;
    let found = mirrors.into_iter().find(|mirror| mirror.subscription_id == occasion.subscription_id);
    let Some(mirror) = found.filter(|mirror| holds(occasion, mirror)) else { return Ok(()) };
    if !sql::insert(tx, org_key, occasion, engine.now()).await? {
        return Ok(());
    }
    metrics::counter!("tollgate_billing_notices_total", "kind" => occasion.kind.as_str()).increment(1);
    let plan = match &mirror.plan {
        Some((code, version)) => plans::version(engine, tx, code, *version).await?,
        None => None,
    };
    let invoice = match &mirror.latest_invoice {
        Some(id) => invoices::sql::stored(tx, org_key, id).await?,
        None => None,
    };
    let customer = subscriptions::sql::customer(tx, org_key).await?;
    let (org_name, readers) = sql::readers(tx, org_key).await?;
    let letter = letter(&About {
        kind: occasion.kind,
        org_name: &org_name,
        plan_name: plan.as_ref().map_or("the plan", |plan| plan.name.as_str()),
        until: match occasion.kind {
            Kind::TrialWillEnd => occasion.moment,
            _ => grace_end(&mirror.state(), plan.as_ref().map_or(0, |plan| plan.grace_days)),
        },
        has_method: mirror.default_payment_method.is_some()
            || customer.is_some_and(|customer| customer.default_payment_method.is_some()),
        invoice_url: invoice.as_ref().and_then(|invoice| invoice.url.as_deref()),
    });
    for to in &readers {
        let queued = mail::Queued { to, org_key: Some(org_key), letter: &letter, corr_id: "" };
        mail::queue(engine, tx, &queued).await?;
    }
    Ok(())
}

/// Whether it is still so.
fn holds(occasion: &Occasion, mirror: &Mirror) -> bool {
    let status = mirror.status;
    match occasion.kind {
        Kind::PaymentFailed => status == SubscriptionStatus::PastDue,
        Kind::PaymentRecovered => matches!(status, SubscriptionStatus::Active | SubscriptionStatus::Trialing),
        Kind::AccessEnded => {
            matches!(status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid | SubscriptionStatus::Canceled)
                && mirror.past_due_since.is_none_or(|since| since <= occasion.moment)
        }
        // Who has given notice already knows.
        Kind::TrialWillEnd => {
            status == SubscriptionStatus::Trialing
                && mirror.cancel_at.is_none()
                && mirror.trial.is_some_and(|trial| trial.end.as_seconds() == occasion.moment.as_seconds())
        }
    }
}
