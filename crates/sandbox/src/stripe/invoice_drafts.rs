//! Making invoices: lines for periods, trials and prorations, and the draft they stand on.

use serde_json::{Value, json};

use super::{discounts, invoice_items, invoice_stages, prices, proration};
use crate::calendar::printed_date;
use crate::desk::{Desk, Done, clock_of, id_in, int, text};
use crate::render::list_of;

/// A stretch of time in seconds, end exclusive.
pub(super) type Stretch = (i64, i64);

/// Why a line stands on an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// A full period, or the first part of one.
    Period,
    /// The time of a trial, free.
    Trial,
    /// The rest of a period that was paid for and is not used.
    Unused,
    /// The rest of a period at the new price.
    Remaining,
}

/// What a line charges: why, how much, for which time.
pub(super) struct Entry(pub(super) Charge, pub(super) i64, pub(super) Stretch);

/// A line for a subscription's item; its invoice is filled in by the draft.
pub(super) fn line(desk: &mut Desk<'_>, item: &Value, Entry(charge, amount, period): Entry) -> Done {
    let id = desk.id("il_", 24)?;
    let (price, quantity) = (&item["price"], int(item, "quantity"));
    let proration = matches!(charge, Charge::Unused | Charge::Remaining);
    Ok(json!({
        "id": id, "object": "line_item", "amount": amount, "currency": price["currency"],
        "description": description(desk, item, charge, period.0)?, "discount_amounts": [], "discountable": !proration,
        "discounts": [], "invoice": null, "livemode": false, "metadata": item["metadata"],
        "parent": {
            "type": "subscription_item_details", "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": proration,
                "proration_details": { "credited_items": null }, "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
        "period": { "start": period.0, "end": period.1 }, "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details", "price_details": { "price": price["id"], "product": price["product"] },
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity, "quantity_decimal": quantity.to_string(), "subscription": item["subscription"],
        "subtotal": amount, "taxes": [], "_tax_rates": item["tax_rates"],
    }))
}

fn description(desk: &mut Desk<'_>, item: &Value, charge: Charge, from: i64) -> Done<String> {
    let (price, quantity) = (&item["price"], int(item, "quantity"));
    let name = prices::product_name(desk, price)?;
    let several = if quantity == 1 { name.clone() } else { format!("{quantity} × {name}") };
    Ok(match charge {
        Charge::Trial => format!("Trial period for {name}"),
        Charge::Unused => format!("Unused time on {several} after {}", printed_date(from)),
        Charge::Remaining => format!("Remaining time on {several} after {}", printed_date(from)),
        Charge::Period => {
            let recurring = &price["recurring"];
            let unit = proration::printed(proration::full_amount(price, 1), text(price, "currency"));
            let every = match int(recurring, "interval_count") {
                1 => format!("/ {}", text(recurring, "interval")),
                count => format!("every {count} {}s", text(recurring, "interval")),
            };
            format!("{quantity} × {name} (at {unit} {every})")
        }
    })
}

/// What a draft is made of.
pub(super) struct Draft<'a> {
    pub(super) subscription: &'a Value,
    pub(super) reason: &'a str,
    pub(super) lines: Vec<Value>,
    /// The invoice's own period: the one that ended, where one did.
    pub(super) period: Stretch,
    /// When it becomes final by itself.
    pub(super) finalizes_at: Option<i64>,
}

/// Stores a draft invoice for a subscription and tells of it.
pub(super) fn create(desk: &mut Desk<'_>, draft: Draft<'_>) -> Done {
    let invoice = build(desk, draft)?;
    store(desk, invoice)
}

/// Stores a draft: it takes its invoice items over, uses up what counts once, and is told of.
pub(super) fn store(desk: &mut Desk<'_>, invoice: Value) -> Done {
    discounts::use_up(desk, &invoice)?;
    for line in invoice["lines"]["data"].as_array().into_iter().flatten() {
        if let Some(kept) = invoice_items::source(line) {
            let mut kept = desk.need("invoiceitem", kept)?;
            kept["invoice"] = invoice["id"].clone();
            desk.save(&kept)?;
        }
    }
    desk.create(invoice, "invoice.created")
}

/// A draft invoice, not stored.
pub(super) fn build(desk: &mut Desk<'_>, draft: Draft<'_>) -> Done {
    let subscription = draft.subscription;
    let created = desk.now_of(subscription)?;
    let id = desk.id(if desk.rehearsal { "upcoming_in_" } else { "in_" }, 24)?;
    let customer = desk.need("customer", id_in(&subscription["customer"]).unwrap_or_default())?;
    let mut lines = draft.lines;
    for line in &mut lines {
        line["invoice"] = id.clone().into();
    }
    let mut invoice = blank(&customer, &id, created);
    invoice["auto_advance"] = true.into();
    invoice["automatically_finalizes_at"] = draft.finalizes_at.into();
    invoice["billing_reason"] = draft.reason.into();
    invoice["currency"] = subscription["currency"].clone();
    invoice["lines"] = list_of(lines, &format!("/v1/invoices/{id}/lines"));
    invoice["parent"] = json!({
        "type": "subscription_details", "quote_details": null,
        "subscription_details": { "metadata": subscription["metadata"], "subscription": subscription["id"] },
    });
    invoice["period_start"] = draft.period.0.into();
    invoice["period_end"] = draft.period.1.into();
    invoice_stages::apply(desk, &mut invoice, subscription, &customer)?;
    settle_amounts(&mut invoice, &customer);
    invoice["test_clock"] = json!(clock_of(subscription));
    invoice["_clock"] = json!(clock_of(subscription));
    Ok(invoice)
}

/// The lowest amount that is charged at all (Stripe's minimum for most currencies, in minor units).
const CHARGE_MIN: i64 = 50;

/// Works the customer's balance into the amount due: credit pays first, a negative total becomes credit, and what is
/// too small to charge waits for the next invoice.
pub(super) fn settle_amounts(invoice: &mut Value, customer: &Value) {
    let (total, balance) = (int(invoice, "total"), int(customer, "balance"));
    let owed = total.saturating_add(balance);
    let due = if owed < CHARGE_MIN { 0 } else { owed };
    invoice["starting_balance"] = balance.into();
    invoice["_balance_after"] = (owed - due).into();
    invoice["amount_due"] = due.into();
    invoice["amount_remaining"] = due.into();
}

/// A draft without lines.
pub(super) fn blank(customer: &Value, id: &str, created: i64) -> Value {
    json!({
        "id": id, "object": "invoice", "account_country": "US", "account_name": "Sandbox", "account_tax_ids": null,
        "amount_due": 0, "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": 0, "amount_shipping": 0,
        "application": null, "attempt_count": 0, "attempted": false,
        "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null },
        "collection_method": "charge_automatically", "created": created, "custom_fields": null, "customer": customer["id"],
        "customer_account": null, "customer_address": customer["address"], "customer_email": customer["email"],
        "customer_name": customer["name"], "customer_phone": customer["phone"], "customer_shipping": null,
        "customer_tax_exempt": customer["tax_exempt"], "customer_tax_ids": [], "default_payment_method": null,
        "default_source": null, "default_tax_rates": [], "description": null, "discounts": [], "due_date": null,
        "effective_at": null, "ending_balance": null, "footer": null, "from_invoice": null, "hosted_invoice_url": null,
        "invoice_pdf": null, "issuer": { "type": "self" }, "last_finalization_error": null, "latest_revision": null,
        "livemode": false, "metadata": {}, "next_payment_attempt": null, "number": null, "on_behalf_of": null,
        "payment_settings": { "default_mandate": null, "payment_method_options": null, "payment_method_types": null },
        "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0, "receipt_number": null,
        "rendering": null, "shipping_cost": null, "shipping_details": null, "starting_balance": 0,
        "statement_descriptor": null, "status": "draft",
        "status_transitions": { "finalized_at": null, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null },
        "test_clock": null, "total_discount_amounts": [], "total_pretax_credit_amounts": [], "total_taxes": [],
        "webhooks_delivered_at": null,
    })
}

/// Keeps a proration for the next invoice.
pub(super) fn keep_for_later(desk: &mut Desk<'_>, subscription: &Value, line: &Value) -> Done<()> {
    let date = desk.now_of(subscription)?;
    let id = desk.id("ii_", 24)?;
    let item = &line["parent"]["subscription_item_details"]["subscription_item"];
    let stored = json!({
        "id": id, "object": "invoiceitem", "amount": line["amount"], "currency": line["currency"],
        "customer": subscription["customer"], "customer_account": null, "date": date, "description": line["description"],
        "discountable": false, "discounts": [], "invoice": null, "livemode": false, "metadata": line["metadata"],
        "net_amount": line["amount"],
        "parent": {
            "type": "subscription_details",
            "subscription_details": { "subscription": subscription["id"], "subscription_item": item },
        },
        "period": line["period"], "pricing": line["pricing"], "proration": true, "quantity": line["quantity"],
        "quantity_decimal": line["quantity_decimal"], "tax_rates": [], "test_clock": clock_of(subscription),
        "_line": line, "_subscription": subscription["id"], "_clock": clock_of(subscription),
    });
    desk.create(stored, "invoiceitem.created")?;
    Ok(())
}

/// The lines of kept prorations and of invoice items that wait, newest first; the draft they are put on takes them over.
pub(super) fn kept_lines(desk: &mut Desk<'_>, subscription: &Value) -> Done<Vec<Value>> {
    let mut kept = desk.all("invoiceitem", None, subscription["id"].as_str())?;
    kept.retain(|item| item["invoice"].is_null());
    let lines = kept.iter().map(|item| {
        let mut line = item["_line"].clone();
        if line["parent"]["subscription_item_details"].is_object() {
            line["parent"]["subscription_item_details"]["invoice_item"] = item["id"].clone();
        }
        line
    });
    let mut lines: Vec<Value> = lines.collect();
    lines.extend(invoice_items::waiting(desk, id_in(&subscription["customer"]).unwrap_or_default())?);
    lines.retain(|line| line["currency"] == subscription["currency"]);
    Ok(lines)
}
