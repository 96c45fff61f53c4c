//! What a wanted change is: its kind, when it takes effect, and what is asked of billing for it.

use serde::{Deserialize, Serialize};

use tollgate_connectors::billing::{Anchor, ItemChange, PaymentBehavior, Proration, SubscriptionChange, TrialChange};
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::PlanCode;
use tollgate_rules::money::Currency;
use tollgate_rules::period::Interval;
use tollgate_rules::quote::{Burned, Change, Terms, When, gives_back};
use tollgate_rules::time::Timestamp;

use crate::access::OrgScope;
use crate::engine::Engine;
use crate::ledger;
use crate::metering;
use crate::plans;
use crate::subscriptions::{CustomerRow, Error, Mirror, QUANTITY_MAX, entitlements, standing};

/// What is wanted. What is left out stays as the subscription has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The plan; in a trial it may be the one being tried.
    pub plan_code: PlanCode,
    /// How often it is charged.
    pub interval: Option<Interval>,
    /// Seats.
    pub quantity: Option<i64>,
    /// A coupon that is redeemed with the change.
    pub coupon: Option<String>,
}

/// A change that can be made.
#[derive(Debug, Clone)]
pub(crate) struct Weighed {
    pub(crate) customer: CustomerRow,
    /// The subscription as it is.
    pub(crate) mirror: Mirror,
    /// The plan it is going to be on.
    pub(crate) plan: Plan,
    pub(crate) interval: Interval,
    pub(crate) quantity: i64,
    pub(crate) kind: Change,
    pub(crate) when: When,
    pub(crate) effective_at: Timestamp,
    /// What is asked of billing, where it takes effect now.
    pub(crate) change: SubscriptionChange,
    /// What the running period's units are used up to.
    pub(crate) burned: Vec<Burned>,
}

impl Weighed {
    /// Whether there is anything that could be charged.
    pub(crate) fn has_payment_method(&self) -> bool {
        self.customer.default_payment_method.is_some() || self.mirror.default_payment_method.is_some()
    }
}

/// Weighs a wanted change of an org's subscription.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::NotSelfService`], [`Error::BadQuantity`], [`Error::NotSoldSo`], [`Error::OtherCurrency`];
/// [`Error::NoSubscription`], [`Error::NoCustomer`] when it was deleted, [`Error::NotChangeable`] in a status that allows no change;
/// [`Error::AlreadyOnPlan`].
pub(crate) async fn weigh(engine: &Engine, scope: &OrgScope, wanted: &Wanted) -> Result<Weighed, Error> {
    let plan = sold(engine, wanted)?;
    let found = standing(engine, scope).await?;
    let customer = found.customer.ok_or(Error::NoSubscription)?;
    if customer.deleted {
        return Err(Error::NoCustomer);
    }
    let mirror = found.mirror.ok_or(Error::NoSubscription)?;
    let interval = wanted.interval.unwrap_or(mirror.interval);
    let quantity = wanted.quantity.unwrap_or(mirror.quantity);
    let currency = plan.price(interval).ok_or(Error::NotSoldSo)?.amount.currency;
    let (kind, old_currency) = kind(engine, &mirror, &plan, (interval, quantity)).await?;
    if old_currency.is_some_and(|old| old != currency) {
        return Err(Error::OtherCurrency);
    }
    let (when, effective_at) = moment(engine, &mirror, kind)?;
    let price_id = plans::price_for(engine, &plan, interval).await?.ok_or(Error::UnknownPlan)?;
    let burned = burned(engine, scope, (&plan, when)).await?;
    let item = ItemChange { item_id: mirror.item_id.clone(), price_id, quantity };
    let change = SubscriptionChange { coupon: wanted.coupon.clone(), ..asked(engine, &mirror, interval, item) };
    let before = plan_before(engine, &mirror).await?;
    let change = without_arbitrage(&before, &burned, &mirror, change, engine.now());
    let metered = match (interval == mirror.interval, &before) {
        (false, Some(before)) => {
            metering::moved_items(engine, &mirror.subscription_id, [&plan, before], interval).await?
        }
        _ => Vec::new(),
    };
    let change = SubscriptionChange { metered, ..change };
    Ok(Weighed { customer, mirror, plan, interval, quantity, kind, when, effective_at, change, burned })
}

/// The plan, if customers can choose it.
fn sold(engine: &Engine, wanted: &Wanted) -> Result<Plan, Error> {
    let catalog = plans::catalog(engine);
    let plan =
        catalog.plan(wanted.plan_code.as_str()).filter(|plan| !plan.code.is_trial()).ok_or(Error::UnknownPlan)?;
    if !plan.self_service {
        return Err(Error::NotSelfService);
    }
    if wanted.quantity.is_some_and(|quantity| !(1..=QUANTITY_MAX).contains(&quantity)) {
        return Err(Error::BadQuantity);
    }
    Ok(plan.clone())
}

async fn kind(
    engine: &Engine,
    mirror: &Mirror,
    plan: &Plan,
    (interval, quantity): (Interval, i64),
) -> Result<(Change, Option<Currency>), Error> {
    let before = plan_before(engine, mirror).await?.ok_or(Error::NoSubscription)?;
    // A plan's rank is its place in the catalog of today, also for a version of yesterday.
    let catalog = plans::catalog(engine);
    let rank = catalog.plan(before.code.as_str()).map_or(before.rank, |today| today.rank);
    let from = Terms { plan_code: &before.code, rank, interval: mirror.interval, quantity: mirror.quantity };
    let to = Terms { plan_code: &plan.code, rank: plan.rank, interval, quantity };
    let currency = before.price(mirror.interval).map(|price| price.amount.currency);
    Ok((Change::between(&from, &to), currency))
}

/// The plan version the subscription was sold.
async fn plan_before(engine: &Engine, mirror: &Mirror) -> Result<Option<Plan>, Error> {
    let Some((code, version)) = &mirror.plan else { return Ok(None) };
    let mut connection = engine.db().read().await?;
    let found = plans::version(engine, &mut connection, code, *version).await?;
    Ok(found.map(|plan| (*plan).clone()))
}

/// When the change takes effect: in a trial every choice does so now, and ends the trial.
fn moment(engine: &Engine, mirror: &Mirror, kind: Change) -> Result<(When, Timestamp), Error> {
    let now = engine.now();
    let when = match mirror.status {
        SubscriptionStatus::Trialing => When::Now,
        SubscriptionStatus::Active | SubscriptionStatus::PastDue => kind.when().ok_or(Error::AlreadyOnPlan)?,
        SubscriptionStatus::Unpaid
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired => return Err(Error::NotChangeable(mirror.status)),
    };
    match (when, mirror.status) {
        // A credit for a period that was never paid would be money for nothing: the open invoice comes first.
        (When::Now, SubscriptionStatus::PastDue) => Err(Error::NotChangeable(mirror.status)),
        (When::Now, _) => Ok((when, now)),
        (When::PeriodEnd, _) => Ok((when, mirror.item_period.end)),
    }
}

/// What is asked of billing for a change that takes effect now.
fn asked(engine: &Engine, mirror: &Mirror, interval: Interval, item: ItemChange) -> SubscriptionChange {
    let change = SubscriptionChange {
        item: Some(item),
        payment: Some(PaymentBehavior::PendingIfIncomplete),
        automatic_tax: engine.automatic_tax(),
        ..SubscriptionChange::default()
    };
    if mirror.status == SubscriptionStatus::Trialing {
        return SubscriptionChange { trial: TrialChange::EndNow, ..change };
    }
    let change = SubscriptionChange { proration: Some(Proration::InvoiceNow), ..change };
    if interval == mirror.interval {
        // Billing counts whole seconds, and takes no instant outside the period.
        let period = mirror.item_period;
        let now = Timestamp::from_seconds(engine.now().as_seconds());
        let last = Timestamp::from_seconds(period.end.as_seconds() - 1);
        return SubscriptionChange { proration_at: Some(now.clamp(period.start, last)), ..change };
    }
    SubscriptionChange { anchor: Some(Anchor::Now), ..change }
}

/// A new period brings fresh units: what is used up of the old one ahead of time is not given back.
fn without_arbitrage(
    before: &Option<Plan>,
    burned: &[Burned],
    mirror: &Mirror,
    change: SubscriptionChange,
    now: Timestamp,
) -> SubscriptionChange {
    let guarded = before.as_ref().is_some_and(|plan| !gives_back(plan, burned, now, mirror.item_period));
    match change.anchor {
        Some(Anchor::Now) if guarded => SubscriptionChange { proration: Some(Proration::Nothing), ..change },
        Some(Anchor::Now | Anchor::Unchanged) | None => change,
    }
}

async fn burned(engine: &Engine, scope: &OrgScope, (next, when): (&Plan, When)) -> Result<Vec<Burned>, Error> {
    let now = entitlements(engine, scope, None).await?;
    let owed = ledger::foreseen(engine, scope, next).await?;
    let burned = |numbers: crate::subscriptions::MetricEntitlement| {
        let owed = owed.get(&numbers.metric).copied().unwrap_or_default();
        Burned {
            metric: numbers.metric,
            used: numbers.used,
            included: numbers.included,
            owed: owed.now,
            // A change within the period leaves what is owed in it; the next one begins with what is worked out then.
            owed_then: if when == When::Now { owed.now } else { owed.then },
        }
    };
    Ok(now.metrics.into_iter().map(burned).collect())
}
