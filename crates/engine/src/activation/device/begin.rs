//! Begins to wait: two codes for one plugin.

use std::time::Duration;

use secrecy::SecretString;

use tollgate_rules::access::Scope;
use tollgate_rules::time::Timestamp;

use super::{PREFIX, hashed};
use crate::activation::sql::devices;
use crate::activation::{Error, create_code, site_domain};
use crate::db::Lane;
use crate::engine::Engine;
use crate::secrets;

/// What a plugin asks with.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The site's own address, as the plugin knows it.
    pub site_url: String,
    /// The scopes wanted, parted by spaces; what a site usually gets when left out.
    pub scope: Option<String>,
    /// Where the call came from, where that is known: the person who approves sees it.
    pub address: Option<String>,
}

/// The two codes.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The plugin's own (`tgd_…`).
    pub device_code: SecretString,
    /// `XXXX-XXXX`, for a person.
    pub user_code: SecretString,
    /// When both end.
    pub expires_at: Timestamp,
    /// How long they live.
    pub lifetime: Duration,
    /// How long the plugin waits between two questions.
    pub interval: Duration,
}

/// Makes the codes. Nothing is granted by them until a member of an org approves.
///
/// # Errors
/// [`Error::BadDomain`]; [`Error::InvalidScope`] for more than a site may have; [`Error::TooManyDevices`] when too many wait.
pub async fn begin(engine: &Engine, begin: Begin) -> Result<Begun, Error> {
    let domain = site_domain(&begin.site_url)?;
    let scopes = wanted(begin.scope.as_deref())?;
    let limits = engine.limits();
    let device_code = secrets::generate(PREFIX, &engine.clock().entropy);
    let user_code = create_code::shown(&engine.clock().entropy);
    let now = engine.now();
    let expires_at = now.plus(limits.activation_code_lifetime);
    let new = devices::New {
        device_hash: secrets::stored(&device_code),
        user_hash: hashed(engine, &user_code),
        domain,
        scopes,
        asked_from: begin.address,
        now,
        expires_at,
        interval: limits.devices.poll_interval,
    };
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let waiting = devices::waiting(&mut tx, now, new.asked_from.as_deref()).await?;
        let limits = task.limits();
        if waiting.all >= limits.devices.waiting_max || waiting.from_address >= limits.devices.per_address_max {
            return Err(Error::TooManyDevices(limits.activation_code_lifetime.as_secs()));
        }
        devices::insert(&mut tx, &new).await?;
        Ok(tx.commit().await?)
    };
    engine.db().detached(write).await?;
    let (lifetime, interval) = (limits.activation_code_lifetime, limits.devices.poll_interval);
    Ok(Begun { device_code, user_code: SecretString::from(user_code), expires_at, lifetime, interval })
}

/// No more than a site gets by an activation code.
fn wanted(scope: Option<&str>) -> Result<Vec<Scope>, Error> {
    let Some(words) = scope.filter(|words| !words.trim().is_empty()) else { return Ok(Scope::DEFAULT.to_vec()) };
    let mut scopes = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let known = Scope::parse(word).filter(|scope| Scope::DEFAULT.contains(scope));
        scopes.push(known.ok_or_else(|| Error::InvalidScope(word.chars().take(64).collect()))?);
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}
