//! What becomes of a checkout once somebody subscribed, or nobody did.

use serde_json::json;

use tollgate_rules::access::Role;
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{OrgId, OrgKey, UserId};

use super::{Checkout, NO_ORG, State, sql};
use crate::access::{OrgRef, OrgScope};
use crate::audit;
use crate::db::{Connection, Error, Tx};
use crate::engine::Engine;
use crate::fault;
use crate::members::{self, Invite};
use crate::orgs::{self, Org};

/// Who acts.
const ACTOR: &str = "system:checkout";

/// Whether a checkout of this name was asked for here.
pub(crate) async fn is_ours(connection: &mut Connection, checkout_id: &str) -> Result<bool, Error> {
    Ok(sql::by_name(connection, checkout_id).await?.is_some())
}

/// Makes the org of a completed checkout with its owner's invitation, in the transaction that takes in what was paid for; the second
/// time it only says which org it is. Nothing for a name that is none of ours.
///
/// # Errors
/// The database's.
pub(crate) async fn fulfil(
    engine: &Engine,
    tx: &mut Tx,
    corr_id: &str,
    checkout_id: &str,
) -> Result<Option<OrgId>, Error> {
    let Some(checkout) = sql::lock(tx, checkout_id).await? else { return Ok(None) };
    if checkout.org_key != NO_ORG {
        return Ok(Some(checkout.org_id));
    }
    let org = make_org(engine, tx, corr_id, &checkout).await?;
    fault::point(engine, "checkout.org_made")?;
    let scope = OrgScope::restored(org, ACTOR.to_owned(), corr_id.to_owned());
    let owner = Invite { email: checkout.email.clone(), role: Role::Owner };
    match members::invite_in(engine, tx, &scope, &owner).await {
        Ok(_) => {}
        Err(members::Error::Database(error)) => return Err(error),
        Err(error) => return Err(Error::Bug(format!("a checkout's owner cannot be invited: {error}"))),
    }
    let after = json!({ "state": State::Completed.as_str(), "orgId": checkout.org_id });
    let entry = audit::Entry::of(&scope, "checkouts.complete", checkout_id)
        .before(json!({ "state": checkout.state.as_str() }))
        .after(after);
    audit::append(engine, tx, entry).await?;
    sql::give_org(tx, checkout_id, scope.org_key(), engine.now()).await?;
    fault::point(engine, "checkout.owner_invited")?;
    Ok(Some(checkout.org_id))
}

async fn make_org(engine: &Engine, tx: &mut Tx, corr_id: &str, checkout: &Checkout) -> Result<OrgRef, Error> {
    let now = engine.now();
    let org = Org {
        org_key: NO_ORG,
        org_id: checkout.org_id.clone(),
        name: checkout.org_name.clone().unwrap_or_else(|| checkout.email.clone()),
        // Nobody yet: whoever accepts the invitation takes the place of this name.
        owner_user_id: UserId::parse(&checkout.checkout_id).map_err(|error| Error::Bug(error.to_string()))?,
        email: Some(checkout.email.clone()),
        timezone: "UTC".to_owned(),
        status: OrgStatus::Active,
        mfa_required: false,
        closed_at: None,
        created_at: now,
        updated_at: now,
    };
    let key = match orgs::sql::insert(tx, &org).await? {
        Some(key) => key,
        None => {
            orgs::sql::org_key(tx, &org.org_id).await?.ok_or_else(|| Error::Bug("an org id is taken".to_owned()))?
        }
    };
    let made = OrgRef { key, id: org.org_id.clone() };
    let scope = OrgScope::restored(made.clone(), ACTOR.to_owned(), corr_id.to_owned());
    let after = json!({ "orgId": org.org_id, "name": org.name, "checkoutId": checkout.checkout_id });
    audit::append(engine, tx, audit::Entry::of(&scope, "orgs.create", org.org_id.as_str()).after(after)).await?;
    Ok(made)
}

/// Notes that a checkout is over: somebody subscribed, or nobody did. Whose it is, where it is an org's.
///
/// # Errors
/// The database's.
pub(crate) async fn over(
    engine: &Engine,
    tx: &mut Tx,
    checkout_id: &str,
    completed: bool,
) -> Result<Option<OrgKey>, Error> {
    let Some(checkout) = sql::lock(tx, checkout_id).await? else { return Ok(None) };
    let (state, action) = match completed {
        // Without an org nothing was taken in yet: `fulfil` does that.
        true if checkout.org_key == NO_ORG => return Ok(None),
        true => (State::Completed, "checkouts.complete"),
        false => (State::Expired, "checkouts.expire"),
    };
    if sql::set_state(tx, (checkout.org_key, checkout_id), (state, None), engine.now()).await? {
        let entry = audit::Entry::by_system("checkout", checkout.org_key, action, checkout_id)
            .before(json!({ "state": checkout.state.as_str() }))
            .after(json!({ "state": state.as_str() }));
        audit::append(engine, tx, entry).await?;
    }
    Ok(Some(checkout.org_key).filter(|key| *key != NO_ORG))
}
