//! Our table follows what was changed there by us: the answer is a fact like any other, and the message about it changes nothing more.

use tollgate_connectors::identity::{Fact, MembershipFact};
use tollgate_rules::ids::UserId;

use super::apply::{self, After};
use super::sql;
use crate::access::OrgScope;
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// A membership as it is there now.
pub(crate) async fn take_in(engine: &Engine, told: MembershipFact) -> Result<(), Error> {
    write(engine, Fact::Membership(told)).await.map(|_| ())
}

/// A membership that ended there.
pub(crate) async fn take_out(engine: &Engine, told: MembershipFact) -> Result<(), Error> {
    write(engine, Fact::MembershipGone(told)).await.map(|_| ())
}

/// There is no such membership there: a late message does not revive it.
pub(crate) async fn know_gone(engine: &Engine, scope: &OrgScope, user_id: &UserId) -> Result<(), Error> {
    let (task, of, about) = (engine.clone(), scope.clone(), format!("{}/{user_id}", scope.org_id()));
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        sql::mark_gone_about(&mut tx, &about).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// Writes a fact down; 1 where it changed something.
pub(super) async fn write(engine: &Engine, fact: Fact) -> Result<u64, Error> {
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let mut after = After::default();
        apply::apply(&task, &mut tx, &fact, &mut after).await?;
        tx.commit().await?;
        Ok::<_, Error>(after)
    };
    let after = engine.db().detached(write).await?;
    after.carry_out(engine);
    Ok(u64::from(after.changed))
}
