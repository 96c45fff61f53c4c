//! Changes what may change about an org.

use serde_json::json;

use tollgate_rules::entitlement::OrgStatus;

use super::{Error, Org, check_email, check_name, check_timezone, sql};
use crate::access::{OrgScope, Refused};
use crate::audit;
use crate::engine::Engine;
use crate::ledger;

/// What is to be changed; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// What people call it.
    pub name: Option<String>,
    /// IANA time zone.
    pub timezone: Option<String>,
    /// Where invoices and notices go.
    pub email: Option<String>,
    /// Suspends or reactivates it: the operator's alone.
    pub status: Option<OrgStatus>,
    /// Whether it lets in only people who gave a second factor: for people and the operator to set.
    pub mfa_required: Option<bool>,
}

/// Changes the org, with one audit entry; nothing is written when nothing differs.
///
/// # Errors
/// [`Error::Invalid`], [`Error::OperatorOnly`], [`Error::PeopleOnly`], [`Error::Closed`]; a closed org does not change. Whoever asks
/// for second factors must have given one, so that nobody shuts themselves out.
pub async fn update(engine: &Engine, scope: &OrgScope, update: Update) -> Result<Org, Error> {
    if update.status.is_some() && !scope.is_operator() {
        return Err(Error::OperatorOnly("status"));
    }
    if update.status == Some(OrgStatus::Closed) {
        return Err(Error::Invalid {
            field: "status",
            rule: "active or suspended; an org is closed with orgs.delete".to_owned(),
        });
    }
    if update.mfa_required.is_some() && !scope.is_operator() && scope.user_id().is_none() {
        return Err(Error::PeopleOnly("mfaRequired"));
    }
    if update.mfa_required == Some(true) && !scope.is_operator() && !scope.second_factor() {
        return Err(Error::Refused(Refused::SecondFactorNeeded));
    }
    if let Some(name) = &update.name {
        check_name("name", name)?;
    }
    if let Some(email) = &update.email {
        check_email(email)?;
    }
    let timezone = update.timezone.as_deref().map(check_timezone).transpose()?;
    let update = Update { timezone, ..update };
    let membership_changes = update.mfa_required.is_some();
    let (task, scope) = (engine.clone(), scope.clone());
    let org = engine.db().detached(async move { store(&task, &scope, update).await }).await?;
    engine.ledger().forget(org.org_key);
    if membership_changes {
        engine.credentials().forget_org(org.org_key);
    }
    Ok(org)
}

async fn store(engine: &Engine, scope: &OrgScope, update: Update) -> Result<Org, Error> {
    let mut tx = engine.begin_for(scope).await?;
    let before = sql::lock(&mut tx, scope).await?.ok_or(Error::NotFound)?;
    if before.status == OrgStatus::Closed {
        return Err(Error::Closed);
    }
    let after = Org {
        name: update.name.unwrap_or_else(|| before.name.clone()),
        timezone: update.timezone.unwrap_or_else(|| before.timezone.clone()),
        email: update.email.or_else(|| before.email.clone()),
        status: update.status.unwrap_or(before.status),
        mfa_required: update.mfa_required.unwrap_or(before.mfa_required),
        ..before.clone()
    };
    if after == before {
        return Ok(before);
    }
    let after = Org { updated_at: engine.now(), ..after };
    sql::update(&mut tx, scope, &after).await?;
    if after.status != before.status {
        ledger::refresh(engine, &mut tx, scope.org_key()).await?;
    }
    let entry =
        audit::Entry::of(scope, "orgs.update", after.org_id.as_str()).before(shown(&before)).after(shown(&after));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok(after)
}

pub(super) fn shown(org: &Org) -> serde_json::Value {
    json!({ "name": org.name, "timezone": org.timezone, "email": org.email, "status": org.status.as_str(), "mfaRequired": org.mfa_required })
}
