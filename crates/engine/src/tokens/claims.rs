//! The claims of a user's session in both versions (v1: `org_id` and its like; v2: `o`, `fea`), read into one shape.
//!
//! The rules are Clerk's (session tokens, version 2, 2025-04); the built-in issuer mints version 2, so that everything above is
//! the same with and without Clerk. With `v` = 2 the names of version 1 are ignored. What cannot be read grants nothing.

use serde_json::{Map, Value};

use tollgate_rules::ids::OrgId;

use super::{ActiveOrg, Refusal};

/// What a session's claims say, before anything is decided on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionClaims {
    pub(super) session_id: Option<String>,
    pub(super) status: Option<String>,
    pub(super) org: Option<ActiveOrg>,
    pub(super) impersonator: Option<String>,
    pub(super) factor_minutes: Option<(i64, i64)>,
}

/// Reads the claims; times and subject are the verifier's.
pub(super) fn read(claims: &Map<String, Value>) -> Result<SessionClaims, Refusal> {
    let org = match claims.get("v") {
        Some(Value::Number(version)) if version.as_i64() == Some(2) => org_v2(claims)?,
        None => org_v1(claims)?,
        Some(_) => return Err(Refusal::Claim("v")),
    };
    Ok(SessionClaims {
        session_id: text(claims, "sid")?,
        status: text(claims, "sts")?,
        org,
        impersonator: claims.get("act").and_then(|act| act.get("sub")).and_then(Value::as_str).map(str::to_owned),
        factor_minutes: factor_minutes(claims),
    })
}

/// A text claim that may be missing but is a text where it is there.
pub(super) fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::Claim(name)),
    }
}

fn factor_minutes(claims: &Map<String, Value>) -> Option<(i64, i64)> {
    match claims.get("fva")?.as_array()?.as_slice() {
        [first, second] => Some((first.as_i64()?, second.as_i64()?)),
        _ => None,
    }
}

fn org_v1(claims: &Map<String, Value>) -> Result<Option<ActiveOrg>, Refusal> {
    let Some(id) = text(claims, "org_id")? else { return Ok(None) };
    let permissions = claims.get("org_permissions").and_then(Value::as_array);
    Ok(Some(ActiveOrg {
        id: OrgId::parse(&id).map_err(|_| Refusal::Claim("org_id"))?,
        slug: text(claims, "org_slug")?,
        role: text(claims, "org_role")?,
        permissions: permissions.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
    }))
}

fn org_v2(claims: &Map<String, Value>) -> Result<Option<ActiveOrg>, Refusal> {
    let org = match claims.get("o") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(org)) => org,
        Some(_) => return Err(Refusal::Claim("o")),
    };
    let id = text(org, "id")?.ok_or(Refusal::Claim("o.id"))?;
    let features = text(claims, "fea")?.unwrap_or_default();
    let (names, maps) = (text(org, "per")?.unwrap_or_default(), text(org, "fpm")?.unwrap_or_default());
    Ok(Some(ActiveOrg {
        id: OrgId::parse(&id).map_err(|_| Refusal::Claim("o.id"))?,
        slug: text(org, "slg")?,
        role: text(org, "rol")?.map(|role| format!("org:{role}")),
        permissions: permissions(&features, &names, &maps),
    }))
}

/// Entry i of `maps` belongs to the i-th feature of the org; its bit k grants the k-th name. A map that is no number grants nothing.
fn permissions(features: &str, names: &str, maps: &str) -> Vec<String> {
    let of_org = features.split(',').filter_map(|feature| {
        let (scope, name) = feature.split_once(':')?;
        scope.contains('o').then_some(name)
    });
    let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    let mut granted = Vec::new();
    for (feature, map) in of_org.zip(maps.split(',')) {
        let Ok(bits) = map.parse::<u128>() else { continue };
        for (bit, name) in names.iter().enumerate().take(128) {
            if bits >> bit & 1 == 1 {
                granted.push(format!("org:{feature}:{name}"));
            }
        }
    }
    granted
}
