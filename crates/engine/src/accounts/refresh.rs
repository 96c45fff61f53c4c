//! Access and refresh tokens of sessions that are not kept in cookies.
//!
//! A refresh token names its session and its generation and carries a keyed hash over both: nothing of it is stored but the
//! number of the current generation. Each is followed once; within a minute the last one may be presented again (a lost answer)
//! and gets the same successor; an older one was stolen from somebody, and ends the session.

use std::time::Duration;

use secrecy::SecretString;

use tollgate_rules::ids::{OrgId, UserId};
use tollgate_rules::time::Timestamp;

use super::sql::sessions;
use super::{Error, Tokens};
use crate::db::Lane;
use crate::engine::Engine;
use crate::tokens::{MintSession, mint_session};
use crate::{audit, orgs};

const PREFIX: &str = "tgu_";
const PURPOSE: &str = "user refresh";
/// How long an access token is valid.
const ACCESS_LIFE: Duration = Duration::from_secs(600);

/// What a pair of tokens is made of.
pub(super) struct Of<'a> {
    user_id: &'a UserId,
    session_id: &'a str,
    generation: i64,
    authenticated_at: Timestamp,
    second_factor_at: Option<Timestamp>,
    org: Option<OrgId>,
    wall: Timestamp,
}

impl<'a> Of<'a> {
    /// A session that begins.
    pub(super) fn begun(
        user_id: &'a UserId,
        session_id: &'a str,
        second_factor_at: Option<Timestamp>,
        wall: Timestamp,
    ) -> Of<'a> {
        Of { user_id, session_id, generation: 0, authenticated_at: wall, second_factor_at, org: None, wall }
    }
}

/// The access token and the refresh token of a generation.
pub(super) fn pair(engine: &Engine, of: &Of<'_>) -> Result<Tokens, Error> {
    let minutes = |since: Timestamp| i64::try_from(of.wall.since(since).as_secs() / 60).unwrap_or(i64::MAX);
    let minted = mint_session(
        engine,
        &MintSession {
            user_id: of.user_id.clone(),
            session_id: of.session_id.to_owned(),
            org: of.org.clone().map(|org| (org, None, "member".to_owned())),
            first_factor_minutes: minutes(of.authenticated_at),
            second_factor_minutes: of.second_factor_at.map(minutes),
            party: None,
            pending: false,
            lifetime: ACCESS_LIFE,
        },
    )?;
    let refresh = SecretString::from(token(engine, of.session_id, of.generation));
    Ok(Tokens { access: minted.token, lifetime: minted.lifetime, refresh })
}

/// Follows a refresh token.
///
/// # Errors
/// [`Error::Credentials`] for every token that is not good now.
pub async fn refresh(engine: &Engine, presented: &str, corr_id: &str) -> Result<Tokens, Error> {
    let (session_id, generation) = read(engine, presented).ok_or(Error::Credentials)?;
    let (task, corr_id) = (engine.clone(), corr_id.to_owned());
    let write = async move { follow(&task, &session_id, generation, &corr_id).await };
    match engine.db().detached(write).await? {
        Followed::Pair(tokens) => Ok(tokens),
        Followed::Stolen(user_id) => {
            engine.credentials().forget_user(&user_id);
            Err(Error::Credentials)
        }
    }
}

enum Followed {
    Pair(Tokens),
    Stolen(UserId),
}

async fn follow(engine: &Engine, session_id: &str, generation: i64, corr_id: &str) -> Result<Followed, Error> {
    let wall = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let row = sessions::lock(&mut tx, session_id).await?.ok_or(Error::Credentials)?;
    if wall >= row.expires_at || wall >= row.last_seen_at.plus(engine.limits().people.session_idle) {
        return Err(Error::Credentials);
    }
    let lost = generation + 1 == row.generation && wall < row.rotated_at.plus(engine.limits().refresh_grace);
    if generation != row.generation && !lost {
        sessions::end(&mut tx, &row.user_id, session_id, wall).await?;
        let entry = audit::Entry::by_user(&row.user_id, "accounts.token-reuse", session_id).corr_id(corr_id);
        audit::append(engine, &mut tx, entry).await?;
        tx.commit().await?;
        tracing::warn!(session_id, corr_id, "a refresh token was used twice; its session is ended");
        return Ok(Followed::Stolen(row.user_id));
    }
    if !lost {
        sessions::rotate(&mut tx, session_id, wall).await?;
    }
    let org = match row.session.active_org {
        Some(key) => Some(orgs::sql::org_id(&mut tx, key).await?),
        None => None,
    };
    let tokens = pair(
        engine,
        &Of {
            user_id: &row.user_id,
            session_id,
            generation: generation + 1,
            authenticated_at: row.session.authenticated_at,
            second_factor_at: row.session.second_factor_at,
            org,
            wall,
        },
    )?;
    tx.commit().await?;
    Ok(Followed::Pair(tokens))
}

fn token(engine: &Engine, session_id: &str, generation: i64) -> String {
    let named = format!("{session_id}.{generation}");
    format!("{PREFIX}{named}.{}", engine.sealer().mac(PURPOSE, &named))
}

fn read(engine: &Engine, presented: &str) -> Option<(String, i64)> {
    let (named, _) = presented.strip_prefix(PREFIX)?.rsplit_once('.')?;
    let (session_id, generation) = named.split_once('.')?;
    let generation = generation.parse().ok()?;
    let own = crate::secrets::fingerprint(&token(engine, session_id, generation));
    crate::secrets::same(&own, &crate::secrets::fingerprint(presented)).then(|| (session_id.to_owned(), generation))
}
