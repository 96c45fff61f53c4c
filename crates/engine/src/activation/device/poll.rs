//! Answers the plugin's question whether it was let in.

use secrecy::{ExposeSecret, SecretString};

use super::PREFIX;
use crate::access::OrgRef;
use crate::activation::redeem::{self, Grant, To, finish};
use crate::activation::sql::{self, devices};
use crate::activation::{Error, Granted};
use crate::db::Lane;
use crate::engine::Engine;
use crate::tokens::dpop::Shown;
use crate::{secrets, tokens};

/// Gives the tokens once it was approved, bound to the key of the proof where there is one. Asking faster than the interval makes the interval longer.
///
/// # Errors
/// [`Error::Pending`], [`Error::SlowDown`], [`Error::Denied`], [`Error::CodeExpired`], [`Error::InvalidGrant`] for a code that is
/// unknown or was used.
pub async fn poll(engine: &Engine, device_code: &SecretString, proof: Option<Shown>) -> Result<Granted, Error> {
    if !secrets::well_formed(PREFIX, device_code.expose_secret()) {
        return Err(Error::InvalidGrant);
    }
    let (task, hash) = (engine.clone(), secrets::stored(device_code));
    let (grant, ended) = engine.db().detached(async move { write(&task, &hash, proof).await }).await?;
    for family_id in ended {
        tokens::refuse(engine, &family_id);
    }
    finish(engine, grant)
}

async fn write(engine: &Engine, hash: &str, proof: Option<Shown>) -> Result<(Grant, Vec<String>), Error> {
    let now = engine.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let found = devices::lock(&mut tx, hash).await?.ok_or(Error::InvalidGrant)?;
    match found.state {
        devices::State::Used => Err(Error::InvalidGrant),
        devices::State::Denied => Err(Error::Denied),
        devices::State::Pending | devices::State::Approved(_) if found.expires_at <= now => Err(Error::CodeExpired),
        devices::State::Pending => {
            let early = found.polled_at.is_some_and(|last| now < last.plus(found.interval));
            let interval = if early { found.interval + engine.limits().devices.slow_down } else { found.interval };
            devices::note_poll(&mut tx, hash, now, interval).await?;
            tx.commit().await?;
            Err(if early { Error::SlowDown(interval.as_secs()) } else { Error::Pending })
        }
        devices::State::Approved(org_key) => {
            if !sql::org_is_open(&mut tx, org_key).await? {
                return Err(Error::InvalidGrant);
            }
            redeem::use_up(engine, &mut tx, proof.as_ref()).await?;
            devices::set_used(&mut tx, hash).await?;
            let org = OrgRef { key: org_key, id: crate::orgs::sql::org_id(&mut tx, org_key).await? };
            let to = To { domain: &found.domain, scopes: found.scopes, jkt: proof.map(|proof| proof.jkt) };
            let granted = redeem::grant(engine, &mut tx, org, to).await?;
            tx.commit().await?;
            Ok(granted)
        }
    }
}
