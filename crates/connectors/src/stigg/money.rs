//! Stigg counts money in major units as JSON numbers (49.5 = $49.50), Tollgate in minor units. The step between them is
//! taken on decimal text, never through a float.

use tollgate_rules::money::{Currency, Money};

/// Decimal places of a currency's minor unit, as Stripe charges it (docs.stripe.com/currencies, 2026).
fn decimals(currency: &Currency) -> usize {
    match currency.as_str() {
        "bif" | "clp" | "djf" | "gnf" | "jpy" | "kmf" | "krw" | "mga" | "pyg" | "rwf" | "ugx" | "vnd" | "vuv"
        | "xaf" | "xof" | "xpf" => 0,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 3,
        _ => 2,
    }
}

/// Reads a decimal number of major units. `None` when it is no plain decimal, is finer than a minor unit, or is too
/// large: an amount is then not comparable, never rounded.
pub(super) fn from_major(text: &str, currency: Currency) -> Option<Money> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let places = decimals(&currency);
    if fraction.len() > places {
        return None;
    }
    let minor: i64 = format!("{whole}{fraction:0<places$}").parse().ok()?;
    Some(Money::new(if negative { minor.checked_neg()? } else { minor }, currency))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minor(text: &str, currency: &str) -> Option<i64> {
        from_major(text, Currency::parse(currency).unwrap()).map(|money| money.minor)
    }

    #[test]
    fn major_units_become_minor_units_without_rounding() {
        assert_eq!(minor("49", "usd"), Some(4_900));
        assert_eq!(minor("-14.5", "usd"), Some(-1_450));
        assert_eq!(minor("0.290", "usd"), Some(29));
        assert_eq!(minor("1000", "jpy"), Some(1_000));
        assert_eq!(minor("1.234", "kwd"), Some(1_234));
        for text in ["", "-", "1e3", "0.001", ".5", "1,5", "92233720368547758.08", "NaN"] {
            assert_eq!(minor(text, "usd"), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_of_cents_survives_the_way_through_major_units(cents in any::<i64>()) {
            let (sign, size) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
            let text = format!("{sign}{}.{:02}", size / 100, size % 100);
            // The one amount without a positive twin is refused; every other one comes back.
            prop_assert_eq!(minor(&text, "usd"), (cents != i64::MIN).then_some(cents));
        }
    }
}
