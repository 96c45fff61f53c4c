//! Sets the cap.

use serde_json::json;

use tollgate_rules::money::{Currency, Money};

use super::{Error, Spending, show, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::{audit, ledger};

/// The most a cap may be, in minor units.
const AMOUNT_MAX: i64 = 99_999_999_999;

/// Sets the most that overage may cost in a quota period; it holds with this very transaction. Left out, the currency is the plan's.
///
/// # Errors
/// [`Error::BadAmount`], [`Error::OtherCurrency`], or the database's.
pub async fn set(
    engine: &Engine,
    scope: &OrgScope,
    amount: i64,
    currency: Option<Currency>,
) -> Result<Spending, Error> {
    if !(0..=AMOUNT_MAX).contains(&amount) {
        return Err(Error::BadAmount);
    }
    let charged_in = show::currency(engine, scope).await?;
    if let (Some(named), Some(charged_in)) = (currency, charged_in)
        && named != charged_in
    {
        return Err(Error::OtherCurrency(charged_in.to_string()));
    }
    let cap = Money::new(amount, currency.or(charged_in).unwrap_or(Currency::USD));
    let (task, by) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.begin_for(&by).await?;
        ledger::lock(&mut tx, by.org_key()).await?;
        let before = sql::cap(&mut tx, by.org_key()).await?;
        sql::put(&mut tx, &by, cap, task.now()).await?;
        let entry = audit::Entry::of(&by, "spend-cap.set", by.org_id().as_str());
        let entry = match before {
            Some(before) => entry.before(told(before.amount)),
            None => entry,
        };
        audit::append(&task, &mut tx, entry.after(told(cap))).await?;
        ledger::refresh(&task, &mut tx, by.org_key()).await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    engine.ledger().forget(scope.org_key());
    show::show(engine, scope).await
}

pub(super) fn told(cap: Money) -> serde_json::Value {
    json!({ "amount": cap.minor, "currency": cap.currency.as_str() })
}
