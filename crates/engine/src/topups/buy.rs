//! Buys a pack: charged now, given now.

use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::PlanCode;
use tollgate_rules::quantity::Units;

use super::{Error, Frozen, Pack, Purchase, sql};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::operations::{self, Kind, NewOperation};
use crate::{plans, subscriptions};

/// Packs of one purchase.
const QUANTITY_MAX: i64 = 1_000;
/// The most that billing charges at once, in minor units.
const AMOUNT_MAX: i64 = 99_999_999;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buy {
    /// The pack's code.
    pub topup: String,
    /// How many of it; one where nothing is said.
    pub quantity: Option<i64>,
}

/// Charges a pack and gives its units, or neither. Each call buys once more: repeats of a call go by its `Idempotency-Key`.
///
/// # Errors
/// [`Error::Unknown`], [`Error::BadQuantity`], [`Error::NotForPlan`], [`Error::OtherCurrency`]; of [`subscriptions::Error`]: no customer,
/// no subscription, the payment failed (nothing was given, nothing is left to pay) or must be confirmed (the units come once it
/// is), billing does not answer (the purchase completes by itself).
pub async fn buy(engine: &Engine, scope: &OrgScope, buy: &Buy) -> Result<Purchase, Error> {
    let frozen = weigh(engine, scope, buy).await?;
    let body = serde_json::to_value(&frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::TopupBuy, dedupe_key: engine.new_id(""), body };
    let begun = operations::begin_alone(engine, scope, operation).await?;
    let outcome = operations::drive(engine, begun).await.map_err(subscriptions::Error::from)?;
    let mut connection = engine.read_for(scope).await?;
    let topup_id = outcome["topupId"].as_str().unwrap_or_default();
    let bought = sql::by_id(&mut connection, scope.org_key(), topup_id).await?;
    Ok(bought.ok_or_else(|| db::Error::Bug("a purchase is done without its row".to_owned()))?)
}

/// Everything that can be refused before anything is begun.
async fn weigh(engine: &Engine, scope: &OrgScope, buy: &Buy) -> Result<Frozen, Error> {
    let catalog = plans::catalog(engine);
    let topup = catalog.topup(&buy.topup).ok_or(Error::Unknown)?;
    let quantity = buy.quantity.unwrap_or(1);
    let pack = Some(quantity).filter(|quantity| (1..=QUANTITY_MAX).contains(quantity)).and_then(|quantity| {
        let units = topup.units.checked_mul(quantity).filter(|units| *units <= Units::MAX.get())?;
        let minor = topup.price.minor.checked_mul(quantity).filter(|minor| *minor <= AMOUNT_MAX)?;
        let name = if quantity == 1 { topup.name.clone() } else { format!("{quantity} × {}", topup.name) };
        let mut price = topup.price;
        price.minor = minor;
        Some(Pack { code: topup.code.clone(), name, metric: topup.metric.clone(), units, price, lasts: topup.lasts })
    });
    let pack = pack.ok_or(Error::BadQuantity)?;
    let found = subscriptions::standing(engine, scope).await?;
    let customer = found.customer.filter(|customer| !customer.deleted).ok_or(subscriptions::Error::NoCustomer)?;
    let mirror = found.mirror.ok_or(subscriptions::Error::NoSubscription)?;
    match mirror.status {
        SubscriptionStatus::Trialing | SubscriptionStatus::Active | SubscriptionStatus::PastDue => {}
        other => return Err(subscriptions::Error::NotChangeable(other).into()),
    }
    let plan = mirror.plan.as_ref().and_then(|(code, _)| PlanCode::parse(code).ok());
    if !plan.as_ref().is_some_and(|plan| topup.is_for(plan)) {
        return Err(Error::NotForPlan);
    }
    let sold = plan.as_ref().and_then(|plan| catalog.plan(plan.as_str())).and_then(|plan| plan.prices.first());
    if sold.is_some_and(|price| price.amount.currency != pack.price.currency) {
        return Err(Error::OtherCurrency);
    }
    let own = customer.default_payment_method;
    let payment_method_id = mirror.default_payment_method.filter(|_| own.is_none());
    if own.is_none() && payment_method_id.is_none() {
        let message = "There is no payment method yet.".to_owned();
        let reason = Some("no_payment_method".to_owned());
        return Err(subscriptions::Error::PaymentFailed { message, reason }.into());
    }
    Ok(Frozen {
        customer_id: customer.customer_id,
        payment_method_id,
        pack,
        at: engine.now(),
        automatic_tax: engine.automatic_tax(),
    })
}
