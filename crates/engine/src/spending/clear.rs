//! Takes the cap away.

use super::{Error, Spending, set, show, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::{audit, ledger};

/// Lets overage cost what it costs again. Where there is no cap, nothing changes.
///
/// # Errors
/// The database's.
pub async fn clear(engine: &Engine, scope: &OrgScope) -> Result<Spending, Error> {
    let (task, by) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.begin_for(&by).await?;
        ledger::lock(&mut tx, by.org_key()).await?;
        if let Some(before) = sql::cap(&mut tx, by.org_key()).await? {
            sql::delete(&mut tx, by.org_key()).await?;
            let entry = audit::Entry::of(&by, "spend-cap.clear", by.org_id().as_str());
            audit::append(&task, &mut tx, entry.before(set::told(before.amount))).await?;
            ledger::refresh(&task, &mut tx, by.org_key()).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await?;
    engine.ledger().forget(scope.org_key());
    show::show(engine, scope).await
}
