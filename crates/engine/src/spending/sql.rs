//! Statements about spend caps.

use tollgate_rules::ids::OrgKey;
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::time::Timestamp;

use crate::access::OrgScope;
use crate::db::{Arg, Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&CAP, &PUT, &DELETE];

const CAP: Statement = Statement::new(
    "spending.cap",
    "SELECT amount_minor, currency, actor, set_at
     FROM spend_caps
     WHERE org_key = $1",
);

/// A cap as it is stored.
pub(super) struct Cap {
    pub(super) amount: Money,
    pub(super) actor: String,
    pub(super) set_at: Timestamp,
}

/// The org's cap.
pub(super) async fn cap(connection: &mut Connection, org_key: OrgKey) -> Result<Option<Cap>, Error> {
    let row = connection.optional(&CAP, &[org_key.0.into()]).await?;
    row.map(|row| {
        let currency = Currency::parse(&row.text("currency")?)
            .map_err(|error| Error::Bug(format!("a stored spend cap: {error}")))?;
        let amount = Money::new(row.i64("amount_minor")?, currency);
        Ok(Cap { amount, actor: row.text("actor")?, set_at: row.time("set_at")? })
    })
    .transpose()
}

const PUT: Statement = Statement::new(
    "spending.put",
    "INSERT INTO spend_caps (org_key, amount_minor, currency, actor, set_at)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (org_key) DO UPDATE
     SET amount_minor = excluded.amount_minor, currency = excluded.currency, actor = excluded.actor, set_at = excluded.set_at",
);

/// Writes the org's cap.
pub(super) async fn put(tx: &mut Tx, scope: &OrgScope, cap: Money, now: Timestamp) -> Result<(), Error> {
    let args: [Arg; 5] =
        [scope.org_key().0.into(), cap.minor.into(), cap.currency.as_str().into(), scope.actor().into(), now.into()];
    tx.execute(&PUT, &args).await.map(|_| ())
}

const DELETE: Statement = Statement::new("spending.delete", "DELETE FROM spend_caps WHERE org_key = $1");

/// Takes the org's cap away.
pub(super) async fn delete(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    tx.execute(&DELETE, &[org_key.0.into()]).await.map(|_| ())
}
