//! Lets a plugin in, or turns it away.

use serde_json::json;

use tollgate_rules::entitlement::OrgStatus;

use super::{Device, hashed};
use crate::access::{Caller, OrgScope};
use crate::activation::create_code::grantable;
use crate::activation::sql::devices;
use crate::activation::{Error, words};
use crate::audit;
use crate::engine::Engine;
use crate::orgs;

/// What a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may act for the org.
    Approve,
    /// It may not.
    Deny,
}

/// Decides about the plugin that waits with this code, once: of any number of callers, one decides.
///
/// # Errors
/// [`Error::NotFound`] whatever is wrong with the code (unknown, over, decided already); [`Error::TooManyGuesses`];
/// [`Error::Escalation`] where the caller may not do itself what the plugin is to do; [`Error::Closed`].
pub async fn decide(
    engine: &Engine,
    (caller, scope): (&Caller, &OrgScope),
    (user_code, decision): (&str, Decision),
    address: Option<&str>,
) -> Result<Device, Error> {
    let device = super::find(engine, scope, user_code, address).await?;
    if decision == Decision::Approve {
        let grantable = grantable(caller)?;
        if device.scopes.iter().any(|asked| !grantable.contains(asked)) {
            return Err(Error::Escalation);
        }
    }
    let (task, of, hash) = (engine.clone(), scope.clone(), hashed(engine, user_code));
    let (domain, scopes) = (device.domain.clone(), words(&device.scopes));
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        let org = orgs::sql::lock(&mut tx, &of).await?.ok_or(Error::NotFound)?;
        if org.status == OrgStatus::Closed {
            return Err(Error::Closed);
        }
        if !devices::decide(&mut tx, &of, (&hash, decision), task.now()).await? {
            return Err(Error::NotFound);
        }
        let action = match decision {
            Decision::Approve => "activation.approve_device",
            Decision::Deny => "activation.deny_device",
        };
        let after = json!({ "domain": domain, "scopes": scopes });
        audit::append(&task, &mut tx, audit::Entry::of(&of, action, domain.clone()).after(after)).await?;
        Ok(tx.commit().await?)
    };
    engine.db().detached(write).await?;
    Ok(device)
}
