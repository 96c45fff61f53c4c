//! Statements about sites, activation codes and refresh tokens.

pub(crate) mod devices;
pub(crate) mod families;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::{Site, read_words, words};
use crate::access::OrgScope;
use crate::db::{Connection, Error, Row, Statement, Tx};
use crate::paging::Paging;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_CODE,
    &DROP_UNUSED_CODES,
    &USE_CODE,
    &CODE_KNOWN,
    &ORG_IS_OPEN,
    &INSERT_SITE,
    &SITE_BY_DOMAIN,
    &SITE,
    &LIST_SITES,
    &SET_VERIFIED,
    &FORGET_CODES,
];

/// A code as it is stored.
#[derive(Debug)]
pub(super) struct NewCode {
    pub(super) hash: String,
    pub(super) domain: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
}

const INSERT_CODE: Statement = Statement::new(
    "activation.insert_code",
    "INSERT INTO activation_codes (code_hash, org_key, domain, scopes, created_by, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);

pub(super) async fn insert_code(tx: &mut Tx, scope: &OrgScope, new: &NewCode) -> Result<(), Error> {
    let args = [
        new.hash.as_str().into(),
        scope.org_key().0.into(),
        new.domain.as_str().into(),
        words(&new.scopes).into(),
        scope.actor().into(),
        new.now.into(),
        new.expires_at.into(),
    ];
    tx.execute(&INSERT_CODE, &args).await.map(|_| ())
}

const DROP_UNUSED_CODES: Statement = Statement::new(
    "activation.drop_unused_codes",
    "DELETE FROM activation_codes WHERE org_key = $1 AND domain = $2 AND used_at IS NULL",
);

pub(super) async fn drop_unused_codes(tx: &mut Tx, scope: &OrgScope, domain: &str) -> Result<(), Error> {
    tx.execute(&DROP_UNUSED_CODES, &[scope.org_key().0.into(), domain.into()]).await.map(|_| ())
}

/// What a used code grants.
#[derive(Debug)]
pub(super) struct UsedCode {
    pub(super) org_key: OrgKey,
    pub(super) scopes: Vec<Scope>,
}

const USE_CODE: Statement = Statement::new(
    "activation.use_code",
    "UPDATE activation_codes
     SET used_at = $3
     WHERE code_hash = $1 AND domain = $2 AND used_at IS NULL AND expires_at > $3
     RETURNING org_key, scopes",
);

/// Uses a code up; of any number of callers, one gets what it grants.
pub(super) async fn use_code(tx: &mut Tx, hash: &str, domain: &str, now: Timestamp) -> Result<Option<UsedCode>, Error> {
    let row = tx.optional(&USE_CODE, &[hash.into(), domain.into(), now.into()]).await?;
    row.map(|row| Ok(UsedCode { org_key: OrgKey(row.i64("org_key")?), scopes: read_words(&row.text("scopes")?) }))
        .transpose()
}

const CODE_KNOWN: Statement =
    Statement::new("activation.code_known", "SELECT COUNT(*) AS found FROM activation_codes WHERE code_hash = $1");

/// Whether somebody made this code: a try of an unknown one is a guess.
pub(super) async fn code_known(connection: &mut Connection, hash: &str) -> Result<bool, Error> {
    Ok(connection.one(&CODE_KNOWN, &[hash.into()]).await?.i64("found")? > 0)
}

const ORG_IS_OPEN: Statement = Statement::new(
    "activation.org_is_open",
    "SELECT COUNT(*) AS found FROM organizations WHERE org_key = $1 AND status <> 'closed'",
);

pub(super) async fn org_is_open(connection: &mut Connection, org_key: OrgKey) -> Result<bool, Error> {
    Ok(connection.one(&ORG_IS_OPEN, &[org_key.0.into()]).await?.i64("found")? > 0)
}

/// A site as it is stored first.
#[derive(Debug)]
pub(super) struct NewSite<'a> {
    pub(super) site_id: &'a str,
    pub(super) domain: &'a str,
    pub(super) challenge: &'a str,
    pub(super) now: Timestamp,
}

const INSERT_SITE: Statement = Statement::new(
    "activation.insert_site",
    "INSERT INTO sites (org_key, site_id, domain, challenge, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $5)
     ON CONFLICT (org_key, domain) DO UPDATE SET updated_at = excluded.updated_at",
);

/// Makes the site unless the org has it already.
pub(super) async fn insert_site(tx: &mut Tx, scope: &OrgScope, new: &NewSite<'_>) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), new.site_id.into(), new.domain.into(), new.challenge.into(), new.now.into()];
    tx.execute(&INSERT_SITE, &args).await.map(|_| ())
}

const SITE_BY_DOMAIN: Statement =
    Statement::new("activation.site_by_domain", "SELECT site_id FROM sites WHERE org_key = $1 AND domain = $2");

pub(super) async fn site_by_domain(
    connection: &mut Connection,
    scope: &OrgScope,
    domain: &str,
) -> Result<String, Error> {
    connection.one(&SITE_BY_DOMAIN, &[scope.org_key().0.into(), domain.into()]).await?.text("site_id")
}

const SITE: Statement = Statement::new(
    "activation.site",
    "SELECT s.site_id, s.domain, s.challenge, s.verified_at, s.created_at,
       (SELECT COUNT(*) FROM token_families f
        WHERE f.org_key = s.org_key AND f.site_id = s.site_id AND f.revoked_at IS NULL AND f.ends_at > $3) AS live
     FROM sites s
     WHERE s.org_key = $1 AND s.site_id = $2",
);

pub(super) async fn site(
    connection: &mut Connection,
    scope: &OrgScope,
    site_id: &str,
    now: Timestamp,
) -> Result<Option<Site>, Error> {
    let row = connection.optional(&SITE, &[scope.org_key().0.into(), site_id.into(), now.into()]).await?;
    row.as_ref().map(read_site).transpose()
}

const SET_VERIFIED: Statement = Statement::new(
    "activation.set_verified",
    "UPDATE sites
     SET verified_at = $3, updated_at = $3
     WHERE org_key = $1 AND site_id = $2 AND verified_at IS NULL",
);

pub(super) async fn set_verified(tx: &mut Tx, scope: &OrgScope, site_id: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&SET_VERIFIED, &[scope.org_key().0.into(), site_id.into(), at.into()]).await? == 1)
}

const LIST_SITES: Statement = Statement::new(
    "activation.list_sites",
    "SELECT s.site_id, s.domain, s.challenge, s.verified_at, s.created_at,
       (SELECT COUNT(*) FROM token_families f
        WHERE f.org_key = s.org_key AND f.site_id = s.site_id AND f.revoked_at IS NULL AND f.ends_at > $4) AS live
     FROM sites s
     WHERE s.org_key = $1 AND (CAST($2 AS TEXT) IS NULL OR s.site_id < $2)
     ORDER BY s.site_id DESC
     LIMIT $3",
);

pub(super) async fn list_sites(
    connection: &mut Connection,
    scope: &OrgScope,
    paging: &Paging,
    now: Timestamp,
) -> Result<Vec<Site>, Error> {
    let args = [scope.org_key().0.into(), paging.after().into(), paging.fetch().into(), now.into()];
    connection.all(&LIST_SITES, &args).await?.iter().map(read_site).collect()
}

fn read_site(row: &Row) -> Result<Site, Error> {
    Ok(Site {
        site_id: row.text("site_id")?,
        domain: row.text("domain")?,
        verified_at: row.opt_time("verified_at")?,
        challenge: row.text("challenge")?,
        created_at: row.time("created_at")?,
        active: row.i64("live")? > 0,
    })
}

const FORGET_CODES: Statement = Statement::new(
    "activation.forget_codes",
    "DELETE FROM activation_codes
     WHERE code_hash IN (SELECT code_hash FROM activation_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
);

/// Deletes codes that ended before a moment.
pub(crate) async fn forget_codes(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_CODES, &[before.into(), rows.into()]).await
}
