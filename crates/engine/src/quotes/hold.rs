//! Holds a quote against the present: what is confirmed is what was shown, or nothing.

use tollgate_connectors::billing::SubscriptionChange;
use tollgate_rules::ids::PlanCode;
use tollgate_rules::period::Interval;

use super::preview::{Item, Quote, anew, asked};
use super::sql;
use super::weigh::{Weighed, weigh};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::subscriptions::Error;

/// What was said beside the quote's id; each has to be what the quote says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) plan_code: Option<PlanCode>,
    pub(crate) interval: Option<Interval>,
    pub(crate) quantity: Option<i64>,
}

/// A quote that is confirmed.
#[derive(Debug)]
pub(crate) enum Held {
    /// It holds: this is what is asked of billing.
    Holds(Box<(Weighed, Quote)>),
    /// It was confirmed before.
    Confirmed(PlanCode),
}

/// Finds an org's quote and asks billing again.
///
/// # Errors
/// [`Error::UnknownQuote`] (also for another org's), [`Error::QuoteDiffers`] from what stands beside it, [`Error::QuoteStale`] with a
/// new one when it expired or anything changed since; and whatever `weigh` refuses.
pub(crate) async fn hold(engine: &Engine, scope: &OrgScope, quote_id: &str, given: &Given) -> Result<Held, Error> {
    let stored = {
        let mut connection = engine.read_for(scope).await?;
        sql::find(&mut connection, scope.org_key(), quote_id).await?
    };
    let (quote, confirmed) = stored.ok_or(Error::UnknownQuote)?;
    let differing = differing(&quote, given);
    if !differing.is_empty() {
        return Err(Error::QuoteDiffers(differing));
    }
    if confirmed {
        return Ok(Held::Confirmed(quote.plan_code));
    }
    if engine.now() >= quote.expires_at {
        return Err(stale(engine, scope, &quote).await);
    }
    let weighed = weigh(engine, scope, &quote.wanted()).await?;
    // The instant that was shown is the instant that is charged for.
    let pinned = SubscriptionChange { proration_at: quote.change.proration_at, ..weighed.change.clone() };
    let same = pinned == quote.change && weighed.mirror.subscription_id == quote.subscription_id;
    if !same || !amounts_hold(engine, &weighed, &quote).await? {
        return Err(stale(engine, scope, &quote).await);
    }
    Ok(Held::Holds(Box::new((Weighed { change: pinned, ..weighed }, quote))))
}

async fn amounts_hold(engine: &Engine, weighed: &Weighed, quote: &Quote) -> Result<bool, Error> {
    if !quote.immediate {
        return Ok(true);
    }
    match asked(engine, weighed, &quote.change).await {
        Ok(told) => {
            let items = Item::all(&told);
            let amount = (told.amount_due, told.currency) == (quote.amount.minor, quote.amount.currency);
            Ok(amount && items == quote.items)
        }
        // For example a pinned instant that no longer lies in the period.
        Err(Error::Billing(_) | Error::BadCoupon) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same change quoted anew, or why it cannot be made any more.
async fn stale(engine: &Engine, scope: &OrgScope, quote: &Quote) -> Error {
    match anew(engine, scope, &quote.wanted()).await {
        Ok(new) => Error::QuoteStale(Box::new(new)),
        Err(error) => error,
    }
}

fn differing(quote: &Quote, given: &Given) -> Vec<&'static str> {
    let fields = [
        ("newPlanCode", given.plan_code.as_ref().is_some_and(|given| *given != quote.plan_code)),
        ("interval", given.interval.is_some_and(|given| given != quote.interval)),
        ("quantity", given.quantity.is_some_and(|given| given != quote.quantity)),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}
