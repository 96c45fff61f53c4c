//! Tax on invoice lines: by rates given by hand, or automatically by where the customer is.
//!
//! `../shared/reference/stripe.md` b.16. Tax is worked out line by line after discounts, each amount rounded on its own (the
//! reference leaves rounding open, like that of prorations). An exempt customer pays none; `reverse` means that the customer
//! accounts for it. Which places are taxed is configured by tax rates with a country; a place without one is not collected in.

use serde_json::{Value, json};

use super::{proration, tax_rates};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, int, text};
use crate::render::plain;

/// Sets what parameters say about the tax of a subscription.
pub(super) fn set(desk: &mut Desk<'_>, subscription: &mut Value, params: &Value) -> Done<()> {
    if let Some(given) = params.get("default_tax_rates") {
        subscription["default_tax_rates"] =
            tax_rates::named(desk, given, "default_tax_rates")?.iter().map(plain).collect();
    }
    let Some(enabled) = params["automatic_tax"]["enabled"].as_bool() else { return Ok(()) };
    if enabled {
        let customer = desk.need("customer", id_in(&subscription["customer"]).unwrap_or_default())?;
        need_place(&customer)?;
    }
    let liability = if enabled { json!({ "type": "self" }) } else { Value::Null };
    subscription["automatic_tax"] = json!({ "disabled_reason": null, "enabled": enabled, "liability": liability });
    Ok(())
}

/// Refuses automatic tax for a customer whose place is not known.
pub(super) fn need_place(customer: &Value) -> Done<()> {
    if place(customer).is_some() {
        return Ok(());
    }
    let message = "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.";
    Err(ApiError::invalid(message).code("customer_tax_location_invalid").param("automatic_tax[enabled]"))
}

fn place(customer: &Value) -> Option<(String, Option<String>)> {
    let country = customer["address"]["country"].as_str()?;
    let state = customer["address"]["state"].as_str();
    (country.len() == 2).then(|| (country.to_uppercase(), state.map(str::to_owned)))
}

/// Whose invoice is taxed, and how.
pub(super) struct Ground<'a> {
    pub(super) customer: &'a Value,
    /// The subscription or invoice that says whether tax is automatic and which rates are its default.
    pub(super) settings: &'a Value,
}

/// Works the tax into lines whose discounts are taken, and notes on the invoice whether automatic tax is complete.
pub(super) fn apply(desk: &mut Desk<'_>, invoice: &mut Value, lines: &mut [Value], ground: &Ground<'_>) -> Done<()> {
    let automatic = ground.settings["automatic_tax"]["enabled"] == true;
    let mut rates: Vec<Value> = ground.settings["default_tax_rates"].as_array().cloned().unwrap_or_default();
    invoice["default_tax_rates"] = rates.clone().into();
    if automatic {
        let found = place(ground.customer);
        let status = if found.is_some() { "complete" } else { "requires_location_inputs" };
        invoice["automatic_tax"] = json!({
            "disabled_reason": null, "enabled": true, "liability": { "type": "self" }, "provider": "stripe", "status": status,
        });
        rates = match found {
            Some((country, state)) => tax_rates::in_place(desk, &country, state.as_deref())?,
            None => Vec::new(),
        };
    }
    for line in lines.iter_mut() {
        let own = line["_tax_rates"].as_array().filter(|own| !own.is_empty()).cloned();
        line["taxes"] = of(line, own.as_ref().unwrap_or(&rates), ground.customer).into();
    }
    invoice["total_taxes"] = summed(lines).into();
    Ok(())
}

/// What a line is taxed on: its amount after discounts.
pub(super) fn taxable(line: &Value) -> i64 {
    let off: i64 = line["discount_amounts"].as_array().into_iter().flatten().map(|one| int(one, "amount")).sum();
    int(line, "amount") - off
}

/// The tax on one line by each of these rates.
pub(super) fn of(line: &Value, rates: &[Value], customer: &Value) -> Vec<Value> {
    let taxable = taxable(line);
    let free = match text(customer, "tax_exempt") {
        "exempt" => Some("customer_exempt"),
        "reverse" => Some("reverse_charge"),
        _ => None,
    };
    let tax = |rate: &Value| {
        let (inclusive, amount) = (rate["inclusive"] == true, amount(taxable, rate));
        json!({
            "amount": if free.is_some() { 0 } else { amount }, "tax_behavior": if inclusive { "inclusive" } else { "exclusive" },
            "tax_rate_details": { "tax_rate": rate["id"] }, "taxability_reason": free.unwrap_or("standard_rated"),
            "taxable_amount": if inclusive { taxable - amount } else { taxable }, "type": "tax_rate_details",
        })
    };
    rates.iter().map(tax).collect()
}

/// The tax on an amount: added to it, or contained in it.
fn amount(taxable: i64, rate: &Value) -> i64 {
    let (percent, hundred) = (proration::scaled(&rate["percentage"].to_string()), proration::scaled("100"));
    let whole = if rate["inclusive"] == true { hundred + percent } else { hundred };
    proration::part(taxable, percent, whole)
}

/// The taxes of lines, summed rate by rate.
pub(super) fn summed(lines: &[Value]) -> Vec<Value> {
    let mut totals: Vec<Value> = Vec::new();
    for tax in lines.iter().flat_map(|line| line["taxes"].as_array().into_iter().flatten()) {
        match totals.iter_mut().find(|total| total["tax_rate_details"] == tax["tax_rate_details"]) {
            Some(total) => {
                for member in ["amount", "taxable_amount"] {
                    total[member] = (int(total, member) + int(tax, member)).into();
                }
            }
            None => totals.push(tax.clone()),
        }
    }
    totals
}

/// The sum of taxes that are added, or that are contained.
pub(super) fn sum(taxes: &Value, behavior: &str) -> i64 {
    let taxes = taxes.as_array().into_iter().flatten().filter(|tax| tax["tax_behavior"] == behavior);
    taxes.map(|tax| int(tax, "amount")).sum()
}
