//! Money: whole minor units beside a currency. No floats, no silent mixing of currencies.

use serde::{Deserialize, Serialize};

/// A currency as three lower case letters of ISO 4217 (`usd`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A text that is not three lower case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three lower case letters of ISO 4217, such as usd")]
pub struct InvalidCurrency;

impl Currency {
    /// The US dollar.
    pub const USD: Currency = Currency(*b"usd");

    /// Reads a currency.
    ///
    /// # Errors
    /// [`InvalidCurrency`] unless the text is three lower case letters.
    pub fn parse(text: &str) -> Result<Self, InvalidCurrency> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_lowercase) => Ok(Self(letters)),
            _ => Err(InvalidCurrency),
        }
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency holds ASCII letters only")
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;
    fn try_from(text: String) -> Result<Self, InvalidCurrency> {
        Self::parse(&text)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.as_str().to_owned()
    }
}

/// An amount in minor units (cents) of one currency; negative for credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units of the currency.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The sum; nothing when the currencies differ or it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self::new(self.minor.checked_add(other.minor)?, self.currency))
    }

    /// The amount times a whole number; nothing when it does not fit.
    pub fn checked_times(self, factor: i64) -> Option<Self> {
        Some(Self::new(self.minor.checked_mul(factor)?, self.currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_lower_case_letters() {
        assert_eq!(Currency::parse("usd"), Ok(Currency::USD));
        for wrong in ["", "us", "USD", "usdt", "u$d", "é1"] {
            assert_eq!(Currency::parse(wrong), Err(InvalidCurrency), "{wrong}");
        }
    }

    #[test]
    fn amounts_of_two_currencies_are_never_added() {
        let euro = Currency::parse("eur").unwrap();
        assert_eq!(Money::new(1, Currency::USD).checked_add(Money::new(1, euro)), None);
        assert_eq!(
            Money::new(4_900, Currency::USD).checked_add(Money::new(-900, Currency::USD)),
            Some(Money::new(4_000, Currency::USD))
        );
        assert_eq!(Money::new(i64::MAX, Currency::USD).checked_times(2), None);
    }
}
