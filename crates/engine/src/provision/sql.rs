//! Statements about what the plan mirror was told.

use tollgate_rules::ids::{OrgKey, SubscriptionId};
use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&TOLD, &PUT_TOLD];

const TOLD: Statement = Statement::new(
    "provision.told",
    "SELECT told FROM mirrored_subscriptions WHERE org_key = $1 AND subscription_id = $2",
);

/// What was told last of a subscription; nothing of one that the mirror does not know.
pub(super) async fn told(
    connection: &mut Connection,
    org_key: OrgKey,
    id: &SubscriptionId,
) -> Result<Option<String>, Error> {
    let row = connection.optional(&TOLD, &[org_key.0.into(), id.as_str().into()]).await?;
    row.map(|row| row.text("told")).transpose()
}

const PUT_TOLD: Statement = Statement::new(
    "provision.put_told",
    "INSERT INTO mirrored_subscriptions (org_key, subscription_id, told, told_at)
     VALUES ($1, $2, $3, $4)
     ON CONFLICT (org_key, subscription_id) DO UPDATE SET told = excluded.told, told_at = excluded.told_at",
);

pub(super) async fn put_told(
    tx: &mut Tx,
    org_key: OrgKey,
    (id, told): (&SubscriptionId, &str),
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute(&PUT_TOLD, &[org_key.0.into(), id.as_str().into(), told.into(), at.into()]).await.map(|_| ())
}
