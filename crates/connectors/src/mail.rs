//! The role *mail*: who carries letters to people.
//!
//! `Folder` needs nothing: every letter becomes an `.eml` file. `Smtp` hands letters to a server. A [`Letter`] says what is to
//! be told, in plain words; how it looks as text and as HTML is decided here, once for all letters ([`Letter::text`],
//! [`Letter::html`]). A letter may be sent twice after a crash: its `Message-ID` is the same both times.

mod folder;
mod letter;
mod smtp;

use std::path::PathBuf;
use std::str::FromStr;

use lettre::message::header::ContentTransferEncoding;
use lettre::message::{Body, Mailbox, MultiPart};
use lettre::{Address, Message};
use secrecy::SecretString;

pub use folder::Folder;
pub use letter::{Action, Letter};
pub use smtp::Smtp;

/// The longest line of a letter (RFC 5322, 2.1.1).
const LINE_BYTES_MAX: usize = 998;

/// Who carries letters.
#[derive(Debug, Clone)]
pub enum Mail {
    /// A folder of `.eml` files.
    Folder(Folder),
    /// An SMTP server.
    Smtp(Smtp),
}

/// A letter on its way to one person.
#[derive(Debug, Clone)]
pub struct Post<'a> {
    /// Names this letter for ever: its `Message-ID` and, in a folder, its file.
    pub id: &'a str,
    /// The address it goes to.
    pub to: &'a str,
    /// What it says.
    pub letter: &'a Letter,
}

/// Why a letter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It will never be taken: a bad address, or the server refuses it for good.
    #[error("the letter was refused: {0}")]
    Refused(String),
    /// It may be taken later.
    #[error("mail is unavailable: {0}")]
    Unavailable(String),
}

/// A setting that makes sending impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(pub String);

impl Mail {
    /// Letters as files in a folder, which is made with the first one.
    ///
    /// # Errors
    /// [`BadSetting`]: `from` is not an address.
    pub fn folder(path: PathBuf, from: &str) -> Result<Mail, BadSetting> {
        Ok(Mail::Folder(Folder { path, from: sender(from)? }))
    }

    /// Letters through the server of an `smtp://` or `smtps://` URL.
    ///
    /// # Errors
    /// [`BadSetting`]: the URL or `from` cannot be used.
    pub fn smtp(url: &SecretString, from: &str) -> Result<Mail, BadSetting> {
        Ok(Mail::Smtp(Smtp::new(url, sender(from)?)?))
    }

    /// Whether letters leave this machine. Where they do not, whoever runs the server hands links on.
    #[must_use]
    pub fn leaves(&self) -> bool {
        matches!(self, Mail::Smtp(_))
    }

    /// Hands a letter over.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(&self, post: &Post<'_>) -> Result<(), Error> {
        match self {
            Mail::Folder(folder) => folder.put(post.id, message(&folder.from, post)?.formatted()).await,
            Mail::Smtp(smtp) => smtp.send(message(&smtp.from, post)?).await,
        }
    }
}

/// Whether a letter could be addressed to this.
#[must_use]
pub fn is_address(text: &str) -> bool {
    Address::from_str(text).is_ok()
}

fn sender(from: &str) -> Result<Mailbox, BadSetting> {
    from.parse().map_err(|_| BadSetting(format!("`{from}` is not an address such as `Acme <billing@example.com>`")))
}

fn message(from: &Mailbox, post: &Post<'_>) -> Result<Message, Error> {
    let to = Address::from_str(post.to).map_err(|error| Error::Refused(error.to_string()))?;
    let body = MultiPart::alternative_plain_html(written(post.letter.text()), written(post.letter.html()));
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(post.letter.subject.clone())
        .message_id(Some(format!("<{}@{}>", post.id, from.email.domain())))
        .multipart(body)
        .map_err(|error| Error::Refused(error.to_string()))
}

/// Plain ASCII goes as it is, so that a link or code stays on one line for whoever opens the file; the rest is encoded.
fn written(text: String) -> Body {
    if text.is_ascii() && text.lines().all(|line| line.len() <= LINE_BYTES_MAX) {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text)
    }
}

#[cfg(test)]
mod tests;
