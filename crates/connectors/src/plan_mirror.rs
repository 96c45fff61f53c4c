//! The role *plan mirror*: who else is told which org is on which plan. Told, never asked: no decision reads it. What it thinks
//! a change costs is only held against ours.
//!
//! `Off` needs nothing and refuses every call; `Stigg` writes customers and subscriptions at Stigg. Every write is safe
//! to repeat under its [`IdempotencyKey`], and states the whole of what is mirrored.

use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, OrgId, PlanCode, SubscriptionId};
use tollgate_rules::money::Money;
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

use crate::billing::IdempotencyKey;
use crate::stigg;

/// Who is told.
#[derive(Debug, Clone)]
pub enum PlanMirror {
    /// Stigg, or a stand-in that speaks its language.
    Stigg(stigg::Client),
    /// Nobody: every call answers [`Error::Off`].
    Off,
}

/// An org as it is told: no personal data beyond the billing address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MirroredOrg {
    /// Its public id.
    pub org_id: OrgId,
    /// Its name.
    pub name: String,
    /// Where its invoices go.
    pub email: Option<String>,
    /// Its customer at billing.
    pub customer_id: CustomerId,
}

/// A subscription as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MirroredSubscription {
    /// Whose it is.
    pub org_id: OrgId,
    /// Its id at billing, which is its id at the mirror too.
    pub subscription_id: SubscriptionId,
    /// The plan; during a trial the plan being tried.
    pub plan_code: PlanCode,
    /// How often it is charged.
    pub interval: Interval,
    /// When it began.
    pub started: Timestamp,
    /// When its trial ends, while it is one.
    pub trial_ends: Option<Timestamp>,
}

/// What the mirror says about the plan after it was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mirrored {
    /// The plan's price as the mirror has it, when it says one. Only compared and metered, never charged.
    pub base_price: Option<Money>,
    /// The plan it keeps, where the subscription was there already with another one: nothing was changed then.
    pub keeps_plan: Option<String>,
}

/// A change of plan whose cost is asked for; nothing of it is kept there.
#[derive(Debug, Clone, PartialEq)]
pub struct MirroredChange {
    /// Whose.
    pub org_id: OrgId,
    /// The plan it goes to.
    pub plan_code: PlanCode,
    /// How often that is charged.
    pub interval: Interval,
    /// Seats.
    pub quantity: i64,
    /// The coupon that is redeemed with it, by its name at billing.
    pub coupon: Option<String>,
    /// When it takes effect.
    pub takes_effect: TakesEffect,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakesEffect {
    /// At this moment of the running period, which goes on.
    Within(Timestamp),
    /// Now, with a new period.
    Anew {
        /// Whether the unused rest of the running period is given back.
        gives_back: bool,
    },
    /// When the running period ends.
    AtPeriodEnd,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No mirror is configured.
    #[error("the plan mirror is off")]
    Off,
    /// The mirror does not accept what we told it; telling it again gives the same.
    #[error("the plan mirror refused: {0}")]
    Refused(String),
    /// Our credentials are wrong; a person must act.
    #[error("the plan mirror refused our credentials: {0}")]
    Credentials(String),
    /// Nothing usable came back; tell it again later, under the same key.
    #[error("the plan mirror is unavailable: {0}")]
    Unavailable(String),
}

impl Error {
    /// Whether the same call may succeed later without anyone acting.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl PlanMirror {
    /// Whether anybody is told.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::Stigg(_))
    }

    /// Tells the mirror about an org, new or changed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn provision_org(&self, key: &IdempotencyKey, org: &MirroredOrg) -> Result<(), Error> {
        match self {
            Self::Stigg(client) => client.provision_customer(key, org).await,
            Self::Off => Err(Error::Off),
        }
    }

    /// Tells the mirror of a subscription. The org must have been told before. One that is there already stays as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn provision_subscription(
        &self,
        key: &IdempotencyKey,
        subscription: &MirroredSubscription,
    ) -> Result<Mirrored, Error> {
        match self {
            Self::Stigg(client) => client.provision_subscription(key, subscription).await,
            Self::Off => Err(Error::Off),
        }
    }

    /// Tells the mirror that the subscription it knows has another plan or interval now.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn change_subscription(
        &self,
        key: &IdempotencyKey,
        subscription: &MirroredSubscription,
    ) -> Result<Mirrored, Error> {
        match self {
            Self::Stigg(client) => client.change_subscription(key, subscription).await,
            Self::Off => Err(Error::Off),
        }
    }

    /// Tells the mirror that a subscription has ended.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end_subscription(&self, key: &IdempotencyKey, id: &SubscriptionId) -> Result<(), Error> {
        match self {
            Self::Stigg(client) => client.end_subscription(key, id).await,
            Self::Off => Err(Error::Off),
        }
    }

    /// What the mirror thinks a change is charged now, before any credit of the customer's. Sent once: whoever asks does not wait.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` also where it says no amount that can be compared.
    pub async fn preview(&self, change: &MirroredChange) -> Result<Money, Error> {
        match self {
            Self::Stigg(client) => client.preview(change).await,
            Self::Off => Err(Error::Off),
        }
    }
}
