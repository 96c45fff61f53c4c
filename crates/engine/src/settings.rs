//! What an engine is opened with, and what it must remember about itself (table `settings`).

pub(crate) mod sql;

use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};

use tollgate_connectors::billing::Billing;
use tollgate_connectors::dns::Resolver;
use tollgate_connectors::identity::Identity;
use tollgate_connectors::mail::Mail;
use tollgate_connectors::outgoing::Reach;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_rules::catalog::Catalog;

use crate::clock::{Clocks, hex};
use crate::db::{self, Db, Lane, Migrate, Source};
use crate::limits::Limits;
use crate::operators::SignIn;
use crate::sealing::Sealer;
use crate::tokens::dpop::Nonces;
use crate::tokens::{self, Issuer, Operators, Parties};

/// Everything the binary decides before an engine opens.
#[derive(Debug)]
pub struct Settings {
    /// Where the data is.
    pub database: Source,
    /// What to do with an older schema.
    pub migrate: Migrate,
    /// Time and randomness.
    pub clock: Clocks,
    /// Bounds of queues, batches, retries, pages.
    pub limits: Limits,
    /// The plans file, parsed.
    pub catalog: Catalog,
    /// Who bills.
    pub billing: Billing,
    /// Whether billing works tax out by where the customer is, on everything that is sold from now on.
    pub automatic_tax: bool,
    /// Who is told about plans.
    pub plan_mirror: PlanMirror,
    /// Who carries letters.
    pub mail: Mail,
    /// Who keeps users and memberships.
    pub identity: IdentitySettings,
    /// Who signs operators in as people; nobody where left out.
    pub operator_sign_in: Option<SignIn>,
    /// Secrets that webhook signatures may carry.
    pub webhook_secrets: WebhookSecrets,
    /// Which API keys this server makes and accepts.
    pub key_environment: KeyEnvironment,
    /// The configured operator key (`tgo_…`).
    pub operator_key: Option<SecretString>,
    /// Signs receipts; left out, one is made and kept in the database.
    pub receipt_secret: Option<SecretString>,
    /// Seals second factors, waiting letters and signing keys; left out, one is made and kept in the database, which then
    /// protects only copies of single tables.
    pub secret_key: Option<SecretString>,
    /// Who is asked for texts in the DNS.
    pub resolver: Resolver,
    /// How far webhooks to the operator's own systems go.
    pub outgoing_reach: Reach,
    /// Whether proofs of possession need a nonce.
    pub dpop_nonces: Nonces,
    /// Where clients reach this server, for links; also the name under which it issues tokens.
    pub public_base_url: String,
}

/// Who keeps users and memberships, and what of it is believed.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Who keeps them.
    pub identity: Identity,
    /// Secrets that its webhooks may be signed with.
    pub webhook_secrets: WebhookSecrets,
    /// Pages whose session tokens are taken.
    pub parties: Parties,
    /// Who of its users is the operator.
    pub operators: Operators,
}

impl IdentitySettings {
    /// Our own accounts.
    #[must_use]
    pub fn built_in() -> IdentitySettings {
        IdentitySettings {
            identity: Identity::BuiltIn,
            webhook_secrets: WebhookSecrets::default(),
            parties: Parties::default(),
            operators: Operators::default(),
        }
    }

    /// The foreign issuer whose sessions are believed; none for our own accounts.
    pub(crate) fn issuer(&self) -> Option<Issuer> {
        let name = self.identity.issuer()?.to_owned();
        let (parties, operators) = (self.parties.clone(), self.operators.clone());
        Some(Issuer { name, keys: tokens::ForeignKeys::default(), parties, operators })
    }
}

/// Which environment a server's API keys belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEnvironment {
    /// `tg_test_…`, the keys of `tollgate dev`.
    Test,
    /// `tg_live_…`, the keys of `tollgate serve`.
    Live,
}

impl KeyEnvironment {
    /// What its keys begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            KeyEnvironment::Test => "tg_test_",
            KeyEnvironment::Live => "tg_live_",
        }
    }
}

/// The webhook secrets in force; can be replaced while the server runs (rotation, the sandbox's own).
#[derive(Debug, Clone, Default)]
pub struct WebhookSecrets(Arc<ArcSwap<Vec<SecretString>>>);

impl WebhookSecrets {
    /// These secrets; any of them may have signed.
    #[must_use]
    pub fn new(secrets: Vec<SecretString>) -> WebhookSecrets {
        WebhookSecrets(Arc::new(ArcSwap::from_pointee(secrets)))
    }

    /// Replaces all secrets.
    pub fn set(&self, secrets: Vec<SecretString>) {
        self.0.store(Arc::new(secrets));
    }

    /// The secrets in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Vec<SecretString>> {
        self.0.load_full()
    }
}

/// The secret that signs receipts: the configured one, else one that is made once and kept in the database.
pub(crate) async fn receipt_secret(
    db: &Db,
    clock: &Clocks,
    configured: Option<SecretString>,
) -> Result<SecretString, db::Error> {
    match configured {
        Some(secret) => Ok(secret),
        None => kept(db, clock, "receipt_secret").await,
    }
}

/// What seals values at rest: the configured secret, else one that is made once and kept in the database.
pub(crate) async fn sealer(db: &Db, clock: &Clocks, configured: Option<SecretString>) -> Result<Sealer, db::Error> {
    let secret = match configured {
        Some(secret) => secret,
        None => kept(db, clock, "secret_key").await?,
    };
    Ok(Sealer::new(secret.expose_secret().as_bytes()))
}

/// The secret of this name, made when it is asked for first.
async fn kept(db: &Db, clock: &Clocks, name: &str) -> Result<SecretString, db::Error> {
    let mut tx = db.begin(Lane::Control).await?;
    if let Some(kept) = sql::get(&mut tx, name).await? {
        return Ok(SecretString::from(kept));
    }
    sql::keep(&mut tx, name, &hex(&clock.entropy.bytes::<32>()), clock.wall.now()).await?;
    let kept = sql::get(&mut tx, name).await?;
    tx.commit().await?;
    kept.map(SecretString::from).ok_or_else(|| db::Error::Bug(format!("the {name} was not kept")))
}
