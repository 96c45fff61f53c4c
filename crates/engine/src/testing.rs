//! A real engine on a throw-away database, for tests of this crate and of those above it.
//!
//! [`TestDb::sqlite`] and [`TestDb::postgres`] make an empty database that is gone with the value;
//! [`settings`] are sane settings for it. PostgreSQL comes from `TOLLGATE_TEST_POSTGRES` (a URL to a server where databases may
//! be created); without it the test prints `SKIPPED: …` and passes.

use std::path::PathBuf;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use tollgate_connectors::billing::Billing;
use tollgate_connectors::dns::Resolver;
use tollgate_connectors::mail::Mail;
use tollgate_connectors::outgoing::Reach;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_rules::access::{Permission, Role};
use tollgate_rules::catalog::Catalog;
use tollgate_rules::ids::{OrgId, UserId};
use tollgate_rules::time::Timestamp;

use crate::access::{Caller, OperatorScope, OrgScope};
use crate::clock::{BusinessClock, Clocks, Entropy};
use crate::db::{Kind, Lane, Migrate, Source};
use crate::engine::Engine;
use crate::limits::Limits;
use crate::members;
use crate::orgs;
use crate::settings::{KeyEnvironment, Settings, WebhookSecrets};

/// An operator key for tests; long enough to be accepted.
pub const OPERATOR_KEY: &str = "tgo_test_operator_key_0123456789abcdef0123456789";

/// The time a test engine's business clock shows first: 2026-01-15T09:00:00Z.
pub const START: Timestamp = Timestamp::from_seconds(1_768_467_600);

/// The database on the test server that holds every test's schema.
const SHARED: &str = "tollgate_test_shared";

/// A throw-away database.
#[derive(Debug)]
pub struct TestDb {
    source: Source,
    cleanup: Cleanup,
    mail: PathBuf,
}

#[derive(Debug)]
enum Cleanup {
    Folder(PathBuf),
    Schema { database: SecretString, schema: String },
    Owned { server: SecretString, name: String },
}

/// What the owner of a database may beside owning it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Make roles, as the guide recommends.
    MakesRoles,
    /// Nothing.
    MakesNone,
}

impl TestDb {
    /// An empty folder with an embedded database in it.
    #[must_use]
    pub fn sqlite() -> TestDb {
        let folder = std::env::temp_dir().join(unique("tollgate-test-"));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let source = Source::Sqlite { path: folder.join("tollgate.db") };
        TestDb { source, cleanup: Cleanup::Folder(folder), mail: std::env::temp_dir().join(unique("tollgate-mail-")) }
    }

    /// An empty schema on the server of `TOLLGATE_TEST_POSTGRES`; none when the variable is not set.
    ///
    /// A schema, because making and dropping a whole database costs seconds of disk on a small machine. All of them are in one
    /// database that stays, and everything of a connection happens in its schema (`search_path`).
    pub async fn postgres() -> Option<TestDb> {
        let server = SecretString::from(std::env::var("TOLLGATE_TEST_POSTGRES").ok()?);
        let options = PgConnectOptions::from_str(server.expose_secret()).expect("TOLLGATE_TEST_POSTGRES is a URL");
        // It is there already after the first test: then this fails, and the next statement says whether it is usable.
        let _ = on_server(&server, format!("CREATE DATABASE {SHARED}")).await;
        let database = SecretString::from(options.database(SHARED).to_url_lossy().to_string());
        let schema = unique("test_");
        on_server(&database, format!("CREATE SCHEMA {schema}")).await.expect("the test server makes schemas");
        let joint = if database.expose_secret().contains('?') { '&' } else { '?' };
        let url = format!("{}{joint}options%5Bsearch_path%5D={schema}", database.expose_secret());
        let mail = std::env::temp_dir().join(unique("tollgate-mail-"));
        Some(TestDb {
            source: Source::Postgres { url: url.into() },
            cleanup: Cleanup::Schema { database, schema },
            mail,
        })
    }

    /// An empty database that belongs to an ordinary user of its own, who connects to it; none when there is no server.
    pub async fn owned(owner: Owner) -> Option<TestDb> {
        let server = SecretString::from(std::env::var("TOLLGATE_TEST_POSTGRES").ok()?);
        let name = unique("tollgate_owner_");
        let may = if owner == Owner::MakesRoles { "CREATEROLE" } else { "NOCREATEROLE" };
        let make = format!("CREATE ROLE {name} LOGIN PASSWORD '{name}' NOSUPERUSER NOBYPASSRLS NOCREATEDB {may}");
        on_server(&server, make).await.expect("the test server makes roles");
        on_server(&server, format!("CREATE DATABASE {name} OWNER {name}"))
            .await
            .expect("the test server makes databases");
        let options = PgConnectOptions::from_str(server.expose_secret()).expect("TOLLGATE_TEST_POSTGRES is a URL");
        let options = options.database(&name).username(&name).password(&name);
        let url = SecretString::from(options.to_url_lossy().to_string());
        let mail = std::env::temp_dir().join(unique("tollgate-mail-"));
        Some(TestDb { source: Source::Postgres { url }, cleanup: Cleanup::Owned { server, name }, mail })
    }

    /// Runs what a person would type as a superuser, in this database.
    ///
    /// # Panics
    /// On a database that has no ordinary owner.
    pub async fn as_superuser(&self, statements: &str) {
        let Cleanup::Owned { server, name } = &self.cleanup else { panic!("this database is a superuser's") };
        let options = PgConnectOptions::from_str(server.expose_secret()).expect("TOLLGATE_TEST_POSTGRES is a URL");
        let database = SecretString::from(options.database(name).to_url_lossy().to_string());
        on_server(&database, statements.to_owned()).await.expect("a superuser may");
    }

    /// A database of this kind; none (with a printed reason) when there is no server for it.
    pub async fn of(kind: Kind, test: &str) -> Option<TestDb> {
        match kind {
            Kind::Sqlite => Some(TestDb::sqlite()),
            Kind::Postgres => {
                let db = TestDb::postgres().await;
                if db.is_none() {
                    println!("SKIPPED: {test}: PostgreSQL not available");
                }
                db
            }
        }
    }

    /// Where its engine's letters go.
    #[must_use]
    pub fn mail_folder(&self) -> PathBuf {
        self.mail.clone()
    }

    /// Where it is.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source.clone()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // Most engines of tests write no letter.
        let _ = std::fs::remove_dir_all(&self.mail);
        match &self.cleanup {
            Cleanup::Folder(folder) => {
                let _ = std::fs::remove_dir_all(folder);
            }
            // What a test left open must not hold up the next one.
            Cleanup::Schema { database, schema } => {
                drop_on(database, vec![format!("SET lock_timeout = '2s'; DROP SCHEMA {schema} CASCADE")]);
            }
            Cleanup::Owned { server, name } => {
                drop_on(server, vec![format!("DROP DATABASE {name} WITH (FORCE)"), format!("DROP ROLE {name}")]);
            }
        }
    }
}

/// Settings for a throw-away database: the default catalog, no billing, a business clock that stands at [`START`].
#[must_use]
pub fn settings(db: &TestDb) -> Settings {
    Settings {
        database: db.source(),
        migrate: Migrate::Apply,
        clock: Clocks { business: BusinessClock::fixed(START), ..Clocks::default() },
        limits: Limits::default(),
        catalog: Catalog::parse(Catalog::default_text()).expect("the default catalog is valid"),
        billing: Billing::Off,
        automatic_tax: false,
        plan_mirror: PlanMirror::Off,
        mail: Mail::folder(db.mail_folder(), "Tollgate <no-reply@localhost>").expect("an address"),
        identity: crate::settings::IdentitySettings::built_in(),
        operator_sign_in: None,
        webhook_secrets: WebhookSecrets::new(vec![SecretString::from("whsec_test")]),
        key_environment: KeyEnvironment::Test,
        operator_key: Some(SecretString::from(OPERATOR_KEY)),
        receipt_secret: Some(SecretString::from("a receipt secret of tests only")),
        secret_key: Some(SecretString::from("a secret key of tests only")),
        resolver: Resolver::System,
        outgoing_reach: Reach::Anywhere,
        dpop_nonces: crate::tokens::dpop::Nonces::Offered,
        public_base_url: "http://127.0.0.1:8787".to_owned(),
    }
}

/// An engine with its throw-away database; derefs to [`Engine`].
#[derive(Debug)]
pub struct TestEngine {
    /// The engine.
    pub engine: Engine,
    /// Its database, gone when this is dropped.
    pub db: TestDb,
}

impl std::ops::Deref for TestEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl TestEngine {
    /// Opens an engine on an empty database of this kind; none when there is no server for it.
    pub async fn open(kind: Kind, test: &str) -> Option<TestEngine> {
        TestEngine::open_with(kind, test, |_| {}).await
    }

    /// The same, after `change` had its way with the settings.
    pub async fn open_with(kind: Kind, test: &str, change: impl FnOnce(&mut Settings)) -> Option<TestEngine> {
        let db = TestDb::of(kind, test).await?;
        Some(TestEngine::open_on(db, change).await.expect("an engine opens on an empty database"))
    }

    /// Opens an engine on this database.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_on(db: TestDb, change: impl FnOnce(&mut Settings)) -> Result<TestEngine, crate::OpenError> {
        let mut settings = settings(&db);
        change(&mut settings);
        Ok(TestEngine { engine: Engine::open(settings).await?, db })
    }

    /// The letters sent so far, oldest first.
    #[must_use]
    pub fn letters(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.db.mail_folder()) else { return Vec::new() };
        let mut files: Vec<PathBuf> = folder.filter_map(|file| file.ok().map(|file| file.path())).collect();
        files.sort();
        files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
    }

    /// Moves the business clock of a fixed engine.
    pub fn set_now(&self, at: Timestamp) {
        self.engine.clock().business.set(at);
    }
}

/// Runs one asynchronous test body on both databases: `on_both! { async fn a_sentence(engine: TestEngine) { … } }`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident: TestEngine) $body:block)+) => {
        $(
            $(#[$meta])*
            mod $name {
                use super::*;

                async fn body($engine: TestEngine) $body

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    if let Some(engine) = $crate::testing::TestEngine::open($crate::db::Kind::Sqlite, stringify!($name)).await {
                        Box::pin(body(engine)).await;
                    }
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_postgres() {
                    if let Some(engine) = $crate::testing::TestEngine::open($crate::db::Kind::Postgres, stringify!($name)).await {
                        Box::pin(body(engine)).await;
                    }
                }
            }
        )+
    };
}

/// Drops what a test had. In a runtime of its own: the test's may be ending, and a drop cannot wait on it.
fn drop_on(server: &SecretString, statements: Vec<String>) {
    let (server, told) = (server.clone(), statements.join("; "));
    let dropped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for statement in statements {
            runtime.block_on(on_server(&server, statement)).map_err(std::io::Error::other)?;
        }
        Ok::<_, std::io::Error>(())
    });
    if !matches!(dropped.join(), Ok(Ok(()))) {
        println!("left behind: {told}");
    }
}

async fn on_server(server: &SecretString, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnectOptions::from_str(server.expose_secret())?.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

fn unique(prefix: &str) -> String {
    format!("{prefix}{}", crate::clock::hex(&Entropy::system().bytes::<8>()))
}

impl TestEngine {
    /// The operator.
    #[must_use]
    pub fn operator(&self) -> Caller {
        Caller::local_operator().with_corr_id("test")
    }

    /// A new org with this public id.
    pub async fn org(&self, org_id: &str) -> orgs::Org {
        let create = orgs::Create {
            name: "Acme".to_owned(),
            owner_user_id: UserId::parse("user_1").expect("a user id"),
            org_id: Some(OrgId::parse(org_id).expect("an org id")),
            email: None,
            timezone: None,
            idempotency_key: None,
        };
        orgs::create(&self.engine, &self.operator(), create).await.expect("an org is made")
    }

    /// Makes somebody a member of an org, as an invitation or another keeper of memberships would.
    pub async fn member(&self, org_id: &str, user_id: &str, role: Role) {
        let (scope, user_id) = (self.scope(org_id).await, UserId::parse(user_id).expect("a user id"));
        let mut tx = self.engine.db().begin(Lane::Control).await.expect("the database writes");
        let put = members::sql::put(&mut tx, &scope, &user_id, role, self.engine.now()).await;
        put.expect("a membership is written");
        tx.commit().await.expect("the database commits");
        self.engine.credentials().forget_user(&user_id);
    }

    /// The operator's scope of an org.
    pub async fn scope(&self, org_id: &str) -> OrgScope {
        let org_id = OrgId::parse(org_id).expect("an org id");
        let scope = self.operator().require(&self.engine, Permission::OrgRead, Some(&org_id)).await;
        scope.expect("the operator may do everything with an org that is there")
    }

    /// The operator's scope of the server.
    #[must_use]
    pub fn server(&self) -> OperatorScope {
        self.operator().require_operator(Permission::ServerOperate).expect("the operator may do everything")
    }
}
