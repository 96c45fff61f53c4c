//! Statements about orgs.

use tollgate_rules::ids::{OrgId, OrgKey};

use crate::db::{Connection, Error, Statement};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&ORG_KEY];

const ORG_KEY: Statement = Statement::new("orgs.key_by_id", "SELECT org_key FROM organizations WHERE org_id = $1");

pub(crate) async fn org_key(connection: &mut Connection, org_id: &OrgId) -> Result<Option<OrgKey>, Error> {
    let row = connection.optional(&ORG_KEY, &[org_id.as_str().into()]).await?;
    row.map(|row| row.i64("org_key").map(OrgKey)).transpose()
}
