//! Reads one org.

use super::{Error, Org, sql};
use crate::access::OrgScope;
use crate::engine::Engine;

/// The org of the scope.
///
/// # Errors
/// The database's.
pub async fn get(engine: &Engine, scope: &OrgScope) -> Result<Org, Error> {
    let mut connection = engine.read_for(scope).await?;
    sql::by_key(&mut connection, scope).await?.ok_or(Error::NotFound)
}
