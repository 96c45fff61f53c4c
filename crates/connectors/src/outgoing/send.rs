//! Sends one message once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::SecretString;

use super::guard::{self, Reach, Resolver};
use super::signature::{self, Signed};

/// How long a receiver may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: u64 = 86_400;

/// A message on its way to one receiver.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where to.
    pub url: String,
    /// Its id, the same in every attempt.
    pub id: String,
    /// When this attempt is made, in Unix seconds.
    pub timestamp: i64,
    /// The body, the same in every attempt.
    pub body: String,
    /// What it is signed with: the newest secret first.
    pub secrets: Vec<SecretString>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The receiver has it.
    Accepted {
        /// Its status.
        status: u16,
    },
    /// The receiver does not want messages any more.
    Gone,
    /// The receiver has not taken it.
    Refused {
        /// Its status.
        status: u16,
        /// It asks for less: nothing for it before this has passed.
        pause: Option<Duration>,
    },
    /// Nobody answered, or nobody may be asked there.
    Unreached {
        /// Why, without the address.
        reason: String,
    },
}

/// Sends messages; a cheap clone. Its HTTP client is made when the first message goes out.
#[derive(Debug, Clone)]
pub struct Sender {
    http: Arc<OnceLock<Option<reqwest::Client>>>,
    reach: Reach,
    resolver: Resolver,
}

impl Sender {
    /// A sender that goes this far.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self::through(reach, Resolver::system(reach))
    }

    /// A sender with another look-up of names.
    #[must_use]
    pub fn through(reach: Reach, resolver: Resolver) -> Self {
        Self { http: Arc::default(), reach, resolver }
    }

    fn client(&self) -> Option<&reqwest::Client> {
        let make = || {
            let client = reqwest::Client::builder()
                .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
                .timeout(ANSWER_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(self.resolver.clone()))
                .build();
            client.ok()
        };
        self.http.get_or_init(make).as_ref()
    }

    /// How far it goes.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Sends a message once; it is signed for this attempt.
    pub async fn send(&self, letter: &Letter) -> Sent {
        let unreached = |reason: String| Sent::Unreached { reason };
        // Checked again: the setting may have become stricter since the address was given.
        let url = match guard::check(&letter.url, self.reach) {
            Ok(url) => url,
            Err(refused) => return unreached(refused.to_string()),
        };
        let signed = Signed { id: &letter.id, timestamp: letter.timestamp, body: letter.body.as_bytes() };
        let signature = match signature::sign(&signed, &letter.secrets) {
            Ok(signature) => signature,
            Err(error) => return unreached(error.to_string()),
        };
        let Some(client) = self.client() else {
            return unreached("the HTTP client could not be set up".to_owned());
        };
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &letter.id)
            .header("webhook-timestamp", letter.timestamp.to_string())
            .header("webhook-signature", signature)
            .body(letter.body.clone());
        match request.send().await {
            Ok(answer) => judged(answer.status(), pause(&answer)),
            Err(error) => unreached(words(&error).to_owned()),
        }
    }
}

/// The specification's table: 2xx is success, 410 ends it, 3xx is never followed, 429, 502 and 504 ask for less.
fn judged(status: StatusCode, asked: Option<Duration>) -> Sent {
    let throttles = matches!(status.as_u16(), 429 | 502 | 504);
    match status {
        status if status.is_success() => Sent::Accepted { status: status.as_u16() },
        StatusCode::GONE => Sent::Gone,
        status => Sent::Refused { status: status.as_u16(), pause: asked.filter(|_| throttles) },
    }
}

fn pause(answer: &reqwest::Response) -> Option<Duration> {
    let text = answer.headers().get("retry-after")?.to_str().ok()?;
    text.trim().parse::<u64>().ok().map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_MAX)))
}

fn words(error: &reqwest::Error) -> &'static str {
    match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "no connection to a public address",
        _ => "the connection failed",
    }
}
