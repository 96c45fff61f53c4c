//! Puts the crates together: an engine from settings, with whom it bills and whom it tells.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tollgate_connectors::billing::Billing;
use tollgate_connectors::dns::Resolver;
use tollgate_connectors::identity::Identity;
use tollgate_connectors::mail::Mail;
use tollgate_connectors::outgoing::Reach;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_connectors::{Pacing, clerk, oidc, stigg, stripe};
use tollgate_engine::clock::{BusinessClock, Clocks, Entropy, MonotonicClock, WallClock};
use tollgate_engine::db::{self, Migrate, Source};
use tollgate_engine::limits::Limits;
use tollgate_engine::operators::SignIn;
use tollgate_engine::tokens::dpop::Nonces;
use tollgate_engine::tokens::{Operators, Parties};
use tollgate_engine::{Engine, IdentitySettings, KeyEnvironment, OpenError, Settings, WebhookSecrets};

use crate::config::{Config, Mode, Oidc};
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};

/// What `dev`, `serve` and the operator commands choose differently.
pub(crate) struct Parts {
    /// The time that periods, trials and holds follow.
    pub(crate) business: BusinessClock,
    /// Who bills.
    pub(crate) billing: Billing,
    /// Who is told about plans.
    pub(crate) plan_mirror: PlanMirror,
    /// What to do with an older schema.
    pub(crate) migrate: Migrate,
    /// Which keys are made and accepted.
    pub(crate) keys: KeyEnvironment,
    /// The configured operator key.
    pub(crate) operator_key: Option<SecretString>,
    /// Where clients reach this server.
    pub(crate) base_url: String,
}

/// Opens the engine.
///
/// # Errors
/// The database cannot be used as it is; the failure says what to do.
pub(crate) async fn engine(config: &Config, parts: Parts) -> Result<Engine, Failure> {
    let settings = Settings {
        database: source(config),
        migrate: parts.migrate,
        clock: clocks(parts.business),
        limits: limits(parts.keys),
        catalog: config.catalog.clone(),
        billing: parts.billing,
        automatic_tax: config.automatic_tax,
        plan_mirror: parts.plan_mirror,
        mail: mail_of(config)?,
        identity: identity(config)?,
        operator_sign_in: operator_sign_in(config)?,
        webhook_secrets: WebhookSecrets::new(config.webhook_secrets.clone()),
        key_environment: parts.keys,
        operator_key: parts.operator_key,
        receipt_secret: None,
        secret_key: config.secret_key.clone(),
        resolver: config.dns_server.map_or(Resolver::System, Resolver::At),
        outgoing_reach: reach(parts.keys),
        dpop_nonces: if config.dpop_nonce_required { Nonces::Required } else { Nonces::Offered },
        public_base_url: config.app_base_url.clone().unwrap_or(parts.base_url),
    };
    Engine::open(settings).await.map_err(|error| refused(&error))
}

/// The bounds; in `dev` a lost webhook is found within a minute instead of within five.
/// On a machine of a developer, webhooks may go to that machine.
fn reach(keys: KeyEnvironment) -> Reach {
    match keys {
        KeyEnvironment::Test => Reach::Anywhere,
        KeyEnvironment::Live => Reach::Public,
    }
}

fn limits(keys: KeyEnvironment) -> Limits {
    let standard = Limits::default();
    let reconcile_every = match keys {
        KeyEnvironment::Test => Duration::from_secs(60),
        KeyEnvironment::Live => standard.reconcile_every,
    };
    Limits { reconcile_every, ..standard }
}

/// An engine for a command that works on the files: no server is running on them.
///
/// # Errors
/// As [`engine`].
pub(crate) async fn offline(config: &Config) -> Result<Engine, Failure> {
    let data = DataDir::new(&config.data);
    data.make()?;
    // A directory with a sandbox in it is one of `dev`, whose keys are test keys.
    let keys = if data.sandbox().exists() { KeyEnvironment::Test } else { KeyEnvironment::Live };
    let parts = Parts {
        business: BusinessClock::system(),
        billing: stripe_of(config)?,
        plan_mirror: stigg_of(config)?,
        migrate: if config.migrate { Migrate::Apply } else { Migrate::Refuse },
        keys,
        operator_key: config.operator_key.clone(),
        base_url: format!("http://{}", config.listen),
    };
    engine(config, parts).await
}

/// Stripe as the settings name it; off without a key.
///
/// # Errors
/// The key cannot be sent.
pub(crate) fn stripe_of(config: &Config) -> Result<Billing, Failure> {
    match &config.stripe_secret_key {
        Some(key) if config.mode == Mode::Serve => stripe_at(&config.stripe_api_base, key.clone()),
        _ => Ok(Billing::Off),
    }
}

/// Stripe, or a server that speaks its language, at an address.
///
/// # Errors
/// The key cannot be sent.
pub(crate) fn stripe_at(base_url: &str, secret_key: SecretString) -> Result<Billing, Failure> {
    let settings = stripe::Settings { base_url: base_url.to_owned(), secret_key, pacing: pacing() };
    let client = stripe::Client::new(settings).map_err(Failure::during("STRIPE_SECRET_KEY"))?;
    Ok(Billing::Stripe(client))
}

/// The mail server the settings name, else the folder in the data directory.
///
/// # Errors
/// The server's address or the sender cannot be used.
pub(crate) fn mail_of(config: &Config) -> Result<Mail, Failure> {
    match &config.smtp_url {
        Some(url) => {
            Mail::smtp(url, &config.mail_from).map_err(Failure::during("TOLLGATE_SMTP_URL / TOLLGATE_MAIL_FROM"))
        }
        None => Mail::folder(DataDir::new(&config.data).mail(), &config.mail_from)
            .map_err(Failure::during("TOLLGATE_MAIL_FROM")),
    }
}

/// Stigg as the settings name it; off without a key.
///
/// # Errors
/// The key cannot be sent.
pub(crate) fn stigg_of(config: &Config) -> Result<PlanMirror, Failure> {
    match &config.stigg_api_key {
        Some(key) if config.mode == Mode::Serve => stigg_at(&config.stigg_api_base, key.clone()),
        _ => Ok(PlanMirror::Off),
    }
}

/// Stigg, or its stand-in, at an address.
///
/// # Errors
/// The key cannot be sent.
pub(crate) fn stigg_at(base_url: &str, api_key: SecretString) -> Result<PlanMirror, Failure> {
    let settings = stigg::Settings { base_url: base_url.to_owned(), api_key, pacing: pacing() };
    let client = stigg::Client::new(settings).map_err(Failure::during("STIGG_API_KEY"))?;
    Ok(PlanMirror::Stigg(client))
}

/// Who keeps users and memberships: Clerk where the settings name it, else our own tables.
fn identity(config: &Config) -> Result<IdentitySettings, Failure> {
    let Some(clerk) = &config.clerk else { return Ok(IdentitySettings::built_in()) };
    let settings = clerk::Settings {
        base_url: clerk.api_base.clone(),
        secret_key: clerk.secret_key.clone(),
        publishable_key: clerk.publishable_key.clone(),
        pacing: pacing(),
    };
    let client = clerk::Client::new(settings).map_err(Failure::during("CLERK_SECRET_KEY, CLERK_PUBLISHABLE_KEY"))?;
    Ok(IdentitySettings {
        identity: Identity::Clerk(Box::new(client)),
        webhook_secrets: WebhookSecrets::new(clerk.webhook_secrets.clone()),
        parties: Parties { origins: clerk.parties.clone(), missing_is_fine: clerk.missing_party_is_fine },
        operators: Operators { claim: clerk.operator_claim.clone(), users: clerk.operator_users.clone() },
    })
}

/// Who signs operators in as people; nobody where the settings name no provider.
fn operator_sign_in(config: &Config) -> Result<Option<SignIn>, Failure> {
    let Some(Oidc { issuer, client_id, client_secret, emails, claim }) = config.oidc.clone() else { return Ok(None) };
    let settings = oidc::Settings { issuer, client_id, client_secret };
    let provider = oidc::Provider::new(settings).map_err(Failure::during("TOLLGATE_OIDC_ISSUER"))?;
    Ok(Some(SignIn { provider, emails, claim }))
}

/// Where the settings say the data is.
pub(crate) fn source(config: &Config) -> Source {
    match &config.database_url {
        Some(url) => Source::Postgres { url: url.clone() },
        None => Source::Sqlite { path: DataDir::new(&config.data).database() },
    }
}

fn clocks(business: BusinessClock) -> Clocks {
    Clocks { business, wall: WallClock::system(), monotonic: MonotonicClock::system(), entropy: Entropy::system() }
}

fn pacing() -> Pacing {
    let entropy = Entropy::system();
    Pacing::with_random(Arc::new(move || entropy.up_to(u64::MAX)))
}

/// Why an engine did not open, as a failure of the command line.
pub(crate) fn refused(error: &OpenError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        OpenError::WeakOperatorKey => failure.exit(Exit::Usage),
        OpenError::Database(db::OpenError::InUse { .. }) => failure
            .exit(Exit::Conflict)
            .remedy("Another tollgate is running on this data directory: stop it, or choose another with --data."),
        OpenError::Database(db::OpenError::Unmigrated { .. }) => failure.exit(Exit::Stale),
        OpenError::Database(db::OpenError::Newer { .. } | db::OpenError::Altered { .. }) => failure.exit(Exit::Conflict),
        OpenError::Database(db::OpenError::Failed(_)) => failure
            .exit(Exit::Unreachable)
            .remedy("Check --database-url / DATABASE_URL, or the permissions of the data directory; `tollgate doctor` looks closer."),
        OpenError::Database(db::OpenError::Fence { .. }) => failure
            .exit(Exit::Denied)
            .remedy("docs/guides/postgresql.md says which rights the database user needs, and why."),
        OpenError::Database(_) => failure,
    }
}
