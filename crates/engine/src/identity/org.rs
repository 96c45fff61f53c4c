//! An org where somebody else keeps the organizations: the one that is there, or a new one.

use tollgate_connectors::identity::{self as connector, NewOrg, OrgFact};
use tollgate_rules::ids::{OrgId, UserId};

use crate::engine::Engine;

/// The organization with this id, as it is there.
///
/// # Errors
/// As the connector's.
pub(crate) async fn org_there(engine: &Engine, org_id: &OrgId) -> Result<OrgFact, connector::Error> {
    engine.identity().organization(org_id).await
}

/// Makes an organization there. The same marker means the same organization, `repeated` says that it may have been sent before.
///
/// # Errors
/// As the connector's.
pub(crate) async fn make_org(
    engine: &Engine,
    name: &str,
    owner: &UserId,
    (marker, repeated): (&str, bool),
) -> Result<OrgFact, connector::Error> {
    let new = NewOrg { name, created_by: Some(owner.as_str()), marker, repeated };
    engine.identity().create_organization(&new).await
}
