//! Statements that erase. Each takes a subject and a number of rows, and finds nothing more once it is done.

pub(crate) mod org;
pub(crate) mod person;

use tollgate_rules::ids::{CustomerId, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement, Tx};

/// Every statement that is in none of the lists of `org` and `person`.
pub(crate) const ALL: &[&Statement] = &[
    &PEOPLE_DUE,
    &ORGS_DUE,
    &MARK_PERSON,
    &MARK_ORG,
    &ATTEMPTS,
    &PAID_BY_ADDRESS,
    &CUSTOMER_GONE,
    &CUSTOMER_RENAMED,
    &LATE_DELIVERIES,
];

/// Whose rows a statement erases.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// An org's.
    Org(i64),
    /// A user's id, an address, or the keyed hash of one.
    Text(String),
}

/// Erases at most `rows` rows of the subject; how many there were.
pub(super) async fn run(
    tx: &mut Tx,
    statement: &'static Statement,
    subject: &Subject,
    rows: i64,
) -> Result<u64, Error> {
    match subject {
        Subject::Org(org_key) => tx.execute(statement, &[(*org_key).into(), rows.into()]).await,
        Subject::Text(text) => tx.execute(statement, &[text.as_str().into(), rows.into()]).await,
    }
}

/// A person whose account has been closed for long enough.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) user_id: String,
    pub(super) email: Option<String>,
}

const PEOPLE_DUE: Statement = Statement::new(
    "erasure.people_due",
    "SELECT user_id, email FROM users WHERE status = 'closed' AND closed_at <= $1 ORDER BY closed_at, user_id LIMIT $2",
);

pub(super) async fn people_due(
    connection: &mut Connection,
    before: Timestamp,
    rows: i64,
) -> Result<Vec<Person>, Error> {
    let rows = connection.all(&PEOPLE_DUE, &[before.into(), rows.into()]).await?;
    rows.iter().map(|row| Ok(Person { user_id: row.text("user_id")?, email: row.opt_text("email")? })).collect()
}

const ORGS_DUE: Statement = Statement::new(
    "erasure.orgs_due",
    "SELECT org_key FROM organizations
     WHERE status = 'closed' AND erased_at IS NULL AND closed_at <= $1
     ORDER BY closed_at, org_key
     LIMIT $2",
);

pub(super) async fn orgs_due(connection: &mut Connection, before: Timestamp, rows: i64) -> Result<Vec<OrgKey>, Error> {
    let rows = connection.all(&ORGS_DUE, &[before.into(), rows.into()]).await?;
    rows.iter().map(|row| row.i64("org_key").map(OrgKey)).collect()
}

const MARK_PERSON: Statement = Statement::new(
    "erasure.mark_person",
    "UPDATE users
     SET status = 'erased', email = NULL, name = NULL, password_hash = NULL, totp_sealed = NULL, totp_confirmed_at = NULL,
         totp_last_step = NULL, updated_at = $2
     WHERE user_id = $1 AND status = 'closed'",
);

/// Erases the row itself; false where it was opened again meanwhile.
pub(super) async fn mark_person(tx: &mut Tx, user_id: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&MARK_PERSON, &[user_id.into(), at.into()]).await? == 1)
}

const MARK_ORG: Statement = Statement::new(
    "erasure.mark_org",
    "UPDATE organizations
     SET name = 'erased', email = NULL, owner_user_id = 'user_erased', timezone = 'UTC', erased_at = $2, updated_at = $2
     WHERE org_key = $1 AND status = 'closed' AND erased_at IS NULL",
);

/// Erases the row itself, and notes when; false where it was opened again meanwhile.
pub(super) async fn mark_org(tx: &mut Tx, org_key: OrgKey, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&MARK_ORG, &[org_key.0.into(), at.into()]).await? == 1)
}

/// Failed sign-ins, by the keyed hash of the address.
pub(super) const ATTEMPTS: Statement = Statement::new(
    "erasure.attempts",
    "DELETE FROM sign_in_attempts WHERE subject IN (
       SELECT subject FROM sign_in_attempts WHERE subject = $1 ORDER BY subject LIMIT $2)",
);

const PAID_BY_ADDRESS: Statement = Statement::new(
    "erasure.paid_by_address",
    "SELECT c.org_key, c.customer_id, CASE WHEN LOWER(o.email) = $1 THEN NULL ELSE o.email END AS contact
     FROM customers c
     JOIN organizations o ON o.org_key = c.org_key
     WHERE LOWER(c.email) = $1 AND c.deleted = 0
     ORDER BY c.org_key
     LIMIT $2",
);

/// A customer whose invoices go to somebody's address.
#[derive(Debug, Clone)]
pub(super) struct Paid {
    pub(super) org_key: OrgKey,
    pub(super) customer_id: CustomerId,
    /// The org's own address, where that is another one.
    pub(super) contact: Option<String>,
}

pub(super) async fn paid_by_address(connection: &mut Connection, email: &str, rows: i64) -> Result<Vec<Paid>, Error> {
    let rows = connection.all(&PAID_BY_ADDRESS, &[email.into(), rows.into()]).await?;
    let read = |row: &crate::db::Row| {
        let customer_id =
            CustomerId::parse(&row.text("customer_id")?).map_err(|error| Error::Bug(error.to_string()))?;
        Ok(Paid { org_key: OrgKey(row.i64("org_key")?), customer_id, contact: row.opt_text("contact")? })
    };
    rows.iter().map(read).collect()
}

const CUSTOMER_GONE: Statement = Statement::new(
    "erasure.customer_gone",
    "UPDATE customers SET deleted = 1, email = NULL, default_payment_method = NULL, updated_at = $3
     WHERE org_key = $1 AND customer_id = $2 AND deleted = 0",
);

/// Notes that billing has no such customer any more; false where that was known.
pub(super) async fn customer_gone(tx: &mut Tx, org_key: OrgKey, id: &CustomerId, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&CUSTOMER_GONE, &[org_key.0.into(), id.as_str().into(), at.into()]).await? == 1)
}

const CUSTOMER_RENAMED: Statement = Statement::new(
    "erasure.customer_renamed",
    "UPDATE customers SET email = $3, updated_at = $4 WHERE org_key = $1 AND customer_id = $2",
);

/// Notes where billing sends the org's invoices now.
pub(super) async fn customer_renamed(
    tx: &mut Tx,
    (org_key, id): (OrgKey, &CustomerId),
    email: Option<&str>,
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute(&CUSTOMER_RENAMED, &[org_key.0.into(), id.as_str().into(), email.into(), at.into()]).await.map(|_| ())
}

const LATE_DELIVERIES: Statement = Statement::new(
    "erasure.late_deliveries",
    "UPDATE webhook_inbox SET payload = '{}', last_error = NULL
     WHERE inbox_id IN (
       SELECT i.inbox_id FROM webhook_inbox i
       JOIN customers c ON c.customer_id = i.customer_id
       JOIN organizations o ON o.org_key = c.org_key
       WHERE o.erased_at > $1 AND i.state <> 'pending' AND (i.payload <> '{}' OR i.last_error IS NOT NULL)
       ORDER BY i.inbox_id LIMIT $2)",
);

/// Billing goes on telling about a customer after it was deleted: what is said then about orgs erased since `since` is not kept.
pub(super) async fn late_deliveries(tx: &mut Tx, since: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&LATE_DELIVERIES, &[since.into(), rows.into()]).await
}
