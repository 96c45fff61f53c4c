//! Counted units: signed quantities with checked arithmetic, and the positive units a request may name.

use serde::{Deserialize, Serialize};

/// A signed number of units in the metric's smallest unit (a stored delta, a counter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(i64);

impl Quantity {
    /// No units.
    pub const ZERO: Quantity = Quantity(0);

    /// A quantity of `units`.
    pub const fn new(units: i64) -> Self {
        Self(units)
    }

    /// The plain number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or nothing when it does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or nothing when it does not fit.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The units a request names: a whole number from 1 to 2⁵³−1, so that every JSON reader sees the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Units(i64);

/// A number outside 1..=2⁵³−1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("units are a whole number from 1 to 9007199254740991")]
pub struct InvalidUnits;

impl Units {
    /// One unit.
    pub const ONE: Units = Units(1);
    /// The most units one request may name.
    pub const MAX: Units = Units((1 << 53) - 1);

    /// Accepts a number of units.
    ///
    /// # Errors
    /// [`InvalidUnits`] outside 1..=2⁵³−1.
    pub const fn new(units: i64) -> Result<Self, InvalidUnits> {
        if units >= 1 && units <= Self::MAX.0 { Ok(Self(units)) } else { Err(InvalidUnits) }
    }

    /// The plain number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The same number as a quantity.
    pub const fn quantity(self) -> Quantity {
        Quantity(self.0)
    }
}

impl TryFrom<i64> for Units {
    type Error = InvalidUnits;
    fn try_from(units: i64) -> Result<Self, InvalidUnits> {
        Self::new(units)
    }
}

impl From<Units> for i64 {
    fn from(units: Units) -> i64 {
        units.0
    }
}

impl std::fmt::Display for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_positive_and_exact_in_every_json_reader() {
        assert_eq!(Units::new(1).map(Units::get), Ok(1));
        assert_eq!(Units::new(9_007_199_254_740_991).map(Units::get), Ok(9_007_199_254_740_991));
        for wrong in [0, -1, 9_007_199_254_740_992, i64::MAX, i64::MIN] {
            assert_eq!(Units::new(wrong), Err(InvalidUnits));
        }
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused_and_never_wraps() {
        assert_eq!(Quantity::new(i64::MAX).checked_add(Quantity::new(1)), None);
        assert_eq!(Quantity::new(i64::MIN).checked_sub(Quantity::new(1)), None);
        assert_eq!(Quantity::new(7).checked_sub(Quantity::new(9)), Some(Quantity::new(-2)));
    }
}
