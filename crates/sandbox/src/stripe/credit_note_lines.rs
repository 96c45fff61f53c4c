//! The lines of a credit note: parts of an invoice's lines with their tax, or amounts of their own.

use serde_json::{Value, json};

use super::{proration, tax_rates, taxes};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, int, text, text_or_null};
use crate::render::plain;

/// The lines that parameters ask for: `amount` is one line of its own.
pub(super) fn of(desk: &mut Desk<'_>, invoice: &Value, params: &Value) -> Done<Vec<Value>> {
    match (params["amount"].as_i64(), params["lines"].as_array()) {
        (Some(amount), None) => {
            let given = json!({ "type": "custom_line_item", "unit_amount": amount, "description": "Credit" });
            Ok(vec![custom(desk, &given, "amount")?])
        }
        (None, Some(given)) if !given.is_empty() => {
            let mut lines = Vec::with_capacity(given.len());
            for (index, one) in given.iter().enumerate() {
                let param = format!("lines[{index}]");
                lines.push(match text(one, "type") {
                    "custom_line_item" => custom(desk, one, &param)?,
                    _ => credited(desk, invoice, one, &param)?,
                });
            }
            Ok(lines)
        }
        _ => Err(ApiError::invalid("You must pass one of amount or lines.").code("parameter_missing").param("amount")),
    }
}

fn custom(desk: &mut Desk<'_>, given: &Value, param: &str) -> Done {
    let quantity = given["quantity"].as_i64().unwrap_or(1);
    let unit = int(given, "unit_amount");
    let amount = unit.saturating_mul(quantity);
    if amount < 1 {
        return Err(ApiError::invalid("The amount of a line must be positive.").param(param));
    }
    let rates = tax_rates::named(desk, &given["tax_rates"], param)?;
    let mut line = blank(desk, amount)?;
    line["type"] = "custom_line_item".into();
    line["description"] = text_or_null(given, "description");
    line["quantity"] = quantity.into();
    line["unit_amount"] = unit.into();
    line["unit_amount_decimal"] = unit.to_string().into();
    line["taxes"] = taxes::of(&line, &rates, &Value::Null).into();
    line["tax_rates"] = rates.iter().map(plain).collect();
    Ok(line)
}

/// A part of an invoice's line: of what was charged for it, with the same part of its tax.
fn credited(desk: &mut Desk<'_>, invoice: &Value, given: &Value, param: &str) -> Done {
    let id = text(given, "invoice_line_item");
    let lines = invoice["lines"]["data"].as_array();
    let Some(source) = lines.and_then(|lines| lines.iter().find(|line| line["id"] == id)) else {
        return Err(ApiError::missing("invoice line item", id).param(&format!("{param}[invoice_line_item]")));
    };
    let charged = taxes::taxable(source);
    let amount = match (given["amount"].as_i64(), given["quantity"].as_i64()) {
        (Some(amount), _) => amount,
        (None, Some(quantity)) => proration::part(charged, quantity.into(), int(source, "quantity").max(1).into()),
        (None, None) => charged,
    };
    if !(1..=charged).contains(&amount) {
        let message = "The amount must be positive and at most what the line charged.";
        return Err(ApiError::invalid(message).param(&format!("{param}[amount]")));
    }
    let mut line = blank(desk, amount)?;
    line["invoice_line_item"] = source["id"].clone();
    line["description"] = source["description"].clone();
    line["quantity"] = given.get("quantity").cloned().unwrap_or(Value::Null);
    let tax = |tax: &Value| {
        let mut tax = tax.clone();
        for member in ["amount", "taxable_amount"] {
            tax[member] = proration::part(int(&tax, member), amount.into(), charged.into()).into();
        }
        tax
    };
    line["taxes"] = source["taxes"].as_array().into_iter().flatten().map(tax).collect();
    Ok(line)
}

fn blank(desk: &mut Desk<'_>, amount: i64) -> Done {
    let id = desk.id("cnli_", 24)?;
    Ok(json!({
        "id": id, "object": "credit_note_line_item", "amount": amount, "description": null, "discount_amount": 0,
        "discount_amounts": [], "livemode": false, "metadata": null, "pretax_credit_amounts": [], "quantity": null,
        "tax_rates": [], "taxes": [], "type": "invoice_line_item", "unit_amount": null, "unit_amount_decimal": null,
    }))
}
