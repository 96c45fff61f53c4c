//! Takes over what is at Stripe: the published catalog with the prices that Stripe has, as a file.

use std::collections::BTreeMap;

use tollgate_connectors::billing::PriceFact;
use tollgate_rules::catalog::{Catalog, DenyStatus, OnUnavailable, Plan, PlanPrice};
use tollgate_rules::ids::PlanCode;
use tollgate_rules::money::Money;
use tollgate_rules::period::Interval;

use super::{Error, catalog, ensure_at_stripe::CONTENT_MARK};
use crate::access::OperatorScope;
use crate::engine::Engine;

/// Prices that are looked at; an account has a few hundred at most.
const PRICES_MAX: usize = 10_000;
/// Plans a catalog may have.
const PLANS_MAX: usize = 200;

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The catalog as it would be.
    pub catalog: Catalog,
    /// Each price that is not as the catalog in force has it, in words.
    pub taken_over: Vec<String>,
    /// Prices that were left out, and why.
    pub left_out: Vec<String>,
}

/// The catalog in force, with every price that somebody changed or made at Stripe. Publishes nothing: what comes back is a file to be
/// looked at and applied.
///
/// # Errors
/// [`Error`]: Stripe or the database does not answer.
pub async fn pull(engine: &Engine, _scope: &OperatorScope) -> Result<Pulled, Error> {
    let mut pulled = Pulled { catalog: Catalog::clone(&catalog(engine)), taken_over: Vec::new(), left_out: Vec::new() };
    for plan in &mut pulled.catalog.plans {
        plan.version = 0;
    }
    let mut strangers: BTreeMap<String, Vec<PriceFact>> = BTreeMap::new();
    for fact in at_stripe(engine).await? {
        let Some((amount, interval)) = fact.amount.zip(fact.interval) else {
            pulled.left_out.push(format!("{}: only whole amounts per month or year are sold", fact.price_id));
            continue;
        };
        let key = fact.lookup_key.clone().unwrap_or_default();
        let known = pulled.catalog.plans.iter_mut().flat_map(|plan| &mut plan.prices);
        match known
            .into_iter()
            .find(|price| price.lookup_key == key || price.stripe_price.as_ref() == Some(&fact.price_id))
        {
            Some(price) if price.amount == amount && price.interval == interval => {}
            Some(price) => {
                pulled.taken_over.push(format!("{key}: {} instead of {}", told(amount), told(price.amount)));
                price.amount = amount;
                price.stripe_price = Some(fact.price_id.clone());
            }
            // What Tollgate made and replaced is no stranger: it belongs to orgs on an older version.
            None if fact.metadata.contains_key(CONTENT_MARK) => {}
            None => strangers.entry(fact.product_id.clone().unwrap_or_default()).or_default().push(fact),
        }
    }
    for (product_id, prices) in strangers {
        adopt(engine, &mut pulled, &product_id, prices).await?;
    }
    Ok(pulled)
}

/// Every active price that comes again, and is not counted by a meter.
async fn at_stripe(engine: &Engine) -> Result<Vec<PriceFact>, Error> {
    let (mut found, mut after) = (Vec::new(), None);
    while found.len() < PRICES_MAX {
        let page = engine.billing().recurring_prices_page(after.as_deref()).await?;
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| a.price_id.cmp(&b.price_id));
    Ok(found)
}

/// A product nobody told us of becomes a plan that is not sold by itself: what it includes is for a person to say.
async fn adopt(engine: &Engine, pulled: &mut Pulled, product_id: &str, prices: Vec<PriceFact>) -> Result<(), Error> {
    let product = engine.billing().product(product_id).await?;
    let name = product.map_or_else(|| product_id.to_owned(), |product| product.name);
    let code = free_code(&pulled.catalog, &name);
    let (Some(code), true) = (code, pulled.catalog.plans.len() < PLANS_MAX) else {
        pulled.left_out.push(format!("{product_id}: no plan code can be made of its name"));
        return Ok(());
    };
    let mut sold: Vec<PlanPrice> = Vec::new();
    for fact in prices {
        let Some((amount, interval)) = fact.amount.zip(fact.interval) else { continue };
        let other = sold.iter().any(|price| price.interval == interval || price.amount.currency != amount.currency);
        if other {
            pulled
                .left_out
                .push(format!("{}: a plan has one price per month and year, in one currency", fact.price_id));
            continue;
        }
        let lookup_key = fact.lookup_key.unwrap_or_else(|| format!("plan_{code}_{}", interval.letter()));
        sold.push(PlanPrice { interval, amount, lookup_key, stripe_price: Some(fact.price_id) });
    }
    sold.sort_by_key(|price| price.interval == Interval::Year);
    let rank = u32::try_from(pulled.catalog.plans.len()).unwrap_or(u32::MAX);
    pulled.taken_over.push(format!("plan {code}: product {product_id} with {} prices", sold.len()));
    pulled.catalog.plans.push(Plan {
        code,
        version: 0,
        name,
        rank,
        trial_days: None,
        self_service: false,
        contact_url: None,
        grace_days: 7,
        deny_status: DenyStatus::default(),
        on_unavailable: OnUnavailable::Refuse,
        anti_arbitrage: true,
        prices: sold,
        allowances: BTreeMap::new(),
        pools: BTreeMap::new(),
        features: BTreeMap::new(),
    });
    Ok(())
}

/// `Team Plan (2024)` becomes `team_plan_2024`; where that is taken, `team_plan_2024_2`.
fn free_code(catalog: &Catalog, name: &str) -> Option<PlanCode> {
    let mut word = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' => word.push(letter),
            _ if word.ends_with('_') || word.is_empty() => {}
            _ => word.push('_'),
        }
    }
    let word = word.trim_matches('_');
    let word: String =
        if word.starts_with(|first: char| first.is_ascii_digit()) { format!("plan_{word}") } else { word.to_owned() };
    let word: String = word.chars().take(60).collect();
    (1..=99).find_map(|nth| {
        let code = if nth == 1 { word.clone() } else { format!("{word}_{nth}") };
        PlanCode::parse(&code).ok().filter(|code| catalog.plan(code.as_str()).is_none())
    })
}

fn told(amount: Money) -> String {
    format!("{} {}", amount.minor, amount.currency)
}
