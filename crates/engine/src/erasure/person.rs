//! Erases one person.

use tollgate_rules::ids::OrgKey;

use super::outside::{self, Outside};
use super::{batches, sql};
use crate::audit::{self, Of};
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// Erases what is stored about a person whose account is closed: what is left is an id that nobody can look up.
pub(super) async fn erase(engine: &Engine, person: &sql::Person) -> Result<(), Error> {
    for statement in super::OF_PERSON {
        batches(engine, statement, sql::Subject::Text(person.user_id.clone())).await?;
    }
    if let Some(email) = &person.email {
        if outside::forget_address(engine, email).await? == Outside::Waits {
            return Ok(());
        }
        for statement in super::OF_ADDRESS {
            batches(engine, statement, sql::Subject::Text(email.clone())).await?;
        }
        let subject = engine.sealer().mac("sign-in", email);
        batches(engine, &sql::ATTEMPTS, sql::Subject::Text(subject)).await?;
        while mentions(engine, email).await? {}
    }
    let (task, user_id) = (engine.clone(), person.user_id.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if sql::mark_person(&mut tx, &user_id, task.now()).await? {
            let entry = audit::Entry::by_system("erasure", OrgKey(audit::SERVER), "accounts.erase", user_id);
            audit::append(&task, &mut tx, entry).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// One batch of journal entries that mention the address; whether there may be more.
async fn mentions(engine: &Engine, email: &str) -> Result<bool, Error> {
    let (task, email) = (engine.clone(), email.to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let rows = task.limits().control_rows_max;
        let erased = audit::erase(&mut tx, Of::Mention(&email), rows).await?;
        tx.commit().await?;
        Ok::<_, Error>(i64::try_from(erased).unwrap_or(0) == rows)
    };
    engine.db().detached(write).await
}
