//! Wire shapes of the account routes.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::accounts::Tokens;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SignUpBody {
    /// The address, which is verified by letter.
    pub(super) email: String,
    /// 8 to 128 characters, none of the common ones.
    pub(super) password: String,
    /// What the person is called, 1 to 200 bytes; what stands before the `@` when left out.
    pub(super) name: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SentBody {
    /// What happened, the same for every address.
    pub(super) status: &'static str,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeBody {
    /// The code.
    pub(super) code: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerifiedBody {
    /// The account.
    pub(super) user_id: String,
    /// The verified address.
    pub(super) email: String,
    /// Always true.
    pub(super) verified: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    /// The address.
    pub(super) email: String,
    /// The password.
    pub(super) password: String,
    /// A code of the second factor or a recovery code, where the account has a second factor.
    pub(super) code: Option<String>,
    /// `cookie` (when left out) or `token`.
    pub(super) mode: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionBody {
    /// Whose.
    pub(super) user_id: String,
    /// The verified address.
    pub(super) email: String,
    /// What the person is called.
    pub(super) name: String,
    /// Names the session in the list of devices.
    pub(super) session_id: String,
    /// When it is over whatever is done.
    pub(super) expires_at: String,
    /// The tokens, in token mode.
    #[serde(flatten)]
    pub(super) tokens: Option<TokensBody>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokensBody {
    /// Presented as `Authorization: Bearer …`.
    pub(super) access_token: String,
    /// `Bearer`.
    pub(super) token_type: &'static str,
    /// Seconds the access token is valid.
    pub(super) expires_in: u64,
    /// Presented for the next pair, once.
    pub(super) refresh_token: String,
}

pub(super) fn tokens_body(tokens: &Tokens) -> TokensBody {
    TokensBody {
        access_token: tokens.access.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: tokens.lifetime.as_secs(),
        refresh_token: tokens.refresh.expose_secret().to_owned(),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailBody {
    /// The address.
    pub(super) email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordResetBody {
    /// The code of the letter.
    pub(super) code: String,
    /// The new password: 8 to 128 characters, none of the common ones.
    pub(super) password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefreshBody {
    /// The refresh token.
    pub(super) refresh_token: String,
}
