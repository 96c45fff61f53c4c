//! Makes an org.

use serde_json::json;
use sha2::{Digest, Sha256};

use tollgate_rules::access::{Permission, Role};
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{OrgId, OrgKey, UserId};

use super::{Error, Org, check_email, check_name, check_timezone, invalid_id, sql};
use crate::access::{Caller, OperatorScope, OrgRef};
use crate::audit;
use crate::clock::hex;
use crate::db::Lane;
use crate::engine::Engine;
use crate::{identity, members};

/// A new org.
#[derive(Debug, Clone)]
pub struct Create {
    /// What people call it.
    pub name: String,
    /// Who owns it; stored as given.
    pub owner_user_id: UserId,
    /// Its public id; left out, one is made.
    pub org_id: Option<OrgId>,
    /// Where invoices and notices go.
    pub email: Option<String>,
    /// IANA time zone; `UTC` where left out.
    pub timezone: Option<String>,
    /// The caller's `Idempotency-Key`: without an `org_id`, the same key of the same caller means the same org.
    pub idempotency_key: Option<String>,
}

/// Makes the org, or gives the one that is there under the same id with the same name. Where somebody else keeps the organizations, a
/// given id must exist there, and without one the organization is made there.
///
/// # Errors
/// [`Error::Taken`] when the id has another name, [`Error::Invalid`] for a field that breaks its rule, [`Error::Elsewhere`].
pub async fn create(engine: &Engine, caller: &Caller, create: Create) -> Result<Org, Error> {
    let scope = caller.require_operator(Permission::OrgsCreate)?;
    check_name("name", &create.name)?;
    if let Some(email) = &create.email {
        check_email(email)?;
    }
    let timezone = create.timezone.as_deref().map_or(Ok("UTC".to_owned()), check_timezone)?;
    let org_id = if identity::is_elsewhere(engine) {
        id_elsewhere(engine, &scope, &create).await?
    } else {
        id_for(engine, &scope, &create)?
    };
    let org = Org {
        org_key: OrgKey(0),
        org_id,
        name: create.name,
        owner_user_id: create.owner_user_id,
        email: create.email,
        timezone,
        status: OrgStatus::Active,
        mfa_required: false,
        closed_at: None,
        created_at: engine.now(),
        updated_at: engine.now(),
    };
    let task = engine.clone();
    engine.db().detached(async move { store(&task, &scope, org).await }).await
}

async fn store(engine: &Engine, scope: &OperatorScope, mut org: Org) -> Result<Org, Error> {
    let mut tx = engine.db().begin(Lane::Control).await?;
    let Some(org_key) = sql::insert(&mut tx, &org).await? else {
        let there = sql::by_id(&mut tx, &org.org_id).await?.ok_or(Error::NotFound)?;
        // What was told about it may have come first, and told who made it there.
        let same_owner = there.owner_user_id == org.owner_user_id || identity::is_elsewhere(engine);
        let same = there.name == org.name && same_owner;
        return if same { Ok(there) } else { Err(Error::Taken) };
    };
    org.org_key = org_key;
    let of = scope.scope_of(OrgRef { key: org_key, id: org.org_id.clone() });
    let after =
        json!({ "orgId": org.org_id, "name": org.name, "ownerUserId": org.owner_user_id, "timezone": org.timezone });
    audit::append(engine, &mut tx, audit::Entry::of(&of, "orgs.create", org.org_id.as_str()).after(after)).await?;
    members::sql::put(&mut tx, &of, &org.owner_user_id, Role::Owner, engine.now()).await?;
    tx.commit().await?;
    engine.credentials().forget_user(&org.owner_user_id);
    Ok(org)
}

/// The id as it is there: the given one if it exists with this name, else that of a new organization.
async fn id_elsewhere(engine: &Engine, scope: &OperatorScope, create: &Create) -> Result<OrgId, Error> {
    let told = match &create.org_id {
        Some(org_id) => {
            if sql::by_id(&mut engine.db().read().await?, org_id).await?.is_some() {
                return Ok(org_id.clone());
            }
            match identity::org_there(engine, org_id).await {
                Err(identity::Elsewhere::NotFound) => {
                    let rule = "the id of an organization that exists where members are kept (Clerk)".to_owned();
                    return Err(Error::Invalid { field: "orgId", rule });
                }
                told => told.map_err(Error::Elsewhere)?,
            }
        }
        None => {
            let marker = id_for(engine, scope, create)?;
            let marker = (marker.as_str(), create.idempotency_key.is_some());
            let made = identity::make_org(engine, &create.name, &create.owner_user_id, marker).await;
            made.map_err(Error::Elsewhere)?
        }
    };
    if told.name == create.name { Ok(told.org_id) } else { Err(Error::Taken) }
}

/// The given id; else one that the caller's idempotency key determines, so that a lost answer makes no second org; else a new one.
fn id_for(engine: &Engine, scope: &OperatorScope, create: &Create) -> Result<OrgId, Error> {
    if let Some(org_id) = &create.org_id {
        return Ok(org_id.clone());
    }
    let id = match &create.idempotency_key {
        None => engine.new_id("org_"),
        Some(key) => {
            let digest = Sha256::digest(format!("{}\n{key}", scope.actor()).as_bytes());
            let mut text = hex(&digest);
            text.truncate(32);
            format!("org_{text}")
        }
    };
    OrgId::parse(&id).map_err(|error| invalid_id("orgId", &error))
}
