//! Changes of a running subscription: what they would cost, and undoing what was not paid.

use tollgate_rules::ids::{CustomerId, InvoiceId, SubscriptionId};

use super::{
    Anchor, Billing, Error, IdempotencyKey, PreviewFact, ScheduleFact, SchedulePhases, SubscriptionChange, subscribed,
};
use crate::billing::Subscribed;
use crate::stripe::translate;

impl Billing {
    /// What a change would be charged now. Nothing is stored.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when the change cannot be made, for example a proration instant outside the period.
    pub async fn preview_change(
        &self,
        customer_id: &CustomerId,
        id: &SubscriptionId,
        change: &SubscriptionChange,
    ) -> Result<PreviewFact, Error> {
        let invoice = self.stripe()?.preview_change(customer_id.as_str(), id.as_str(), change).await?.value;
        Ok(translate::preview(&invoice)?)
    }

    /// The invoice that a change of this subscription waits for to be paid, when one waits.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn waiting_invoice(&self, id: &SubscriptionId) -> Result<Option<InvoiceId>, Error> {
        let found = translate::found(self.stripe()?.subscription(id.as_str()).await)?;
        let waiting = found.filter(|subscription| subscription.pending_update.is_some());
        match waiting {
            Some(subscription) => Ok(translate::subscription(&subscription)?.latest_invoice),
            None => Ok(None),
        }
    }

    /// Voids an open invoice; a change that waits for it is given up. One that is no longer open stays as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn void_invoice(&self, key: &IdempotencyKey, id: &InvoiceId) -> Result<(), Error> {
        match self.stripe()?.void_invoice(key, id.as_str()).await.map_err(Error::from) {
            Ok(_) => Ok(()),
            // Paid or voided in the meantime: there is nothing left to give up.
            Err(Error::Refused(detail)) => {
                tracing::info!(detail, "an invoice was not voided");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What is going to become of a subscription by itself, where anything is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn schedule_of(&self, id: &SubscriptionId) -> Result<Option<ScheduleFact>, Error> {
        let found = translate::found(self.stripe()?.subscription(id.as_str()).await)?;
        let schedule = found.as_ref().and_then(|found| found.schedule.as_ref()).and_then(|found| found.object());
        schedule.map(|schedule| Ok(translate::schedule(schedule)?)).transpose()
    }

    /// Puts a subscription under a schedule whose only phase is what it is now.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when it has one.
    pub async fn create_schedule(&self, key: &IdempotencyKey, id: &SubscriptionId) -> Result<ScheduleFact, Error> {
        Ok(translate::schedule(&self.stripe()?.create_schedule(key, id.as_str()).await?.value)?)
    }

    /// Says what follows the running phase.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set_phases(
        &self,
        key: &IdempotencyKey,
        schedule_id: &str,
        phases: &SchedulePhases,
    ) -> Result<ScheduleFact, Error> {
        Ok(translate::schedule(&self.stripe()?.set_phases(key, schedule_id, phases).await?.value)?)
    }

    /// Lets a subscription go on as it is: what was going to happen by itself does not. One that is over stays as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn release_schedule(&self, key: &IdempotencyKey, schedule_id: &str) -> Result<(), Error> {
        match self.stripe()?.release_schedule(key, schedule_id).await.map_err(Error::from) {
            Ok(_) => Ok(()),
            Err(Error::Refused(detail)) => {
                tracing::info!(detail, "a schedule was not released");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Pauses a subscription: nothing is charged and nothing is given back.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` in a status that cannot be paused.
    pub async fn pause_subscription(&self, key: &IdempotencyKey, id: &SubscriptionId) -> Result<Subscribed, Error> {
        let client = self.stripe()?;
        let subscription = client.pause_subscription(key, id.as_str()).await?.value;
        subscribed(client, &subscription).await
    }

    /// Takes a paused subscription up again, within its period or with a new one that is charged first.
    ///
    /// # Errors
    /// See [`Error`]; `Declined` when the new period is not paid: it stays paused.
    pub async fn resume_subscription(
        &self,
        key: &IdempotencyKey,
        id: &SubscriptionId,
        anchor: Anchor,
    ) -> Result<Subscribed, Error> {
        let client = self.stripe()?;
        let subscription = client.resume_subscription(key, id.as_str(), anchor).await?.value;
        subscribed(client, &subscription).await
    }
}
