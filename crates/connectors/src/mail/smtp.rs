//! Letters through an SMTP server.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::{BadSetting, Error};

/// How long one exchange with the server may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// An SMTP server and who writes.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    pub(super) from: Mailbox,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Smtp").finish_non_exhaustive()
    }
}

impl Smtp {
    pub(super) fn new(url: &SecretString, from: Mailbox) -> Result<Smtp, BadSetting> {
        let built = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret());
        // The error's own words may repeat the URL, which carries a password.
        let built = built.map_err(|_| {
            BadSetting(
                "is not an address such as smtps://user:password@mail.example.com (or smtp://…?tls=required)"
                    .to_owned(),
            )
        })?;
        Ok(Smtp { transport: built.timeout(Some(EXCHANGE_MAX)).build(), from })
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), Error> {
        self.transport.send(message).await.map(|_| ()).map_err(|error| told(&error))
    }
}

/// A permanent answer ends the letter; everything else may pass. Never the server's words: they may repeat the address.
fn told(error: &smtp::Error) -> Error {
    let status = error.status().map_or_else(|| "no answer".to_owned(), |code| format!("status {code}"));
    if error.is_permanent() && !error.status().is_some_and(|code| credentials(&code.to_string())) {
        Error::Refused(status)
    } else {
        Error::Unavailable(status)
    }
}

/// 530, 534, 535, 538: our own login is refused, not the letter.
fn credentials(code: &str) -> bool {
    matches!(code, "530" | "534" | "535" | "538")
}
