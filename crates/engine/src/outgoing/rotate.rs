//! A new secret for an endpoint; the one before signs beside it for a day.

use std::time::Duration;

use super::{Created, Error, endpoints, new_secret, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::Lane;
use crate::engine::Engine;

/// How long the former secret signs too.
const OVERLAP: Duration = Duration::from_hours(24);

/// Gives an endpoint a new secret. Rotating twice within a day ends the oldest at once.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn rotate(engine: &Engine, scope: &OperatorScope, endpoint_id: &str) -> Result<Created, Error> {
    let secret = new_secret(engine);
    let (task, by, id, fresh) = (engine.clone(), scope.clone(), endpoint_id.to_owned(), secret.clone());
    let write = async move {
        let until = task.now().plus(OVERLAP);
        let mut tx = task.db().begin(Lane::Control).await?;
        let before = sql::endpoint(&mut tx, task.sealer(), &id).await?.ok_or(Error::NotFound)?;
        let mut after = before.clone();
        after.former = Some((before.secret, until));
        after.secret = fresh;
        sql::put_endpoint(&mut tx, &task, &after).await?;
        let entry = audit::Entry::server(&by, "webhooks.endpoints.rotate", &id);
        audit::append(&task, &mut tx, entry.after(endpoints::audited(&after))).await?;
        tx.commit().await?;
        Ok::<_, Error>(after)
    };
    let endpoint = engine.db().detached(write).await?;
    Ok(Created { endpoint, secret })
}
