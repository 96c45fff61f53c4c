//! Exchanges an activation code for a site's first tokens.

use serde_json::json;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;

use super::sql::{self, families};
use super::{Error, Granted, create_code, refresh, site_domain, words};
use crate::access::{OrgRef, OrgScope};
use crate::audit;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;
use crate::fault;
use crate::tokens::dpop::Shown;
use crate::tokens::{self, MintSite};

/// What a plugin sends.
#[derive(Debug, Clone)]
pub struct Redeem {
    /// The code as it was typed.
    pub code: String,
    /// The site's own address, as the plugin knows it.
    pub site_url: String,
    /// Where the call came from, where that is known: guesses are counted by it.
    pub address: Option<String>,
    /// The proof that came with it: the tokens are bound to its key.
    pub proof: Option<Shown>,
}

/// Uses the code up and gives the site its tokens; the site is made where it is new, and tokens it had before end.
///
/// # Errors
/// [`Error::InvalidGrant`] whatever is wrong with the code; [`Error::TooManyGuesses`].
pub async fn redeem(engine: &Engine, redeem: Redeem) -> Result<Granted, Error> {
    engine.guesses().admit(engine, redeem.address.as_deref())?;
    let hash = create_code::hashed(engine, &redeem.code);
    let domain = site_domain(&redeem.site_url).map_err(|_| Error::InvalidGrant)?;
    let (task, proof) = (engine.clone(), redeem.proof);
    let written = engine.db().detached(async move { write(&task, &hash, &domain, proof).await }).await?;
    let Some((grant, ended)) = written else {
        engine.guesses().missed(redeem.address.as_deref());
        return Err(Error::InvalidGrant);
    };
    for family_id in ended {
        tokens::refuse(engine, &family_id);
    }
    finish(engine, grant)
}

/// What was committed, before the access token is signed.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) org: OrgRef,
    pub(super) site_id: String,
    pub(super) domain: String,
    pub(super) family_id: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) refresh: secrecy::SecretString,
    pub(super) jkt: Option<String>,
}

/// What is granted, and to whom.
pub(super) struct To<'a> {
    pub(super) domain: &'a str,
    pub(super) scopes: Vec<Scope>,
    pub(super) jkt: Option<String>,
}

/// Signs the access token of a committed grant.
pub(super) fn finish(engine: &Engine, grant: Grant) -> Result<Granted, Error> {
    let access = tokens::mint_site(
        engine,
        &MintSite {
            org_id: grant.org.id.clone(),
            site_id: grant.site_id.clone(),
            site: grant.domain.clone(),
            family_id: grant.family_id,
            scopes: grant.scopes.clone(),
            jkt: grant.jkt.clone(),
        },
    )?;
    Ok(Granted {
        access,
        refresh: grant.refresh,
        scopes: grant.scopes,
        site_id: grant.site_id,
        site: grant.domain,
        org_id: grant.org.id,
        jkt: grant.jkt,
    })
}

/// Nothing when nobody ever made this code.
async fn write(
    engine: &Engine,
    hash: &str,
    domain: &str,
    proof: Option<Shown>,
) -> Result<Option<(Grant, Vec<String>)>, Error> {
    let now = engine.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let Some(used) = sql::use_code(&mut tx, hash, domain, now).await? else {
        return if sql::code_known(&mut tx, hash).await? { Err(Error::InvalidGrant) } else { Ok(None) };
    };
    let org_id = crate::orgs::sql::org_id(&mut tx, used.org_key).await?;
    let org = OrgRef { key: used.org_key, id: org_id };
    if !sql::org_is_open(&mut tx, used.org_key).await? {
        return Err(Error::InvalidGrant);
    }
    use_up(engine, &mut tx, proof.as_ref()).await?;
    let to = To { domain, scopes: used.scopes, jkt: proof.map(|proof| proof.jkt) };
    let (grant, ended) = grant(engine, &mut tx, org, to).await?;
    fault::point(engine, "activation.redeem.before_commit").map_err(db::Error::from)?;
    tx.commit().await?;
    fault::point(engine, "activation.redeem.after_commit").map_err(db::Error::from)?;
    Ok(Some((grant, ended)))
}

/// Uses a proof up with what it is good for, once on all nodes.
pub(super) async fn use_up(engine: &Engine, tx: &mut Tx, proof: Option<&Shown>) -> Result<(), Error> {
    match proof {
        Some(proof) if !proof.use_up(tx, engine.clock().wall.now()).await? => Err(Error::ProofUsed),
        Some(_) | None => Ok(()),
    }
}

/// The site, its new family and first refresh token; names the families that ended for it.
pub(super) async fn grant(
    engine: &Engine,
    tx: &mut Tx,
    org: OrgRef,
    to: To<'_>,
) -> Result<(Grant, Vec<String>), db::Error> {
    let To { domain, scopes, jkt } = to;
    let now = engine.now();
    let site_id = site_of(engine, tx, &org, domain, now).await?;
    let scope = scope_of(org.clone(), &site_id);
    let ended = families::live_families(tx, &scope, &site_id).await?;
    for family_id in &ended {
        families::revoke_family(tx, &scope, family_id, now, "replaced").await?;
        tokens::refuse_stored(engine, tx, family_id).await?;
    }
    let family_id = engine.new_id("fam_");
    let ends_at = now.plus(engine.limits().refresh_family_lifetime);
    let family = families::NewFamily {
        family_id: &family_id,
        site_id: &site_id,
        scopes: &words(&scopes),
        jkt: jkt.as_deref(),
        now,
        ends_at,
    };
    families::insert_family(tx, &scope, &family).await?;
    let refresh = refresh::first(engine, tx, &scope, &family_id).await?;
    let after = json!({ "domain": domain, "scopes": words(&scopes), "familyId": family_id, "bound": jkt.is_some() });
    audit::append(engine, tx, audit::Entry::of(&scope, "site.activate", site_id.clone()).after(after)).await?;
    let domain = domain.to_owned();
    Ok((Grant { org, site_id, domain, family_id, scopes, refresh, jkt }, ended))
}

async fn site_of(
    engine: &Engine,
    tx: &mut Tx,
    org: &OrgRef,
    domain: &str,
    now: Timestamp,
) -> Result<String, db::Error> {
    let scope = scope_of(org.clone(), "new");
    let new = engine.new_id("site_");
    let challenge = crate::clock::hex(&engine.clock().entropy.bytes::<16>());
    sql::insert_site(tx, &scope, &sql::NewSite { site_id: &new, domain, challenge: &challenge, now }).await?;
    sql::site_by_domain(tx, &scope, domain).await
}

/// What a site does for itself it does in its own name.
pub(super) fn scope_of(org: OrgRef, site_id: &str) -> OrgScope {
    OrgScope::restored(org, format!("site:{site_id}"), String::new())
}

/// The org a row belongs to.
pub(super) fn org_ref(org_key: i64, org_id: &str) -> Result<OrgRef, db::Error> {
    let id = OrgId::parse(org_id).map_err(|error| db::Error::Bug(format!("a stored org: {error}")))?;
    Ok(OrgRef { key: tollgate_rules::ids::OrgKey(org_key), id })
}
