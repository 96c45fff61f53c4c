//! The settings of operator sign-in, which belong together: all that is needed, or none.

use secrecy::SecretString;

use super::{Values, wrong};
use crate::failure::Failure;

/// The provider as the settings name it.
#[derive(Clone, Debug)]
pub(crate) struct Oidc {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<SecretString>,
    pub(crate) emails: Vec<String>,
    pub(crate) claim: String,
}

/// Reads them; none without an issuer.
///
/// # Errors
/// The client is missing, or nobody would be let in.
pub(super) fn of(values: &Values) -> Result<Option<Oidc>, Failure> {
    let Some(issuer) = values.url("TOLLGATE_OIDC_ISSUER")? else { return Ok(None) };
    // Compared byte by byte with what tokens say: as it was written.
    let issuer = values.text("TOLLGATE_OIDC_ISSUER").unwrap_or(issuer);
    let client_id = values.text("TOLLGATE_OIDC_CLIENT_ID").ok_or_else(|| {
        wrong(
            "TOLLGATE_OIDC_CLIENT_ID",
            "is missing beside TOLLGATE_OIDC_ISSUER",
            "Register this server at the provider.",
        )
    })?;
    let listed = values.text("TOLLGATE_OIDC_OPERATOR_EMAILS").unwrap_or_default();
    let emails: Vec<String> =
        listed.split(',').map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty()).collect();
    let claim = values.text("TOLLGATE_OIDC_OPERATOR_CLAIM").unwrap_or_default();
    if emails.is_empty() && claim.is_empty() {
        let how = "List addresses there, or name a claim in TOLLGATE_OIDC_OPERATOR_CLAIM.";
        return Err(wrong("TOLLGATE_OIDC_OPERATOR_EMAILS", "lets nobody in", how));
    }
    let client_secret = values.text("TOLLGATE_OIDC_CLIENT_SECRET").map(SecretString::from);
    Ok(Some(Oidc { issuer, client_id, client_secret, emails, claim }))
}
