//! The stages between an invoice's lines and what is due, in Stripe's order: line discounts and invoice discounts, tax, and
//! then (in `invoice_drafts::settle_amounts`) the customer's balance.
//!
//! `../shared/reference/stripe.md` d. Always: total = Σ lines (amount − discounts + exclusive tax).

use serde_json::{Value, json};

use super::discounts::{self, Slot};
use super::taxes::{self, Ground};
use crate::desk::{Desk, Done, id_in, int};

/// Works discounts and tax into an invoice with fresh lines. `settings` is its subscription, or itself where it has none.
pub(super) fn apply(desk: &mut Desk<'_>, invoice: &mut Value, settings: &Value, customer: &Value) -> Done<()> {
    let mut lines = invoice["lines"]["data"].as_array().cloned().unwrap_or_default();
    take_discounts(desk, invoice, &mut lines, settings)?;
    taxes::apply(desk, invoice, &mut lines, &Ground { customer, settings })?;
    invoice["customer_tax_ids"] = tax_ids(desk, customer)?.into();
    let off: i64 = lines.iter().map(|line| int(line, "amount") - taxes::taxable(line)).sum();
    let subtotal: i64 = lines.iter().map(|line| int(line, "amount")).sum();
    let (added, contained) =
        (taxes::sum(&invoice["total_taxes"], "exclusive"), taxes::sum(&invoice["total_taxes"], "inclusive"));
    invoice["lines"]["data"] = lines.into();
    invoice["subtotal"] = subtotal.into();
    invoice["subtotal_excluding_tax"] = (subtotal - contained).into();
    invoice["total_excluding_tax"] = (subtotal - off - contained).into();
    invoice["total"] = (subtotal - off + added).into();
    Ok(())
}

fn take_discounts(desk: &mut Desk<'_>, invoice: &mut Value, lines: &mut [Value], settings: &Value) -> Done<()> {
    let at = desk.now_of(settings)?;
    let active = discounts::active(desk, settings, at)?;
    let slot = |line: &Value| Slot {
        product: id_in(&line["pricing"]["price_details"]["product"]).unwrap_or_default().to_owned(),
        left: if line["discountable"] == true { int(line, "amount") } else { 0 },
        taken: Vec::new(),
    };
    let mut slots: Vec<Slot> = lines.iter().map(slot).collect();
    for discount in &active {
        discounts::take(&mut slots, discount);
    }
    let shown = |(id, amount): &(String, i64)| json!({ "amount": amount, "discount": id });
    for (line, slot) in lines.iter_mut().zip(&slots) {
        line["discount_amounts"] = slot.taken.iter().map(shown).collect();
    }
    let total = |discount: &Value| {
        let taken = slots.iter().flat_map(|slot| &slot.taken).filter(|(id, _)| discount["id"] == **id);
        json!({ "amount": taken.map(|(_, amount)| amount).sum::<i64>(), "discount": discount["id"] })
    };
    invoice["total_discount_amounts"] = active.iter().map(total).collect();
    invoice["discounts"] = active.iter().map(|discount| discount["id"].clone()).collect();
    Ok(())
}

fn tax_ids(desk: &mut Desk<'_>, customer: &Value) -> Done<Vec<Value>> {
    let ids = desk.all("tax_id", id_in(&customer["id"]), None)?;
    Ok(ids.iter().map(|id| json!({ "type": id["type"], "value": id["value"] })).collect())
}
