//! Top-ups: units of a metric that are bought once, beside the plan.

use super::CatalogError;
use super::tree::Value;
use crate::ids::{Metric, PlanCode, TopupCode};
use crate::money::{Currency, Money};
use crate::quantity::Units;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const TOPUPS_MAX: usize = 200;
const DAYS_MAX: i64 = 3_660;

/// A pack of units that can be bought once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topup {
    /// Its code.
    pub code: TopupCode,
    /// Its name on pages and invoices.
    pub name: String,
    /// What it adds to.
    pub metric: Metric,
    /// How many units it adds.
    pub units: i64,
    /// What it costs.
    pub price: Money,
    /// How long the units last.
    pub lasts: TopupLasts,
    /// Only orgs on one of these plans may buy it; empty: every org with a subscription.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<PlanCode>,
}

/// How long bought units last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopupLasts {
    /// As long as the quota period in which they were paid.
    Period,
    /// So many days from the payment.
    Days(u32),
    /// Until they are used up.
    ForGood,
}

impl Topup {
    /// Whether an org on this plan may buy it.
    pub fn is_for(&self, plan: &PlanCode) -> bool {
        self.plans.is_empty() || self.plans.contains(plan)
    }
}

/// Reads `[[topup]]`.
pub(super) fn topups<N>(
    value: &Value<'_>,
    metrics: &BTreeMap<Metric, N>,
    plans: &BTreeSet<PlanCode>,
    amount_max: i64,
) -> Result<Vec<Topup>, CatalogError> {
    let tables = value.tables()?;
    if tables.len() > TOPUPS_MAX {
        return Err(value.refuse(format!("at most {TOPUPS_MAX} top-ups")));
    }
    let mut topups: Vec<Topup> = Vec::with_capacity(tables.len());
    for mut table in tables {
        let place = table.need("code")?;
        let code = TopupCode::parse(place.text()?).map_err(|e| place.refuse(e.to_string()))?;
        if topups.iter().any(|known| known.code == code) {
            return Err(place.refuse(format!("top-up {code} is there twice; remove one of them")));
        }
        table.rename(format!("topup.{code}"));
        let name = table.need("name")?.text()?.to_owned();
        let place = table.need("metric")?;
        let metric = Metric::parse(place.text()?).map_err(|e| place.refuse(e.to_string()))?;
        if !metrics.contains_key(&metric) {
            return Err(place.refuse(format!("no metric {metric}: declare it with [[metric]] code = \"{metric}\"")));
        }
        let units = table.need("units")?.number(1, Units::MAX.get())?;
        // What costs nothing is given by an operator's grant; below this Stripe charges nothing.
        let amount = table.need("amount")?.number(50, amount_max)?;
        let place = table.need("currency")?;
        let currency = Currency::parse(place.text()?).map_err(|e| place.refuse(e.to_string()))?;
        let lasts = lasts(&table.need("lasts")?)?;
        let only_for = table.take("plans").map_or(Ok(Vec::new()), |value| only_for(&value, plans))?;
        table.finish()?;
        topups.push(Topup { code, name, metric, units, price: Money::new(amount, currency), lasts, plans: only_for });
    }
    Ok(topups)
}

/// `"period"`, `"for_good"` or `{ days = 90 }`.
fn lasts(value: &Value<'_>) -> Result<TopupLasts, CatalogError> {
    if value.is_text() {
        return match value.text()? {
            "period" => Ok(TopupLasts::Period),
            "for_good" => Ok(TopupLasts::ForGood),
            _ => Err(value.refuse("use \"period\", \"for_good\" or { days = 90 }")),
        };
    }
    let mut table = value.table()?;
    let days = table.need("days")?.number(1, DAYS_MAX)?;
    table.finish()?;
    Ok(TopupLasts::Days(u32::try_from(days).expect("the number is between 1 and a small limit")))
}

fn only_for(value: &Value<'_>, plans: &BTreeSet<PlanCode>) -> Result<Vec<PlanCode>, CatalogError> {
    let named = value.texts()?;
    let mut codes = Vec::with_capacity(named.len());
    for place in named {
        let code = PlanCode::parse(place.text()?).map_err(|e| place.refuse(e.to_string()))?;
        if !plans.contains(&code) {
            return Err(place.refuse(format!("there is no plan {code}")));
        }
        codes.push(code);
    }
    Ok(codes)
}
