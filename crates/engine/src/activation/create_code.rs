//! Makes an activation code for one site.

use secrecy::SecretString;
use serde_json::json;

use tollgate_rules::access::Scope;
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::time::Timestamp;

use super::{Error, site_domain, sql, words};
use crate::access::{Caller, OrgScope};
use crate::audit;
use crate::clock::Entropy;
use crate::engine::Engine;
use crate::{keys, orgs};

/// The letters of codes (RFC 8628, 6.1): none that can be mistaken for another, no vowels that could spell a word.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// What codes are hashed for.
const PURPOSE: &str = "activation codes";

/// A new code, shown once.
#[derive(Debug, Clone)]
pub struct Code {
    /// `XXXX-XXXX`.
    pub code: SecretString,
    /// The site's domain in its one spelling.
    pub domain: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Makes a code for a domain; a code made before for the same domain and not used yet ends.
///
/// # Errors
/// [`Error::BadDomain`], [`Error::Closed`], [`Error::Escalation`]: a key grants sites no more than it may itself, and one with a
/// quota grants nothing.
pub async fn create_code(engine: &Engine, caller: &Caller, scope: &OrgScope, domain: &str) -> Result<Code, Error> {
    let domain = site_domain(domain)?;
    let scopes = grantable(caller)?;
    let plain = shown(&engine.clock().entropy);
    let now = engine.now();
    let expires_at = now.plus(engine.limits().activation_code_lifetime);
    let new = sql::NewCode { hash: hashed(engine, &plain), domain: domain.clone(), scopes, now, expires_at };
    let (task, of) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        let org = orgs::sql::lock(&mut tx, &of).await?.ok_or(Error::NotFound)?;
        if org.status == OrgStatus::Closed {
            return Err(Error::Closed);
        }
        sql::drop_unused_codes(&mut tx, &of, &new.domain).await?;
        sql::insert_code(&mut tx, &of, &new).await?;
        let after = json!({ "domain": new.domain, "scopes": words(&new.scopes), "expiresAt": new.expires_at });
        audit::append(&task, &mut tx, audit::Entry::of(&of, "activation.create_code", new.domain.clone()).after(after))
            .await?;
        Ok(tx.commit().await?)
    };
    engine.db().detached(write).await?;
    Ok(Code { code: SecretString::from(plain), domain, expires_at })
}

/// What a site may do: what a new key may, as far as whoever grants it may it too.
pub(super) fn grantable(caller: &Caller) -> Result<Vec<Scope>, Error> {
    if !keys::may_grant(caller) {
        return Err(Error::Escalation);
    }
    let holds = |scope: &&Scope| caller.scopes().is_none_or(|own| own.contains(scope));
    let scopes: Vec<Scope> = Scope::DEFAULT.iter().filter(holds).copied().collect();
    if scopes.is_empty() { Err(Error::Escalation) } else { Ok(scopes) }
}

/// A new code of eight letters, 34.6 bits, in two groups.
pub(super) fn shown(entropy: &Entropy) -> String {
    let mut letters = String::with_capacity(9);
    for place in 0..8 {
        if place == 4 {
            letters.push('-');
        }
        let at = usize::try_from(entropy.up_to(19)).unwrap_or(0);
        letters.push(char::from(LETTERS[at]));
    }
    letters
}

/// What is stored of a code as someone typed it: a keyed hash of its letters, whatever stands between them and in whatever case.
pub(super) fn hashed(engine: &Engine, typed: &str) -> String {
    engine.sealer().mac(PURPOSE, &letters(typed))
}

/// The letters of a code as someone typed it, in their one spelling.
pub(super) fn letters(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase()).take(64).collect()
}
