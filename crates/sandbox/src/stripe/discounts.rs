//! Discounts: a coupon given to a subscription, and what it takes off lines and rates.
//!
//! `../shared/reference/stripe.md` d: percentages are rounded line by line; `amount_off` is split over the lines in
//! proportion, each part floored and the last taking the rest. Proration uses the discounted price, so proration lines are
//! not discounted again; classic billing takes the whole `amount_off` off each item it credits. A coupon of duration `once`
//! is used up by the first invoice that has something to charge (the reference leaves invoices of nothing open).

use serde_json::{Value, json};

use super::{coupons, promotion_codes, proration, subscriptions};
use crate::api_error::ApiError;
use crate::calendar::Interval;
use crate::desk::{Desk, Done, clock_of, id_in, int, text};

/// Sets the discounts that a parameter names: the empty string removes all, nothing leaves them.
pub(super) fn set(desk: &mut Desk<'_>, subscription: &mut Value, given: &Value) -> Done<()> {
    let list = match given {
        Value::String(_) => {
            subscription["discounts"] = json!([]);
            return Ok(());
        }
        Value::Array(list) if !list.is_empty() => list,
        _ => return Ok(()),
    };
    let mut ids = Vec::with_capacity(list.len());
    for (index, one) in list.iter().enumerate() {
        ids.push(one_given(desk, subscription, one, &format!("discounts[{index}]"))?);
    }
    subscription["discounts"] = ids.into();
    Ok(())
}

fn one_given(desk: &mut Desk<'_>, subscription: &Value, given: &Value, param: &str) -> Done {
    let now = desk.now_of(subscription)?;
    match (given["coupon"].as_str(), given["promotion_code"].as_str(), given["discount"].as_str()) {
        (Some(coupon), None, None) => {
            let coupon = coupons::redeemable(desk, coupon, &format!("{param}[coupon]"), now)?;
            give(desk, subscription, &coupon, None)
        }
        (None, Some(code), None) => {
            let param = format!("{param}[promotion_code]");
            let code = promotion_codes::redeemable(desk, code, subscription, &param, now)?;
            let coupon = desk.need("coupon", id_in(&code["promotion"]["coupon"]).unwrap_or_default())?;
            give(desk, subscription, &coupon, Some(code))
        }
        (None, None, Some(kept)) => {
            let known = subscription["discounts"].as_array().is_some_and(|known| known.iter().any(|id| id == kept));
            if known { Ok(kept.into()) } else { Err(ApiError::missing("discount", kept).param(param)) }
        }
        _ => Err(ApiError::invalid("Give one of coupon, promotion_code or discount.").param(param)),
    }
}

/// A new discount of a subscription; its id.
fn give(desk: &mut Desk<'_>, subscription: &Value, coupon: &Value, code: Option<Value>) -> Done {
    if coupon["amount_off"].is_i64() && coupon["currency"] != subscription["currency"] {
        let message = "The coupon's currency differs from the subscription's.";
        return Err(ApiError::invalid(message).param("discounts"));
    }
    let start = desk.now_of(subscription)?;
    let months = coupon["duration_in_months"].as_i64().filter(|_| coupon["duration"] == "repeating");
    let id = desk.id("di_", 24)?;
    let discount = json!({
        "id": id, "object": "discount", "checkout_session": null, "customer": subscription["customer"],
        "customer_account": null, "end": months.map(|months| Interval::Months(months).step(start, 1)), "invoice": null,
        "invoice_item": null, "promotion_code": code.as_ref().map(|code| code["id"].clone()),
        "source": { "coupon": coupon["id"], "type": "coupon" }, "start": start, "subscription": subscription["id"],
        "subscription_item": null, "_coupon": coupon, "_clock": clock_of(subscription),
    });
    coupons::redeemed(desk, coupon.clone())?;
    if let Some(code) = code {
        coupons::redeemed(desk, code)?;
    }
    Ok(desk.create(discount, "customer.discount.created")?["id"].clone())
}

/// The discounts of a subscription that count at `at`.
pub(super) fn active(desk: &mut Desk<'_>, subscription: &Value, at: i64) -> Done<Vec<Value>> {
    let mut active = Vec::new();
    for id in subscription["discounts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let discount = desk.need("discount", id)?;
        if counts(&discount, at) {
            active.push(discount);
        }
    }
    Ok(active)
}

/// Whether a discount still takes something off at `at`.
pub(crate) fn counts(discount: &Value, at: i64) -> bool {
    discount["_used"] != true && discount["end"].as_i64().is_none_or(|end| at < end)
}

/// An invoice that charges something uses up what counts once.
pub(super) fn use_up(desk: &mut Desk<'_>, invoice: &Value) -> Done<()> {
    let charges =
        invoice["lines"]["data"].as_array().is_some_and(|lines| lines.iter().any(|line| int(line, "amount") > 0));
    if !charges {
        return Ok(());
    }
    for id in invoice["discounts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let mut discount = desk.need("discount", id)?;
        if discount["_coupon"]["duration"] == "once" && discount["_used"] != true {
            discount["_used"] = true.into();
            desk.save(&discount)?;
        }
    }
    Ok(())
}

/// Something a discount may take from.
pub(super) struct Slot {
    /// The product that is paid for, for coupons that apply to some only.
    pub(super) product: String,
    /// What is left to pay.
    pub(super) left: i64,
    /// What each discount took: its id and the amount.
    pub(super) taken: Vec<(String, i64)>,
}

/// Lets a discount take its part of the slots.
pub(super) fn take(slots: &mut [Slot], discount: &Value) {
    let coupon = &discount["_coupon"];
    let products = coupon["applies_to"]["products"].as_array();
    let applies = |slot: &Slot| {
        slot.left > 0 && products.is_none_or(|products| products.iter().any(|product| *product == slot.product))
    };
    let eligible: Vec<usize> = (0..slots.len()).filter(|index| applies(&slots[*index])).collect();
    let total: i64 = eligible.iter().map(|index| slots[*index].left).sum();
    let off = int(coupon, "amount_off").min(total);
    let mut rest = off;
    for (position, index) in eligible.iter().enumerate() {
        let slot = &mut slots[*index];
        let part = match percent(coupon) {
            Some(percent) => proration::part(slot.left, percent, proration::scaled("100")),
            None if position + 1 == eligible.len() => rest,
            None => proration::floored(off, slot.left, total),
        };
        rest -= part;
        slot.left -= part;
        slot.taken.push((text(discount, "id").to_owned(), part));
    }
}

fn percent(coupon: &Value) -> Option<i128> {
    coupon["percent_off"].is_number().then(|| proration::scaled(&coupon["percent_off"].to_string()))
}

/// What each item of a subscription costs for a full period at `at`, discounts taken off; in the order of the items.
pub(super) fn full_amounts(desk: &mut Desk<'_>, subscription: &Value, at: i64) -> Done<Vec<i64>> {
    let items = subscriptions::items_of(subscription);
    let slot = |item: &Value| Slot {
        product: id_in(&item["price"]["product"]).unwrap_or_default().to_owned(),
        left: proration::item_amount(item),
        taken: Vec::new(),
    };
    let mut slots: Vec<Slot> = items.iter().map(slot).collect();
    for discount in active(desk, subscription, at)? {
        take(&mut slots, &discount);
    }
    Ok(slots.iter().map(|slot| slot.left).collect())
}

/// What classic billing credits an item at: its present price, less the whole of each discount.
pub(super) fn classic_amount(desk: &mut Desk<'_>, subscription: &Value, item: &Value, at: i64) -> Done<i64> {
    let product = id_in(&item["price"]["product"]).unwrap_or_default().to_owned();
    let mut slots = [Slot { product, left: proration::item_amount(item), taken: Vec::new() }];
    for discount in active(desk, subscription, at)? {
        take(&mut slots, &discount);
    }
    Ok(slots[0].left)
}
