//! Statements about keys.

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::access::{CallerKind, OrgRef};
use crate::clock::hex;
use crate::db::{Connection, Error, Statement};
use crate::secrets::Fingerprint;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&KEY_BY_HASH, &OPERATOR_KEY_BY_HASH];

const KEY_BY_HASH: Statement = Statement::new(
    "keys.by_hash",
    "SELECT k.key_id, k.scopes, k.expires_at, o.org_key, o.org_id
     FROM api_keys k
     JOIN organizations o ON o.org_key = k.org_key
     WHERE k.secret_hash = $1 AND k.revoked_at IS NULL AND o.status <> 'closed'",
);
const OPERATOR_KEY_BY_HASH: Statement = Statement::new(
    "keys.operator_by_hash",
    "SELECT key_id, label, expires_at
     FROM operator_keys
     WHERE secret_hash = $1 AND revoked_at IS NULL",
);

/// A credential that is not revoked.
pub(crate) struct FoundKey {
    pub(crate) kind: CallerKind,
    pub(crate) key_id: String,
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) async fn key_by_fingerprint(
    connection: &mut Connection,
    fingerprint: &Fingerprint,
) -> Result<Option<FoundKey>, Error> {
    let hash = hex(fingerprint);
    if let Some(row) = connection.optional(&KEY_BY_HASH, &[hash.as_str().into()]).await? {
        let key_id = row.text("key_id")?;
        let org = OrgRef { key: OrgKey(row.i64("org_key")?), id: parsed(OrgId::parse(&row.text("org_id")?))? };
        let scopes = row.text("scopes")?.split(' ').filter_map(Scope::parse).collect();
        let kind = CallerKind::Key { org, key_id: parsed(KeyId::parse(&key_id))?, scopes };
        return Ok(Some(FoundKey { kind, key_id, expires_at: row.opt_time("expires_at")? }));
    }
    let Some(row) = connection.optional(&OPERATOR_KEY_BY_HASH, &[hash.into()]).await? else { return Ok(None) };
    let kind = CallerKind::Operator { label: row.text("label")? };
    Ok(Some(FoundKey { kind, key_id: row.text("key_id")?, expires_at: row.opt_time("expires_at")? }))
}

fn parsed<T>(id: Result<T, tollgate_rules::ids::InvalidId>) -> Result<T, Error> {
    id.map_err(|error| Error::Bug(format!("a stored id: {error}")))
}
