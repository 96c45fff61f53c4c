//! From a [`Catalog`] back to the text of `plans.toml`, so that what is published or at Stripe can be taken over as a file.

use super::{
    Allowance, Catalog, FeatureValue, Included, OnUnavailable, OveragePolicy, Plan, PlanPrice, Topup, TopupLasts,
};
use crate::ids::Metric;
use std::fmt::Write as _;

/// Writes the whole catalog. Reading the text gives the same catalog again.
pub(super) fn catalog(catalog: &Catalog) -> String {
    let mut text = String::new();
    for (metric, name) in &catalog.metrics {
        header(&mut text, "[[metric]]");
        pair(&mut text, "code", &quoted(metric.as_str()));
        pair(&mut text, "name", &quoted(&name.name));
        pair(&mut text, "unit", &quoted(&name.unit));
    }
    let mut plans: Vec<&Plan> = catalog.plans.iter().collect();
    plans.sort_by_key(|plan| plan.rank);
    for one in plans {
        plan(&mut text, one);
    }
    for one in &catalog.topups {
        topup(&mut text, one);
    }
    text
}

fn plan(text: &mut String, plan: &Plan) {
    header(text, "[[plan]]");
    pair(text, "code", &quoted(plan.code.as_str()));
    pair(text, "name", &quoted(&plan.name));
    if let Some(days) = plan.trial_days {
        pair(text, "trial_days", &days.to_string());
    }
    if !plan.self_service {
        pair(text, "self_service", "false");
    }
    if let Some(url) = &plan.contact_url {
        pair(text, "contact_url", &quoted(url));
    }
    pair(text, "grace_days", &plan.grace_days.to_string());
    pair(text, "deny_status", &plan.deny_status.code().to_string());
    if let OnUnavailable::AllowBounded { units } = plan.on_unavailable {
        pair(text, "on_unavailable", &format!("{{ allow_bounded = {units} }}"));
    }
    if !plan.anti_arbitrage {
        pair(text, "anti_arbitrage", "false");
    }
    for one in &plan.prices {
        price(text, one);
    }
    for (metric, one) in &plan.allowances {
        allowance(text, metric, one);
    }
    for (pool, rates) in &plan.pools {
        header(text, &format!("[plan.pool.{pool}]"));
        for (metric, rate) in rates {
            pair(text, metric.as_str(), &rate.to_string());
        }
    }
    if !plan.features.is_empty() {
        header(text, "[plan.features]");
        for (feature, value) in &plan.features {
            let value = match value {
                FeatureValue::Bool(on) => on.to_string(),
                FeatureValue::Number(number) => number.to_string(),
                FeatureValue::Text(text) => quoted(text),
            };
            pair(text, feature.as_str(), &value);
        }
    }
}

fn price(text: &mut String, price: &PlanPrice) {
    header(text, "[[plan.price]]");
    pair(text, "interval", &quoted(price.interval.as_str()));
    pair(text, "amount", &price.amount.minor.to_string());
    pair(text, "currency", &quoted(price.amount.currency.as_str()));
    pair(text, "lookup_key", &quoted(&price.lookup_key));
    if let Some(id) = &price.stripe_price {
        pair(text, "stripe_price", &quoted(id.as_str()));
    }
}

fn allowance(text: &mut String, metric: &Metric, allowance: &Allowance) {
    header(text, &format!("[plan.allowance.{metric}]"));
    match allowance.included {
        Included::Units(units) => pair(text, "included", &units.to_string()),
        Included::Unlimited => pair(text, "included", "\"unlimited\""),
    }
    if let OveragePolicy::Metered { amount_minor, per_units } = allowance.policy {
        pair(text, "overage", &format!("{{ amount = {amount_minor}, per = {per_units} }}"));
    }
    if let Some(rollover) = allowance.rollover {
        pair(text, "rollover", &format!("{{ max = {}, periods = {} }}", rollover.max, rollover.periods));
    }
}

fn topup(text: &mut String, topup: &Topup) {
    header(text, "[[topup]]");
    pair(text, "code", &quoted(topup.code.as_str()));
    pair(text, "name", &quoted(&topup.name));
    pair(text, "metric", &quoted(topup.metric.as_str()));
    pair(text, "units", &topup.units.to_string());
    pair(text, "amount", &topup.price.minor.to_string());
    pair(text, "currency", &quoted(topup.price.currency.as_str()));
    let lasts = match topup.lasts {
        TopupLasts::Period => "\"period\"".to_owned(),
        TopupLasts::ForGood => "\"for_good\"".to_owned(),
        TopupLasts::Days(days) => format!("{{ days = {days} }}"),
    };
    pair(text, "lasts", &lasts);
    if !topup.plans.is_empty() {
        let plans: Vec<String> = topup.plans.iter().map(|plan| quoted(plan.as_str())).collect();
        pair(text, "plans", &format!("[{}]", plans.join(", ")));
    }
}

fn header(text: &mut String, header: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(header);
    text.push('\n');
}

fn pair(text: &mut String, key: &str, value: &str) {
    let written = writeln!(text, "{key} = {value}");
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// A TOML string: what is not printable is written as an escape.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if control.is_control() => {
                let written = write!(text, "\\u{:04X}", u32::from(control));
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}
