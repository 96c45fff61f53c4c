//! The settings of Clerk, which belong together: all of them, or none.

use secrecy::SecretString;

use super::{Values, wrong};
use crate::failure::Failure;

/// Clerk as the settings name it.
#[derive(Clone, Debug)]
pub(crate) struct Clerk {
    pub(crate) secret_key: SecretString,
    pub(crate) publishable_key: String,
    pub(crate) api_base: String,
    pub(crate) webhook_secrets: Vec<SecretString>,
    pub(crate) parties: Vec<String>,
    pub(crate) missing_party_is_fine: bool,
    pub(crate) operator_claim: String,
    pub(crate) operator_users: Vec<String>,
}

/// Reads them; none without a secret key.
///
/// # Errors
/// One is wrong, or the publishable key is missing beside the secret one.
pub(super) fn of(values: &Values) -> Result<Option<Clerk>, Failure> {
    let Some(secret_key) = values.secret_with_prefix("CLERK_SECRET_KEY", &["sk_"])? else { return Ok(None) };
    let publishable_key = values.text("CLERK_PUBLISHABLE_KEY").ok_or_else(|| {
        wrong("CLERK_PUBLISHABLE_KEY", "is missing beside CLERK_SECRET_KEY", "Copy both from Clerk's dashboard.")
    })?;
    let listed = |id: &'static str| -> Vec<String> {
        let text = values.text(id).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let mut parties = listed("CLERK_AUTHORIZED_PARTIES");
    if parties.is_empty() {
        parties.extend(values.url("APP_BASE_URL")?);
    }
    Ok(Some(Clerk {
        secret_key,
        publishable_key,
        api_base: values.url("CLERK_API_BASE")?.unwrap_or_default(),
        webhook_secrets: listed("CLERK_WEBHOOK_SECRET").into_iter().map(SecretString::from).collect(),
        parties: parties.into_iter().map(|party| party.trim_end_matches('/').to_owned()).collect(),
        missing_party_is_fine: values.switch("CLERK_ALLOW_MISSING_PARTY")?,
        operator_claim: values.text("CLERK_OPERATOR_CLAIM").unwrap_or_default(),
        operator_users: listed("CLERK_OPERATOR_USERS"),
    }))
}
