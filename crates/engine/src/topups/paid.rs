//! An invoice was paid: gives what was bought with it, once.

use std::time::Duration;

use tollgate_rules::catalog::TopupLasts;
use tollgate_rules::ids::{InvoiceId, OrgKey};

use super::{State, sql};
use crate::access::{OrgRef, OrgScope};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::grants::{self, NewGrant, Source};
use crate::{ledger, orgs};

/// After what ends by itself (carried over), and after what an operator gives: what was paid for is used last.
const PRIORITY: i64 = 60;
/// How long units of "this period" last when they are paid while no period is open.
const WITHOUT_PERIOD: Duration = Duration::from_secs(31 * 24 * 3_600);

/// Gives what was bought with an invoice, in the caller's transaction; says whether this call did. Afterwards call
/// `engine.ledger().forget(org_key)`.
pub(crate) async fn paid(engine: &Engine, tx: &mut Tx, org_key: OrgKey, invoice_id: &InvoiceId) -> Result<bool, Error> {
    let bought = sql::by_invoice(tx, org_key, invoice_id).await?;
    let Some(bought) = bought.filter(|bought| bought.state != State::Paid) else { return Ok(false) };
    // What is due opens first: "this period" is the one that is open at this moment.
    ledger::refresh(engine, tx, org_key).await?;
    let now = engine.now();
    let (only_period, ends_at) = match bought.pack.lasts {
        TopupLasts::ForGood => (None, None),
        TopupLasts::Days(days) => (None, Some(now.plus_days(days))),
        TopupLasts::Period => match grants::current_period(tx, org_key).await? {
            Some(period) => (Some(period), None),
            None => (None, Some(now.plus(WITHOUT_PERIOD))),
        },
    };
    let org = OrgRef { key: org_key, id: orgs::sql::org_id(tx, org_key).await? };
    let scope = OrgScope::restored(org, bought.actor.clone(), String::new());
    let new = NewGrant {
        metric: bought.pack.metric.clone(),
        units: bought.pack.units,
        priority: PRIORITY,
        starts_at: now,
        ends_at,
        only_period,
        source: Source::Topup,
        source_id: Some(bought.topup_id.clone()),
        reason: format!("bought: {}", bought.pack.name),
    };
    let given = grants::insert(engine, tx, &scope, new).await?;
    let grant_id = given.map(|grant| grant.grant_id);
    sql::paid(tx, org_key, &bought.topup_id, grant_id.as_deref(), now).await?;
    ledger::refresh(engine, tx, org_key).await?;
    Ok(grant_id.is_some())
}
