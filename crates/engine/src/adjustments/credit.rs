//! Gives credit that pays the org's next invoices.

use serde_json::Value;

use tollgate_connectors::billing::NewCredit;
use tollgate_rules::money::Money;

use super::record::{self, Frozen};
use super::{Adjustment, Error, Recorded};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::operations::{Kind, Run, Stop};
use crate::subscriptions::{self, stop};

/// The most credit of one grant, in minor units.
const AMOUNT_MAX: i64 = 99_999_999;

/// Gives credit.
///
/// # Errors
/// [`Error`]; in particular another currency than the org pays in. Nothing was given.
pub async fn grant_credit(engine: &Engine, scope: &OrgScope, amount: Money, reason: &str) -> Result<Recorded, Error> {
    let reason = record::reason(reason)?;
    if !(1..=AMOUNT_MAX).contains(&amount.minor) {
        return Err(Error::wrong("amount", "must be a whole number from 1 to 99999999"));
    }
    let customer_id = record::customer(engine, scope).await?;
    if let Some(pays) = engine.billing().customer_currency(&customer_id).await?
        && pays != amount.currency.as_str()
    {
        return Err(Error::wrong("currency", format!("the org pays in {pays}")));
    }
    let request = NewCredit { customer_id, amount };
    record::make(engine, scope, Kind::CreditGrant, (reason, request)).await
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen::<NewCredit> { why, request } = run.body()?;
    let (engine, new, mark) = (run.engine().clone(), request.clone(), run.id().to_owned());
    let forgotten = subscriptions::keys_are_forgotten(run);
    let (credit_id, credit_left): (String, i64) = run
        .step("credit", |key| async move {
            if forgotten && let Some(found) = engine.billing().find_credit(&mark, &new).await.map_err(stop)? {
                return Ok((found.credit_id, found.credit_left));
            }
            let made = engine.billing().create_credit(&key, &mark, &new).await.map_err(stop)?;
            Ok((made.credit_id, made.credit_left))
        })
        .await?;
    record::write(run, why, Adjustment::Credit { credit_id, amount: request.amount, credit_left }).await
}
