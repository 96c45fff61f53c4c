//! Activation codes and activated sites of an org.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::activation::{self, Error, Proof, Site};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures, paging};

pub(crate) fn routes() -> Vec<Route> {
    let write = Access::Org(Permission::SitesWrite);
    vec![
        Route::with::<__path_create_code, _, _>(Spec::secret(write), create_code).refuses(&[errors::CONFLICT]),
        Route::new::<__path_list, _, _>(Access::Org(Permission::SitesRead), list),
        Route::with::<__path_revoke, _, _>(Spec::change(write), revoke),
        Route::with::<__path_verify, _, _>(Spec::change(write), verify).refuses(&[errors::CONFLICT]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CodeCreateBody {
    /// The org; may be left out with a credential of one org.
    org_id: Option<String>,
    /// The domain of the site (`shop.example`); `www.` is part of the name.
    site_domain: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActivationCodeBody {
    /// Eight letters in two groups, shown this once.
    code: String,
    /// When it ends: in ten minutes.
    expires_at: String,
}

/// Makes an activation code for one site
///
/// It is typed into the plugin there and exchanged once at `/oauth/token`. A code made before for the same site and not used ends.
#[utoipa::path(post, path = "/api/activation/codes.create", tag = "activation", request_body = CodeCreateBody,
    responses((status = 200, description = "The code", body = ActivationCodeBody)))]
async fn create_code(call: Call) -> Result<Answer, ApiError> {
    let body: CodeCreateBody = call.json()?;
    let domain = activation::site_domain(&body.site_domain).map_err(refused)?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let made = activation::create_code(call.app.engine(), &call.caller, &scope, &domain).await.map_err(refused)?;
    Ok(Answer::data(&ActivationCodeBody {
        code: made.code.expose_secret().to_owned(),
        expires_at: made.expires_at.to_string(),
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SiteListQuery {
    /// The org; may be left out with a credential of one org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiteBody {
    /// The site.
    site_id: String,
    /// Its domain.
    domain: String,
    /// Whether a plugin there can get tokens now.
    active: bool,
    /// When it was activated first.
    created_at: String,
    /// When the org proved that the domain is its own.
    verified_at: Option<String>,
    /// What proves it: the only line of `https://<domain>/.well-known/tollgate-activation/<challenge>`, or a TXT record of
    /// `_tollgate-activation.<domain>`.
    challenge: String,
}

impl From<&Site> for SiteBody {
    fn from(site: &Site) -> Self {
        Self {
            site_id: site.site_id.clone(),
            domain: site.domain.clone(),
            active: site.active,
            created_at: site.created_at.to_string(),
            verified_at: site.verified_at.map(|at| at.to_string()),
            challenge: site.challenge.clone(),
        }
    }
}

/// An org's activated sites, newest first
#[utoipa::path(get, path = "/api/activation/sites.list", tag = "activation", params(SiteListQuery),
    responses((status = 200, description = "A page of sites", body = Vec<SiteBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let query: SiteListQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = activation::list_sites(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, SiteBody>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SiteIdBody {
    /// The org; may be left out with a credential of one org.
    org_id: Option<String>,
    /// The site.
    site_id: String,
}

/// Ends every token of a site at once
///
/// It can be activated again with a new code.
#[utoipa::path(post, path = "/api/activation/sites.revoke", tag = "activation", request_body = SiteIdBody,
    responses((status = 200, description = "The site after it", body = SiteBody)))]
async fn revoke(call: Call) -> Result<Answer, ApiError> {
    let body: SiteIdBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let site = activation::revoke_site(call.app.engine(), &scope, &body.site_id).await.map_err(refused)?;
    Ok(Answer::data(&SiteBody::from(&site)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SiteVerifyBody {
    /// The org; may be left out with a credential of one org.
    org_id: Option<String>,
    /// The site.
    site_id: String,
    /// Where to look: `file` or `dns`; both when left out.
    proof: Option<String>,
}

/// Proves that a site's domain is the org's
///
/// Put the site's `challenge` at `https://<domain>/.well-known/tollgate-activation/<challenge>` first (read over public addresses only),
/// or into a TXT record of `_tollgate-activation.<domain>`.
#[utoipa::path(post, path = "/api/activation/sites.verify", tag = "activation", request_body = SiteVerifyBody,
    responses((status = 200, description = "The site after it", body = SiteBody)))]
async fn verify(call: Call) -> Result<Answer, ApiError> {
    let body: SiteVerifyBody = call.json()?;
    let proof = match body.proof.as_deref() {
        None => None,
        Some("file") => Some(Proof::File),
        Some("dns") => Some(Proof::Dns),
        Some(_) => return Err(ApiError::field("/proof", "must be file or dns")),
    };
    let scope = call.org(body.org_id.as_deref()).await?;
    let site = activation::verify_site(call.app.engine(), &scope, &body.site_id, proof).await.map_err(refused)?;
    Ok(Answer::data(&SiteBody::from(&site)))
}

/// A refusal of activation in our words.
pub(crate) fn refused(error: Error) -> ApiError {
    match error {
        Error::NotFound => ApiError::not_found(),
        Error::BadDomain => ApiError::field("/siteDomain", format!("must be {error}")),
        Error::Escalation => ApiError::new(&errors::FORBIDDEN, "A credential cannot grant more than it holds."),
        Error::TooManyGuesses(seconds) => {
            ApiError::new(&errors::RATE_LIMITED, format!("{error}.")).retry_after(seconds)
        }
        Error::NotProven(_) => ApiError::new(&errors::CONFLICT, format!("{error}.")),
        Error::Closed => ApiError::new(&errors::CONFLICT, format!("{error}.")),
        Error::Database(error) => failures::database(&error),
        Error::InvalidGrant
        | Error::ProofUsed
        | Error::OtherSite
        | Error::InvalidClient
        | Error::UnauthorizedClient
        | Error::InvalidScope(_)
        | Error::Pending
        | Error::SlowDown(_)
        | Error::Denied
        | Error::CodeExpired
        | Error::TooManyDevices(_)
        | Error::BadCursor(_)
        | Error::Tokens(_) => {
            tracing::error!(%error, "a use case of sites answered for another one; this is a bug");
            ApiError::internal()
        }
    }
}
