//! Shows what a change would cost, and keeps what was shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use tollgate_connectors::billing::{self, PreviewFact, SubscriptionChange};
use tollgate_rules::billing::InvoiceLine;
use tollgate_rules::ids::{PlanCode, SubscriptionId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::{Interval, Period};
use tollgate_rules::quote::{Change, Effect, When, effects};
use tollgate_rules::time::Timestamp;

use super::compare::{self, MirrorView};
use super::sql;
use super::weigh::{Wanted, Weighed, weigh};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::subscriptions::Error;

/// How long a quote is kept to.
const VALID: Duration = Duration::from_mins(15);

/// What a change costs, as it was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// `quote_…`.
    pub quote_id: String,
    /// The subscription that would change.
    pub subscription_id: SubscriptionId,
    /// What kind of change it is.
    pub kind: Change,
    /// The plan it would be on.
    pub plan_code: PlanCode,
    /// How often that is charged.
    pub interval: Interval,
    /// Seats.
    pub quantity: i64,
    /// The coupon that would be redeemed.
    pub coupon: Option<String>,
    /// Whether it takes effect at once.
    pub immediate: bool,
    /// What is charged now.
    pub amount: Money,
    /// What the parts of periods come to: negative where more is given back than charged.
    pub proration: i64,
    /// The lines of the invoice.
    pub items: Vec<Item>,
    /// When the change takes effect.
    pub effective_at: Timestamp,
    /// Until when the quote is kept to.
    pub expires_at: Timestamp,
    /// What it does to each metric's units.
    #[serde(skip)]
    pub effects: Vec<Effect>,
    /// What the plan mirror thinks it costs, where it said so.
    #[serde(skip)]
    pub mirror: Option<MirrorView>,
    /// What billing was and will be asked.
    pub(crate) change: SubscriptionChange,
}

/// A line of what a change costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is for.
    pub description: String,
    /// In minor units, signed.
    pub amount: i64,
    /// Whether it is for a part of a period.
    pub proration: bool,
    /// What it is for in time.
    pub period: Period,
}

/// Shows what a change would cost now and when it would take effect. Changes nothing.
///
/// # Errors
/// What cannot be chosen: see `subscriptions::Error`. [`Error::BillingUnavailable`] when billing cannot say.
pub async fn preview(engine: &Engine, scope: &OrgScope, wanted: &Wanted) -> Result<Quote, Error> {
    let weighed = weigh(engine, scope, wanted).await?;
    // Both are asked at once: the mirror's bound is shorter than what billing takes on a bad day.
    let theirs = async { Ok(compare::asked(engine, scope, &weighed).await) };
    let (told, theirs) = tokio::try_join!(told(engine, &weighed), theirs)?;
    let ours = Money::new(told.total, told.currency);
    let mirror = theirs.map(|theirs| compare::held(theirs, ours));
    let quote = Quote { mirror, ..quote(engine, &weighed, &told) };
    keep(engine, scope, &quote).await?;
    Ok(quote)
}

/// The same for a quote that no longer holds: the mirror is not asked.
pub(super) async fn anew(engine: &Engine, scope: &OrgScope, wanted: &Wanted) -> Result<Quote, Error> {
    let weighed = weigh(engine, scope, wanted).await?;
    let quote = quote(engine, &weighed, &told(engine, &weighed).await?);
    keep(engine, scope, &quote).await?;
    Ok(quote)
}

async fn told(engine: &Engine, weighed: &Weighed) -> Result<PreviewFact, Error> {
    match weighed.when {
        When::Now => asked(engine, weighed, &weighed.change).await,
        When::PeriodEnd => Ok(nothing_now(weighed)),
    }
}

fn quote(engine: &Engine, weighed: &Weighed, told: &PreviewFact) -> Quote {
    let items = Item::all(told);
    Quote {
        quote_id: engine.new_id("quote_"),
        subscription_id: weighed.mirror.subscription_id.clone(),
        kind: weighed.kind,
        plan_code: weighed.plan.code.clone(),
        interval: weighed.interval,
        quantity: weighed.quantity,
        coupon: weighed.change.coupon.clone(),
        immediate: weighed.when == When::Now,
        amount: Money::new(told.amount_due, told.currency),
        proration: prorated(&items),
        items,
        effective_at: weighed.effective_at,
        expires_at: engine.now().plus(VALID),
        effects: effects(&weighed.plan, &weighed.burned),
        mirror: None,
        change: weighed.change.clone(),
    }
}

/// Billing's own preview of the invoice.
pub(super) async fn asked(
    engine: &Engine,
    weighed: &Weighed,
    change: &SubscriptionChange,
) -> Result<PreviewFact, Error> {
    let customer_id = &weighed.customer.customer_id;
    let told = engine.billing().preview_change(customer_id, &weighed.mirror.subscription_id, change).await;
    match told {
        Err(billing::Error::Refused(_) | billing::Error::Missing(_)) if change.coupon.is_some() => {
            // With the coupon it is refused; without it, it is not: then the coupon is what is wrong.
            let plain = SubscriptionChange { coupon: None, ..change.clone() };
            engine.billing().preview_change(customer_id, &weighed.mirror.subscription_id, &plain).await?;
            Err(Error::BadCoupon)
        }
        told => Ok(told?),
    }
}

fn nothing_now(weighed: &Weighed) -> PreviewFact {
    let price = weighed.plan.price(weighed.interval);
    let currency = price.map_or(Currency::USD, |price| price.amount.currency);
    PreviewFact { currency, total: 0, amount_due: 0, lines: Vec::new() }
}

fn prorated(items: &[Item]) -> i64 {
    items.iter().filter(|item| item.proration).map(|item| item.amount).sum()
}

async fn keep(engine: &Engine, scope: &OrgScope, quote: &Quote) -> Result<(), db::Error> {
    let (inner, org_key, quote) = (engine.clone(), scope.org_key(), quote.clone());
    let write = async move {
        let mut tx = inner.db().begin_for(org_key.0).await?;
        sql::insert(&mut tx, org_key, &quote, inner.clock().wall.now()).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}

impl Item {
    /// The lines of an invoice, then what a discount takes off them and what tax adds, so that all of them add up to its total.
    pub(super) fn all(told: &PreviewFact) -> Vec<Item> {
        let of = |line: &InvoiceLine| Item {
            description: line.description.clone().unwrap_or_default(),
            amount: line.amount.minor,
            proration: line.proration,
            period: line.period,
        };
        let mut items: Vec<Item> = told.lines.iter().map(of).collect();
        for proration in [true, false] {
            let off = |line: &InvoiceLine| line.discount.saturating_neg();
            items.extend(Item::part(told, "Discount", proration, off));
        }
        for proration in [true, false] {
            items.extend(Item::part(told, "Tax", proration, |line| line.tax_added));
        }
        items
    }

    /// What a part of lines comes to, for those of parts of periods or for the others; nothing where it is on none of them.
    fn part(told: &PreviewFact, what: &str, proration: bool, part: impl Fn(&InvoiceLine) -> i64) -> Option<Item> {
        let lines = || told.lines.iter().filter(|line| line.proration == proration && part(line) != 0);
        let period = lines().map(|line| line.period).reduce(spanning)?;
        Some(Item { description: what.to_owned(), amount: lines().map(&part).sum(), proration, period })
    }
}

fn spanning(one: Period, other: Period) -> Period {
    Period::new(one.start.min(other.start), one.end.max(other.end))
}

impl Quote {
    /// What was wanted when it was made, in full.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            plan_code: self.plan_code.clone(),
            interval: Some(self.interval),
            quantity: Some(self.quantity),
            coupon: self.coupon.clone(),
        }
    }

    /// What the customer should hear before deciding.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.effects.iter().flat_map(|effect| [effect.warning(), effect.debt()]).flatten().collect()
    }
}
