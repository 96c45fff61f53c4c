//! Statements about checkouts.

use tollgate_rules::ids::{OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use super::{Checkout, State};
use crate::access::OrgScope;
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &BY_NAME, &LOCK, &OPEN_OF, &SET_STATE, &GIVE_ORG, &DELETE_OLD];

const INSERT: Statement = Statement::new(
    "checkouts.insert",
    "INSERT INTO checkouts (org_key, checkout_id, org_id, org_name, email, price_lookup, state, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, 'asked', $7, $7)",
);

pub(super) async fn insert(tx: &mut Tx, scope: &OrgScope, new: &Checkout, at: Timestamp) -> Result<(), Error> {
    let args = [
        scope.org_key().0.into(),
        new.checkout_id.as_str().into(),
        new.org_id.as_str().into(),
        new.org_name.as_deref().into(),
        new.email.as_str().into(),
        new.price_lookup.as_str().into(),
        at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const BY_NAME: Statement = Statement::new(
    "checkouts.by_name",
    "SELECT org_key, checkout_id, org_id, org_name, email, price_lookup, state, session_id
     FROM checkouts
     WHERE checkout_id = $1
     ORDER BY org_key
     LIMIT 1",
);
const LOCK: Statement = Statement::split(
    "checkouts.lock",
    "SELECT org_key, checkout_id, org_id, org_name, email, price_lookup, state, session_id
     FROM checkouts
     WHERE checkout_id = $1
     ORDER BY org_key
     LIMIT 1",
    "SELECT org_key, checkout_id, org_id, org_name, email, price_lookup, state, session_id
     FROM checkouts
     WHERE checkout_id = $1
     ORDER BY org_key
     LIMIT 1
     FOR UPDATE",
);

/// The checkout of this name, whoever's it is: how an event at billing finds what it is about.
pub(super) async fn by_name(connection: &mut Connection, checkout_id: &str) -> Result<Option<Checkout>, Error> {
    let row = connection.optional(&BY_NAME, &[checkout_id.into()]).await?;
    row.as_ref().map(checkout).transpose()
}

/// The same, locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, checkout_id: &str) -> Result<Option<Checkout>, Error> {
    let row = tx.optional(&LOCK, &[checkout_id.into()]).await?;
    row.as_ref().map(checkout).transpose()
}

const OPEN_OF: Statement = Statement::new(
    "checkouts.open_of",
    "SELECT org_key, checkout_id, org_id, org_name, email, price_lookup, state, session_id
     FROM checkouts
     WHERE org_key = $1 AND state = 'open' AND checkout_id <> $2
     ORDER BY created_at, checkout_id
     LIMIT 100",
);

/// The other pages of an org that are open.
pub(super) async fn open_of(
    connection: &mut Connection,
    scope: &OrgScope,
    checkout_id: &str,
) -> Result<Vec<Checkout>, Error> {
    let rows = connection.all(&OPEN_OF, &[scope.org_key().0.into(), checkout_id.into()]).await?;
    rows.iter().map(checkout).collect()
}

const SET_STATE: Statement = Statement::new(
    "checkouts.set_state",
    "UPDATE checkouts
     SET state = $3, session_id = COALESCE($4, session_id), updated_at = $5
     WHERE org_key = $1 AND checkout_id = $2 AND state <> 'completed' AND state <> $3",
);

/// False when it is so already; what is completed stays completed.
pub(super) async fn set_state(
    tx: &mut Tx,
    (org_key, checkout_id): (OrgKey, &str),
    (state, session_id): (State, Option<&str>),
    at: Timestamp,
) -> Result<bool, Error> {
    let args = [org_key.0.into(), checkout_id.into(), state.as_str().into(), session_id.into(), at.into()];
    Ok(tx.execute(&SET_STATE, &args).await? == 1)
}

const GIVE_ORG: Statement = Statement::new(
    "checkouts.give_org",
    "UPDATE checkouts
     SET org_key = $2, state = 'completed', updated_at = $3
     WHERE checkout_id = $1 AND org_key = 0",
);

/// The org it made is there now.
pub(super) async fn give_org(tx: &mut Tx, checkout_id: &str, org_key: OrgKey, at: Timestamp) -> Result<(), Error> {
    tx.execute(&GIVE_ORG, &[checkout_id.into(), org_key.0.into(), at.into()]).await.map(|_| ())
}

const DELETE_OLD: Statement = Statement::new(
    "checkouts.delete_old",
    "DELETE FROM checkouts WHERE checkout_id IN (
       SELECT checkout_id FROM checkouts WHERE updated_at < $1 ORDER BY updated_at LIMIT $2)",
);

pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), rows.into()]).await
}

fn checkout(row: &Row) -> Result<Checkout, Error> {
    let bad = |what: &str| Error::Bug(format!("a stored checkout has an unreadable {what}"));
    Ok(Checkout {
        org_key: OrgKey(row.i64("org_key")?),
        checkout_id: row.text("checkout_id")?,
        org_id: OrgId::parse(&row.text("org_id")?).map_err(|_| bad("org"))?,
        org_name: row.opt_text("org_name")?,
        email: row.text("email")?,
        price_lookup: row.text("price_lookup")?,
        state: State::parse(&row.text("state")?).ok_or_else(|| bad("state"))?,
        session_id: row.opt_text("session_id")?,
    })
}
