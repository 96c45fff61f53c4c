//! Stripe's arithmetic: what an item costs, and what part of it a rest of a period is worth.
//!
//! `../shared/reference/stripe.md` d: fraction = seconds left / seconds of the period, each line rounded to the nearest
//! minor unit on its own. Rounding at exactly one half is not documented by Stripe; half away from zero is assumed.

use serde_json::Value;

use crate::desk::int;

/// The digits behind the point that Stripe's decimals have at most.
const DECIMALS: usize = 12;

/// What `quantity` units of a price cost for a full period, in minor units.
pub(super) fn full_amount(price: &Value, quantity: i64) -> i64 {
    match (price["unit_amount"].as_i64(), price["unit_amount_decimal"].as_str()) {
        (Some(unit), _) => unit.saturating_mul(quantity),
        (None, Some(decimal)) => rounded(scaled(decimal) * i128::from(quantity), 10_i128.pow(12)),
        (None, None) => 0,
    }
}

/// The part of `amount` that falls on `left` of `whole` seconds.
pub(super) fn share(amount: i64, left: i64, whole: i64) -> i64 {
    if whole <= 0 { 0 } else { rounded(i128::from(amount) * i128::from(left.clamp(0, whole)), i128::from(whole)) }
}

/// What an item costs for a full period at its present price and quantity.
pub(super) fn item_amount(item: &Value) -> i64 {
    full_amount(&item["price"], int(item, "quantity"))
}

/// `amount` × `numerator` / `denominator` to the nearest whole.
pub(super) fn part(amount: i64, numerator: i128, denominator: i128) -> i64 {
    if denominator == 0 { 0 } else { rounded(i128::from(amount) * numerator, denominator) }
}

/// `amount` × `of` / `total`, rounded down.
pub(super) fn floored(amount: i64, of: i64, total: i64) -> i64 {
    let product = i128::from(amount) * i128::from(of);
    if total == 0 { 0 } else { i64::try_from(product.div_euclid(i128::from(total))).unwrap_or(i64::MAX) }
}

/// To the nearest whole, halves away from zero.
fn rounded(numerator: i128, denominator: i128) -> i64 {
    let half_up = (2 * numerator.abs() + denominator) / (2 * denominator);
    i64::try_from(half_up * numerator.signum()).unwrap_or(i64::MAX)
}

/// `"0.5"` → 500,000,000,000: a decimal in units of 10⁻¹².
pub(super) fn scaled(decimal: &str) -> i128 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits: String = fraction.chars().chain("000000000000".chars()).take(DECIMALS).collect();
    format!("{whole}{digits}").parse().unwrap_or(0)
}

/// An amount as invoice lines print it: `$49.00`, `49.00 EUR`, `500 JPY`.
pub(crate) fn printed(amount: i64, currency: &str) -> String {
    let (sign, major) = (if amount < 0 { "-" } else { "" }, major(amount.saturating_abs(), currency));
    if currency == "usd" { format!("{sign}${major}") } else { format!("{sign}{major} {}", currency.to_uppercase()) }
}

/// An amount in major units: `49.00`, `-0.05`, `500`.
pub(crate) fn major(amount: i64, currency: &str) -> String {
    let places = match currency {
        "bif" | "clp" | "djf" | "gnf" | "jpy" | "kmf" | "krw" | "mga" | "pyg" | "rwf" | "ugx" | "vnd" | "vuv"
        | "xaf" | "xof" | "xpf" => return amount.to_string(),
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 3,
        _ => 2,
    };
    let (sign, size) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    let whole = 10_u64.pow(places);
    format!("{sign}{}.{:0width$}", size / whole, size % whole, width = usize::try_from(places).unwrap_or(2))
}

#[cfg(test)]
mod tests {
    use super::{full_amount, major, printed, share};
    use serde_json::json;

    #[test]
    fn shares_are_rounded_to_the_nearest_minor_unit() {
        assert_eq!(share(1000, 445_540, 2_678_400), 166);
        assert_eq!(share(3252, 445_540, 2_678_400), 541);
        assert_eq!(share(1000, 881_112, 2_419_200), 364);
        assert_eq!(share(-2000, 1, 3), -667);
        assert_eq!(share(1, 1, 2), 1);
    }

    #[test]
    fn decimals_are_multiplied_before_they_are_rounded() {
        assert_eq!(full_amount(&json!({"unit_amount": null, "unit_amount_decimal": "0.05"}), 30), 2);
        assert_eq!(full_amount(&json!({"unit_amount": 4900, "unit_amount_decimal": "4900"}), 3), 14_700);
    }

    #[test]
    fn amounts_are_printed_with_their_currency() {
        assert_eq!([printed(4900, "usd"), printed(5, "eur"), printed(500, "jpy")], ["$49.00", "0.05 EUR", "500 JPY"]);
        assert_eq!([printed(-50, "usd"), major(-1_450, "usd"), major(7, "kwd")], ["-$0.50", "-14.50", "0.007"]);
    }
}
