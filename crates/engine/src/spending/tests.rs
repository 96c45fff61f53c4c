//! Spend caps on both databases: overage stops where the org says, at once, and no later than a cent before.

use tollgate_rules::catalog::{Included, OveragePolicy};
use tollgate_rules::money::{Currency, Money};

use super::{Error, clear, set, show};
use crate::ledger::tests::stage::{calls, org, record, rights_under};
use crate::ledger::{self, Outcome};
use crate::on_both;
use crate::testing::TestEngine;
use tollgate_rules::ledger::Rule;

const METERED: OveragePolicy = OveragePolicy::Metered { amount_minor: 300, per_units: 10 };

fn rule(outcome: Outcome<ledger::Recorded>) -> Option<Rule> {
    match outcome {
        Outcome::Allowed(_) => None,
        Outcome::Denied(denial) => Some(denial.rule),
    }
}

on_both! {
    async fn overage_stops_at_the_cap_and_goes_on_when_it_is_raised_or_taken_away(engine: TestEngine) {
        let scope = org(&engine, "capped", rights_under(Included::Units(10), METERED)).await;
        assert_eq!(rule(record(&engine, &scope, "one", 25).await.unwrap()), None);
        assert_eq!(show(&engine, &scope).await.unwrap().cap, None);
        let stands = set(&engine, &scope, 600, None).await.unwrap();
        assert_eq!(stands.cap, Some(Money::new(600, Currency::USD)));
        assert_eq!(rule(record(&engine, &scope, "two", 5).await.unwrap()), None, "within the block that is begun");
        let denied = rule(record(&engine, &scope, "three", 1).await.unwrap());
        assert_eq!(denied, Some(Rule::SpendCap { cap_minor: 600, spent_minor: 600 }));
        let check = ledger::Check { metric: calls(), units: crate::ledger::tests::stage::units(1) };
        let checked = ledger::check(&engine, &scope, check).await.unwrap().answer;
        assert!(matches!(checked, Outcome::Denied(_)), "a check says so too");
        set(&engine, &scope, 900, Some(Currency::USD)).await.unwrap();
        assert_eq!(rule(record(&engine, &scope, "three", 1).await.unwrap()), None, "a refused id may succeed later");
        assert!(rule(record(&engine, &scope, "four", 10).await.unwrap()).is_some());
        let stands = clear(&engine, &scope).await.unwrap();
        assert_eq!(stands.cap, None);
        assert_eq!(rule(record(&engine, &scope, "four", 10).await.unwrap()), None);
        crate::ledger::tests::stage::recount(&engine).await;
    }

    async fn a_cap_that_makes_no_sense_is_refused(engine: TestEngine) {
        let scope = org(&engine, "refused", rights_under(Included::Units(10), METERED)).await;
        for amount in [-1, i64::MAX] {
            assert!(matches!(set(&engine, &scope, amount, None).await, Err(Error::BadAmount)));
        }
        assert_eq!(show(&engine, &scope).await.unwrap().cap, None);
    }
}
