//! From the text of `plans.toml` to a [`Catalog`], refusing whatever is not exactly understood.

use super::tree::{Source, Table, Value};
use super::{
    Allowance, Catalog, CatalogError, DenyStatus, FeatureValue, Included, MetricName, OnUnavailable, OveragePolicy,
    Plan, PlanPrice, Pools, Rollover, pool, topup,
};
use crate::ids::{FeatureCode, Metric, PlanCode, PriceId};
use crate::money::{Currency, Money};
use crate::period::Interval;
use crate::quantity::Units;
use std::collections::{BTreeMap, BTreeSet};

/// The most minor units a price may have: what Stripe accepts for one line.
const AMOUNT_MAX: i64 = 99_999_999;
const PLANS_MAX: usize = 200;
/// A year of months.
const ROLLOVER_PERIODS_MAX: i64 = 12;

pub(super) fn catalog(text: &str) -> Result<Catalog, CatalogError> {
    let source = Source::new(text);
    let document = source.parse()?;
    let mut root = Table::new(&source, String::new(), 0, document.get_ref());
    let metrics = match root.take("metric") {
        None => return Err(root.refuse("no [[metric]]: declare what is counted, such as code = \"api_call\"")),
        Some(value) => metrics(&value)?,
    };
    let plans = match root.take("plan") {
        None => return Err(root.refuse("no [[plan]]: declare at least one")),
        Some(value) => plans(&value, &metrics)?,
    };
    let codes: BTreeSet<PlanCode> = plans.iter().map(|plan| plan.code.clone()).collect();
    let topups = match root.take("topup") {
        None => Vec::new(),
        Some(value) => topup::topups(&value, &metrics, &codes, AMOUNT_MAX)?,
    };
    root.finish()?;
    Ok(Catalog { plans, metrics, topups })
}

fn metrics(value: &Value<'_>) -> Result<BTreeMap<Metric, MetricName>, CatalogError> {
    let mut metrics = BTreeMap::new();
    for mut table in value.tables()? {
        let code = table.need("code")?;
        let metric = Metric::parse(code.text()?).map_err(|e| code.refuse(e.to_string()))?;
        let name = table.take("name").map_or(Ok(metric.as_str()), |name| name.text())?.to_owned();
        let unit = table.take("unit").map_or(Ok(metric.as_str()), |unit| unit.text())?.to_owned();
        table.finish()?;
        if metrics.insert(metric.clone(), MetricName { name, unit }).is_some() {
            return Err(code.refuse(format!("metric {metric} is declared twice; remove one of them")));
        }
    }
    Ok(metrics)
}

fn plans(value: &Value<'_>, metrics: &BTreeMap<Metric, MetricName>) -> Result<Vec<Plan>, CatalogError> {
    let tables = value.tables()?;
    if tables.len() > PLANS_MAX {
        return Err(value.refuse(format!("at most {PLANS_MAX} plans")));
    }
    let mut codes = BTreeSet::new();
    let mut lookup_keys = BTreeSet::new();
    let mut plans = Vec::with_capacity(tables.len());
    for (index, mut table) in tables.into_iter().enumerate() {
        let code = table.need("code")?;
        let plan_code = PlanCode::parse(code.text()?).map_err(|e| code.refuse(e.to_string()))?;
        if !codes.insert(plan_code.clone()) {
            return Err(code.refuse(format!("plan {plan_code} is there twice; remove one of them")));
        }
        table.rename(format!("plan.{plan_code}"));
        let rank = u32::try_from(index).expect("there are at most 200 plans");
        plans.push(plan(table, plan_code, rank, &mut Known { metrics, lookup_keys: &mut lookup_keys })?);
    }
    Ok(plans)
}

/// What the rest of the file has named.
struct Known<'k> {
    metrics: &'k BTreeMap<Metric, MetricName>,
    lookup_keys: &'k mut BTreeSet<String>,
}

fn plan(mut table: Table<'_>, code: PlanCode, rank: u32, known: &mut Known<'_>) -> Result<Plan, CatalogError> {
    let name = table.need("name")?.text()?.to_owned();
    let trial_days = table.take("trial_days").map(|days| small(&days, 730)).transpose()?;
    let self_service = table.take("self_service").map_or(Ok(true), |value| value.boolean())?;
    let contact_url = table.take("contact_url").map(|url| address(&url)).transpose()?;
    let grace_days = table.take("grace_days").map_or(Ok(7), |days| small(&days, 365))?;
    let deny_status = table.take("deny_status").map_or(Ok(DenyStatus::default()), |value| deny_status(&value))?;
    let on_unavailable = table.take("on_unavailable").map_or(Ok(OnUnavailable::Refuse), |value| unavailable(&value))?;
    let anti_arbitrage = table.take("anti_arbitrage").map_or(Ok(true), |value| value.boolean())?;
    let prices = match table.take("price") {
        None => Vec::new(),
        Some(value) => prices(&value, &code, known)?,
    };
    if code.is_trial() && !prices.is_empty() {
        return Err(table.refuse("plan trial has no price: it is what every trial is given, and nobody buys it"));
    }
    if code.is_trial() && trial_days.is_none() {
        return Err(table.refuse("plan trial needs `trial_days`"));
    }
    let allowances = match table.take("allowance") {
        None => BTreeMap::new(),
        Some(value) => allowances(&value, &prices, known)?,
    };
    let pools = match table.take("pool") {
        None => Pools::new(),
        Some(value) => pool::pools(&value, &allowances, known.metrics)?,
    };
    let features = table.take("features").map_or(Ok(BTreeMap::new()), |value| features(&value))?;
    table.finish()?;
    Ok(Plan {
        code,
        version: 0,
        name,
        rank,
        trial_days,
        self_service,
        contact_url,
        grace_days,
        deny_status,
        on_unavailable,
        anti_arbitrage,
        prices,
        allowances,
        pools,
        features,
    })
}

fn small(value: &Value<'_>, most: i64) -> Result<u32, CatalogError> {
    Ok(u32::try_from(value.number(0, most)?).expect("the number is between 0 and a small limit"))
}

fn address(value: &Value<'_>) -> Result<String, CatalogError> {
    let text = value.text()?;
    let known = ["https://", "http://", "mailto:", "/"].iter().any(|start| text.starts_with(start));
    if known && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err(value.refuse("write a link that starts with https://, mailto: or /"))
    }
}

fn deny_status(value: &Value<'_>) -> Result<DenyStatus, CatalogError> {
    DenyStatus::from_code(value.number(0, 999)?).ok_or_else(|| value.refuse("use 429, 402 or 403"))
}

/// `"refuse"` or `{ allow_bounded = 100 }`.
fn unavailable(value: &Value<'_>) -> Result<OnUnavailable, CatalogError> {
    if value.is_text() {
        return match value.text()? {
            "refuse" => Ok(OnUnavailable::Refuse),
            _ => Err(value.refuse("use \"refuse\" or { allow_bounded = UNITS }")),
        };
    }
    let mut table = value.table()?;
    let units = table.need("allow_bounded")?.number(1, Units::MAX.get())?;
    table.finish()?;
    Ok(OnUnavailable::AllowBounded { units })
}

fn prices(value: &Value<'_>, code: &PlanCode, known: &mut Known<'_>) -> Result<Vec<PlanPrice>, CatalogError> {
    let mut prices: Vec<PlanPrice> = Vec::new();
    for mut table in value.tables()? {
        let place = table.need("interval")?;
        let interval = Interval::parse(place.text()?).ok_or_else(|| place.refuse("use \"month\" or \"year\""))?;
        if prices.iter().any(|price| price.interval == interval) {
            return Err(place.refuse(format!("plan {code} has two prices per {}; keep one", interval.as_str())));
        }
        let amount = table.need("amount")?.number(0, AMOUNT_MAX)?;
        let place = table.need("currency")?;
        let currency = Currency::parse(place.text()?).map_err(|e| place.refuse(e.to_string()))?;
        if prices.first().is_some_and(|price| price.amount.currency != currency) {
            return Err(place.refuse("all prices of a plan are in one currency"));
        }
        let stripe_price = match table.take("stripe_price") {
            None => None,
            Some(price) => Some(PriceId::parse(price.text()?).map_err(|e| price.refuse(e.to_string()))?),
        };
        let place = table.take("lookup_key");
        let lookup_key = match &place {
            None => format!("plan_{code}_{}", interval.letter()),
            Some(key) => key.text()?.to_owned(),
        };
        if !known.lookup_keys.insert(lookup_key.clone()) {
            let message = format!("lookup key {lookup_key} is used twice; every price needs its own");
            return Err(place.map_or_else(|| table.refuse(message.clone()), |place| place.refuse(message.clone())));
        }
        table.finish()?;
        prices.push(PlanPrice { interval, amount: Money::new(amount, currency), lookup_key, stripe_price });
    }
    Ok(prices)
}

fn allowances(
    value: &Value<'_>,
    prices: &[PlanPrice],
    known: &Known<'_>,
) -> Result<BTreeMap<Metric, Allowance>, CatalogError> {
    let mut allowances = BTreeMap::new();
    for (name, value) in value.table()?.entries() {
        let metric = Metric::parse(name).map_err(|e| value.refuse(e.to_string()))?;
        if !known.metrics.contains_key(&metric) {
            return Err(value.refuse(format!("no metric {metric}: declare it with [[metric]] code = \"{metric}\"")));
        }
        let mut table = value.table()?;
        let place = table.need("included")?;
        let included = match place.is_text() {
            true if place.text()? == "unlimited" => Included::Unlimited,
            true => return Err(place.refuse("use a whole number or \"unlimited\"")),
            false => Included::Units(place.number(0, Units::MAX.get())?),
        };
        let policy = match table.take("overage") {
            None => OveragePolicy::HardStop,
            Some(overage) => policy(&overage)?,
        };
        if matches!(policy, OveragePolicy::Metered { .. }) {
            if included == Included::Unlimited {
                return Err(value.refuse("unlimited units have no overage; remove one of the two"));
            }
            if prices.is_empty() {
                return Err(
                    value.refuse("overage is charged in the currency of the plan's price, and this plan has none")
                );
            }
        }
        let rollover = table.take("rollover").map(|value| rollover(&value, included)).transpose()?;
        table.finish()?;
        allowances.insert(metric, Allowance { included, policy, rollover });
    }
    Ok(allowances)
}

/// `{ max = 5000, periods = 2 }`; one period when left out.
fn rollover(value: &Value<'_>, included: Included) -> Result<Rollover, CatalogError> {
    if included == Included::Unlimited {
        return Err(value.refuse("unlimited units leave nothing to carry over; remove one of the two"));
    }
    let mut table = value.table()?;
    let max = table.need("max")?.number(1, Units::MAX.get())?;
    let periods = table.take("periods").map_or(Ok(1), |periods| small(&periods, ROLLOVER_PERIODS_MAX))?;
    if periods == 0 {
        return Err(value.refuse("carry over for 1 to 12 periods"));
    }
    table.finish()?;
    Ok(Rollover { max, periods })
}

/// `"hard_stop"` or `{ amount = 300, per = 1000 }`.
fn policy(value: &Value<'_>) -> Result<OveragePolicy, CatalogError> {
    if value.is_text() {
        return match value.text()? {
            "hard_stop" => Ok(OveragePolicy::HardStop),
            _ => Err(value.refuse("use \"hard_stop\" or { amount = MINOR_UNITS, per = UNITS }")),
        };
    }
    let mut table = value.table()?;
    let amount_minor = table.need("amount")?.number(0, AMOUNT_MAX)?;
    let per_units = table.need("per")?.number(1, Units::MAX.get())?;
    table.finish()?;
    Ok(OveragePolicy::Metered { amount_minor, per_units })
}

fn features(value: &Value<'_>) -> Result<BTreeMap<FeatureCode, FeatureValue>, CatalogError> {
    let mut features = BTreeMap::new();
    for (name, value) in value.table()?.entries() {
        let code = FeatureCode::parse(name).map_err(|e| value.refuse(e.to_string()))?;
        let feature = if value.is_boolean() {
            FeatureValue::Bool(value.boolean()?)
        } else if value.is_text() {
            FeatureValue::Text(value.text()?.to_owned())
        } else {
            FeatureValue::Number(value.number(0, Units::MAX.get())?)
        };
        features.insert(code, feature);
    }
    Ok(features)
}
