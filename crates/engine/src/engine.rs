//! The engine itself: what every use case shares, opened once.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use tollgate_connectors::billing::Billing;
use tollgate_connectors::dns::Resolver;
use tollgate_connectors::mail::Mail;
use tollgate_connectors::outgoing::Sender;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_rules::time::Timestamp;

use crate::access::{Credentials, OrgScope};
use crate::clock::Clocks;
use crate::db::{self, Db, Kind, Statement};
use crate::diag;
use crate::inbox;
use crate::jobs;
use crate::ledger::{self, Ledger};
use crate::limits::Limits;
use crate::outgoing;
use crate::plans;
use crate::sealing::Sealer;
use crate::settings::{self, KeyEnvironment, Settings, WebhookSecrets};
use crate::tokens;

/// The door to every use case; a cheap handle.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clocks,
    limits: Limits,
    billing: Billing,
    automatic_tax: bool,
    plan_mirror: PlanMirror,
    mail: Mail,
    sealer: Sealer,
    accounts: crate::accounts::Shared,
    tokens: tokens::Shared,
    guesses: crate::activation::Guesses,
    resolver: Resolver,
    operator_sign_in: Option<crate::operators::SignIn>,
    dpop_nonces: tokens::dpop::Nonces,
    identity: crate::settings::IdentitySettings,
    webhook_secrets: WebhookSecrets,
    key_environment: KeyEnvironment,
    public_base_url: String,
    credentials: Credentials,
    ledger: Ledger,
    inbox: inbox::Shared,
    outgoing: outgoing::Shared,
    shelf: plans::Shelf,
    #[cfg(any(test, feature = "testing"))]
    faults: crate::fault::Faults,
    wake: Notify,
    readiness: diag::Readiness,
}

/// An engine as long as someone else keeps it: what a worker holds, so that it does not keep the engine alive by itself.
#[derive(Debug, Clone)]
pub(crate) struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    /// The engine, unless it is gone.
    pub(crate) fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine)
    }
}

/// Why an engine cannot open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database breaks a start-up rule, or does not answer.
    #[error(transparent)]
    Database(#[from] db::OpenError),
    /// The configured operator key is too weak to be one.
    #[error("the operator key must be `tgo_` and at least 32 of A-Z a-z 0-9 _ -")]
    WeakOperatorKey,
}

impl From<db::Error> for OpenError {
    fn from(error: db::Error) -> OpenError {
        OpenError::Database(error.into())
    }
}

impl Engine {
    /// Opens the database (start-up rules, migrations) and everything that lives in memory.
    ///
    /// # Errors
    /// [`OpenError`]; its text says what to do.
    pub async fn open(settings: Settings) -> Result<Engine, OpenError> {
        let credentials = Credentials::new(settings.operator_key.as_ref())?;
        let db = Db::open(&settings.database, settings.migrate, &settings.limits, &settings.clock.wall).await?;
        let receipt_secret = settings::receipt_secret(&db, &settings.clock, settings.receipt_secret).await?;
        let sealer = settings::sealer(&db, &settings.clock, settings.secret_key).await?;
        let accounts = crate::accounts::Shared::new(&settings.limits);
        let ledger = Ledger::new(&settings.limits, &receipt_secret);
        let engine = Engine(Arc::new(Inner {
            db,
            clock: settings.clock,
            limits: settings.limits,
            billing: settings.billing,
            automatic_tax: settings.automatic_tax,
            plan_mirror: settings.plan_mirror,
            mail: settings.mail,
            sealer,
            accounts,
            tokens: tokens::Shared::new(settings.identity.issuer()),
            guesses: crate::activation::Guesses::default(),
            resolver: settings.resolver,
            operator_sign_in: settings.operator_sign_in,
            dpop_nonces: settings.dpop_nonces,
            identity: settings.identity,
            webhook_secrets: settings.webhook_secrets,
            key_environment: settings.key_environment,
            public_base_url: settings.public_base_url,
            credentials,
            ledger,
            inbox: inbox::Shared::default(),
            outgoing: outgoing::Shared::new(Sender::new(settings.outgoing_reach)),
            shelf: plans::Shelf::new(settings.catalog),
            #[cfg(any(test, feature = "testing"))]
            faults: crate::fault::Faults::default(),
            wake: Notify::new(),
            readiness: diag::Readiness::default(),
        }));
        engine
            .ledger()
            .start(&engine)
            .map_err(|error| db::OpenError::Failed(format!("starting the ledger's writer: {error}")))?;
        plans::load_or_publish(&engine).await?;
        tokens::open(&engine).await?;
        if engine.db().kind() == Kind::Sqlite {
            jobs::recover(&engine).await?;
        }
        Ok(engine)
    }

    /// The database.
    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    /// A connection for reading the rows of the scope's org; on PostgreSQL it can see no other's.
    pub(crate) async fn read_for(&self, scope: &OrgScope) -> Result<db::Connection, db::Error> {
        self.0.db.read_for(scope.org_key().0).await
    }

    /// Begins a transaction about the scope's org; on PostgreSQL it can touch no other's rows. See [`Db::begin`].
    pub(crate) async fn begin_for(&self, scope: &OrgScope) -> Result<db::Tx, db::Error> {
        self.0.db.begin_for(scope.org_key().0).await
    }

    /// Time and randomness.
    #[must_use]
    pub fn clock(&self) -> &Clocks {
        &self.0.clock
    }

    /// Now, as decisions see it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.business.now()
    }

    /// A new id with this prefix.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        self.0.clock.entropy.id(prefix, self.0.clock.wall.now())
    }

    /// Bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Who bills.
    pub(crate) fn billing(&self) -> &Billing {
        &self.0.billing
    }

    /// Whether billing works tax out by where the customer is.
    pub(crate) fn automatic_tax(&self) -> bool {
        self.0.automatic_tax
    }

    /// Who is told about plans.
    pub(crate) fn plan_mirror(&self) -> &PlanMirror {
        &self.0.plan_mirror
    }

    /// Who carries letters.
    pub(crate) fn mail(&self) -> &Mail {
        &self.0.mail
    }

    /// What accounts keep in memory.
    pub(crate) fn accounts(&self) -> &crate::accounts::Shared {
        &self.0.accounts
    }

    /// Seals what must not be readable in a stolen copy of the database.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// Secrets that webhook signatures may carry.
    #[must_use]
    pub fn webhook_secrets(&self) -> &WebhookSecrets {
        &self.0.webhook_secrets
    }

    /// Which API keys this server makes and accepts.
    #[must_use]
    pub fn key_environment(&self) -> KeyEnvironment {
        self.0.key_environment
    }

    /// Where clients reach this server.
    #[must_use]
    pub fn public_base_url(&self) -> &str {
        &self.0.public_base_url
    }

    /// What is known about credentials without a read.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// Who keeps users and memberships.
    pub(crate) fn identity(&self) -> &tollgate_connectors::identity::Identity {
        &self.0.identity.identity
    }

    /// Secrets that signatures of identity webhooks may carry.
    #[must_use]
    pub fn identity_webhook_secrets(&self) -> &WebhookSecrets {
        &self.0.identity.webhook_secrets
    }

    /// Who is asked for texts in the DNS.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.0.resolver
    }

    /// Who signs operators in.
    pub(crate) fn operator_sign_in(&self) -> Option<&crate::operators::SignIn> {
        self.0.operator_sign_in.as_ref()
    }

    /// Whether proofs of possession need a nonce.
    pub(crate) fn dpop_nonces(&self) -> tokens::dpop::Nonces {
        self.0.dpop_nonces
    }

    /// Who guesses codes.
    pub(crate) fn guesses(&self) -> &crate::activation::Guesses {
        &self.0.guesses
    }

    /// Signing keys and what was revoked, in memory.
    pub(crate) fn tokens(&self) -> &tokens::Shared {
        &self.0.tokens
    }

    /// Plans in memory.
    pub(crate) fn shelf(&self) -> &plans::Shelf {
        &self.0.shelf
    }

    /// What outgoing webhooks keep in memory.
    pub(crate) fn outgoing(&self) -> &outgoing::Shared {
        &self.0.outgoing
    }

    /// What the inbox keeps in memory.
    pub(crate) fn inbox(&self) -> &inbox::Shared {
        &self.0.inbox
    }

    /// The failures a test planned.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn faults(&self) -> &crate::fault::Faults {
        &self.0.faults
    }

    /// The memory of the last readiness write.
    pub(crate) fn readiness(&self) -> &diag::Readiness {
        &self.0.readiness
    }

    /// Saves the workers their next look at the clock: call after committing a job that is due now.
    pub(crate) fn wake_workers(&self) {
        self.0.wake.notify_one();
    }

    /// Waits for [`Engine::wake_workers`].
    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// The ledger: its queue, writer and standings.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// A handle that does not keep the engine open.
    pub(crate) fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.0))
    }

    /// Closes the database. Call after the workers are drained.
    pub async fn close(&self) {
        self.0.ledger.close().await;
        self.0.db.close().await;
    }
}

/// Every statement of the engine, for the test that prepares them all on both databases.
#[must_use]
pub fn statements() -> Vec<&'static Statement> {
    [
        db::STATEMENTS,
        db::FENCE_STATEMENTS,
        crate::adjustments::sql::ALL,
        crate::checkouts::sql::ALL,
        inbox::sql::ALL,
        crate::incidents::sql::ALL,
        crate::invoices::sql::ALL,
        crate::outgoing::sql::ALL,
        crate::provision::sql::ALL,
        plans::sql::ALL,
        plans::sql::what_if::ALL,
        crate::quotes::sql::ALL,
        crate::subscriptions::sql::ALL,
        crate::subscriptions::sql::usage::ALL,
        crate::accounts::sql::ALL,
        crate::accounts::sql::sessions::ALL,
        crate::audit::sql::ALL,
        crate::erasure::ALL,
        crate::erasure::OF_ADDRESS,
        crate::erasure::OF_ORG,
        crate::erasure::OF_PERSON,
        crate::alerts::sql::ALL,
        crate::flags::sql::ALL,
        crate::grants::sql::ALL,
        crate::idempotency::sql::ALL,
        crate::jobs::sql::ALL,
        crate::keys::sql::ALL,
        crate::keys::sql::quotas::ALL,
        crate::mail::sql::ALL,
        crate::metering::sql::ALL,
        crate::members::sql::ALL,
        crate::members::sql::invitations::ALL,
        crate::notices::sql::ALL,
        crate::operations::sql::ALL,
        crate::operators::sql::ALL,
        crate::orgs::sql::ALL,
        crate::overrides::sql::ALL,
        crate::settings::sql::ALL,
        crate::spending::sql::ALL,
        crate::topups::sql::ALL,
        tokens::sql::ALL,
        crate::activation::sql::ALL,
        crate::identity::sql::ALL,
        crate::activation::sql::families::ALL,
        crate::activation::sql::devices::ALL,
        &ledger::sql::ALL.concat(),
    ]
    .concat()
}
