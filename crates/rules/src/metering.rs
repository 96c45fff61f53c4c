//! What billing is to be told about usage beyond a metered allowance.
//!
//! While a period's invoice is open, units are reported to a meter, and taken back there; afterwards only money can be settled, by
//! an item on a later invoice. Either way the sum of what was told is what the catalog charges, to the minor unit.

/// The price of metered units: so much per begun block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What a block costs, in minor units.
    pub amount_minor: i64,
    /// The size of a block in units.
    pub per_units: i64,
}

impl Block {
    /// What `units` cost: a begun block is charged in full.
    pub fn charge(self, units: i64) -> i64 {
        let size = self.per_units.max(1);
        let full = units.max(0).div_euclid(size);
        let begun = if units.max(0).rem_euclid(size) > 0 { full.saturating_add(1) } else { full };
        begun.saturating_mul(self.amount_minor)
    }

    /// How many units beyond the limit `minor` pays for: what a spend cap in money allows.
    pub fn units_for(self, minor: i64) -> i64 {
        if self.amount_minor <= 0 {
            return i64::MAX;
        }
        minor.max(0).div_euclid(self.amount_minor).saturating_mul(self.per_units.max(1))
    }
}

/// What was used beyond the limit of one metric in one period, and what billing was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Units beyond what is included and granted.
    pub overage: i64,
    /// What they cost.
    pub block: Block,
    /// Units that were reported to the meter and not taken back.
    pub reported: i64,
    /// The price that the meter's units have at billing; nothing: none were reported.
    pub reported_at: Option<Block>,
    /// What invoice items charged (or gave back) already.
    pub items_minor: i64,
    /// Whether a meter counts for this price; without one everything is settled by items.
    pub metered: bool,
}

/// Whether units still reach the period's invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoice {
    /// They do.
    Open,
    /// It is final.
    Final,
}

/// What is to be done next; when it is done, ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Everything was told.
    Nothing,
    /// So many units more are reported to the meter.
    Report(i64),
    /// Too much was reported: the newest report is taken back.
    TakeBack,
    /// An invoice item charges this much, or gives it back below 0.
    Settle(i64),
}

impl Position {
    /// What the invoice comes to with all that was told.
    pub fn told_minor(self) -> i64 {
        self.reported_at.unwrap_or(self.block).charge(self.reported).saturating_add(self.items_minor)
    }

    /// The next thing to tell.
    pub fn next(self, invoice: Invoice) -> Next {
        if invoice == Invoice::Final || !self.metered {
            let due = self.block.charge(self.overage).saturating_sub(self.told_minor());
            return if due == 0 || invoice == Invoice::Open { Next::Nothing } else { Next::Settle(due) };
        }
        match self.overage.saturating_sub(self.reported) {
            0 => Next::Nothing,
            more if more > 0 => Next::Report(more),
            _ => Next::TakeBack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: Block = Block { amount_minor: 300, per_units: 1_000 };

    fn position(overage: i64, reported: i64, items_minor: i64) -> Position {
        let reported_at = (reported > 0).then_some(BLOCK);
        Position { overage, block: BLOCK, reported, reported_at, items_minor, metered: true }
    }

    #[test]
    fn a_begun_block_is_charged_in_full() {
        let charged: Vec<i64> = [-5, 0, 1, 999, 1_000, 1_001].iter().map(|units| BLOCK.charge(*units)).collect();
        assert_eq!(charged, [0, 0, 300, 300, 300, 600]);
    }

    #[test]
    fn what_money_pays_for_costs_no_more_than_it() {
        assert_eq!((BLOCK.units_for(899), BLOCK.units_for(900)), (2_000, 3_000));
    }

    #[test]
    fn units_are_reported_while_the_invoice_is_open_and_settled_afterwards() {
        assert_eq!(position(1_500, 400, 0).next(Invoice::Open), Next::Report(1_100));
        assert_eq!(position(300, 400, 0).next(Invoice::Open), Next::TakeBack);
        assert_eq!(position(1_500, 400, 0).next(Invoice::Final), Next::Settle(300));
        assert_eq!(position(0, 1_400, 0).next(Invoice::Final), Next::Settle(-600));
        assert_eq!(position(900, 400, 0).next(Invoice::Final), Next::Nothing, "the same block");
    }

    proptest! {
        #[test]
        fn in_the_end_exactly_what_the_catalog_charges_was_told(
            steps in prop::collection::vec((0_i64..5_000, any::<bool>()), 1..12),
        ) {
            let (mut reported, mut items, mut last) = (0, 0, 0);
            for (overage, open) in steps.iter().copied().chain([(steps[0].0, false)]) {
                last = overage;
                let invoice = if open { Invoice::Open } else { Invoice::Final };
                for _ in 0..3 {
                    match position(overage, reported, items).next(invoice) {
                        Next::Nothing => break,
                        Next::Report(units) => reported += units,
                        Next::TakeBack => reported = 0,
                        Next::Settle(minor) => items += minor,
                    }
                }
            }
            prop_assert_eq!(position(last, reported, items).told_minor(), BLOCK.charge(last));
        }
    }
}
