//! The second fence holds where the first is left out: statements that forget the org, on PostgreSQL.

use secrecy::ExposeSecret;

use super::{Error, Kind, Statement};
use crate::access::OrgScope;
use crate::keys;
use crate::testing::{Owner, TestDb, TestEngine};

const FORGETFUL_READ: Statement = Statement::new("test.forgetful_read", "SELECT COUNT(*) AS found FROM api_keys");
const FORGETFUL_WRITE: Statement = Statement::new("test.forgetful_write", "UPDATE api_keys SET name = 'taken over'");
const FORGETFUL_DELETE: Statement = Statement::new("test.forgetful_delete", "DELETE FROM memberships");
const TAKEN_OVER: Statement =
    Statement::new("test.taken_over", "SELECT COUNT(*) AS found FROM api_keys WHERE name = 'taken over'");
const MEMBERS: Statement = Statement::new("test.members", "SELECT COUNT(*) AS found FROM memberships");
const FOREIGN_ROW: Statement = Statement::new(
    "test.foreign_row",
    "INSERT INTO memberships (org_key, user_id, role, joined_at, updated_at) VALUES ($1, 'user_evil', 'owner', 0, 0)",
);
const FOREIGN_MOVE: Statement = Statement::new("test.foreign_move", "UPDATE memberships SET org_key = $1");

/// Rows of other orgs that can be seen, in every table with an org; and in how many tables there are any.
const ROWS_OF_OTHERS: Statement = Statement::new(
    "test.rows_of_others",
    "SELECT CAST(COALESCE(SUM(rows), 0) AS BIGINT) AS rows, COUNT(*) FILTER (WHERE rows > 0) AS tables
     FROM (
       SELECT CAST(CAST((xpath('/row/found/text()', query_to_xml(
                format('SELECT COUNT(*) AS found FROM %I WHERE org_key NOT IN (0, %s)', table_name, $1), false, true, '')))[1] AS TEXT) AS BIGINT) AS rows
       FROM information_schema.columns
       WHERE table_schema = current_schema() AND column_name = 'org_key'
     ) AS counted",
);

/// Tables that no policy binds.
const UNFENCED: Statement = Statement::new(
    "test.unfenced",
    "SELECT CAST(c.relname AS TEXT) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
       AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
     ORDER BY 1",
);

/// Tables that belong to no org: the server's own, the catalog's, people's (who may belong to several orgs).
const OF_NO_ORG: &[&str] = &[
    "account_codes",
    "billing_cursors",
    "catalog_topups",
    "customer_leases",
    "dpop_proofs",
    "identity_marks",
    "metrics",
    "operator_keys",
    "operator_sessions",
    "plan_prices",
    "plan_versions",
    "plans",
    "schema_migrations",
    "settings",
    "sign_in_attempts",
    "signing_keys",
    "token_revocations",
    "user_recovery_codes",
    "user_sessions",
    "users",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_inbox",
    "webhook_sequence",
];

/// As who is tested: a superuser, and the user that the guide makes.
async fn engines(test: &str) -> Vec<TestEngine> {
    let Some(mighty) = TestEngine::open(Kind::Postgres, test).await else { return Vec::new() };
    let owned = TestDb::owned(Owner::MakesRoles).await.expect("the server is there");
    let ordinary =
        TestEngine::open_on(owned, |_| {}).await.expect("the owner of a database needs no more than to make roles");
    assert!(!ordinary.db().fence().await.unwrap().unwrap().superuser);
    vec![mighty, ordinary]
}

async fn two_orgs(engine: &TestEngine) -> (OrgScope, OrgScope) {
    for org in ["org_a", "org_b"] {
        engine.org(org).await;
        let scope = engine.scope(org).await;
        let new = keys::Create {
            name: "one".to_owned(),
            scopes: None,
            expires_at: None,
            quota: std::collections::BTreeMap::new(),
        };
        let made = keys::create(engine, &engine.operator(), &scope, new).await.unwrap();
        assert!(!made.secret.expose_secret().is_empty());
    }
    (engine.scope("org_a").await, engine.scope("org_b").await)
}

async fn found(engine: &TestEngine, statement: &'static Statement) -> i64 {
    engine.db().read().await.unwrap().one(statement, &[]).await.unwrap().i64("found").unwrap()
}

#[tokio::test]
async fn a_statement_that_forgets_the_org_reads_and_changes_nothing_of_another() {
    for engine in engines("a_statement_that_forgets_the_org").await {
        forgetful(&engine).await;
        foreign_rows(&engine).await;
        nothing_of_another(&engine).await;
        all_fenced(&engine).await;
    }
}

async fn forgetful(engine: &TestEngine) {
    let (a, b) = two_orgs(engine).await;
    assert!(engine.db().fence().await.unwrap().unwrap().in_use);
    assert_eq!(found(engine, &FORGETFUL_READ).await, 2, "the role that connects sees all");
    for scope in [&a, &b, &a] {
        let row = engine.read_for(scope).await.unwrap().one(&FORGETFUL_READ, &[]).await.unwrap();
        assert_eq!(row.i64("found").unwrap(), 1, "one org sees its own, also on a connection that another had");
    }
    let mut tx = engine.begin_for(&a).await.unwrap();
    assert_eq!(tx.execute(&FORGETFUL_WRITE, &[]).await.unwrap(), 1);
    assert_eq!(tx.execute(&FORGETFUL_DELETE, &[]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!((found(engine, &TAKEN_OVER).await, found(engine, &MEMBERS).await), (1, 1));
}

/// No row is written into another org or moved there.
async fn foreign_rows(engine: &TestEngine) {
    let (a, b) = (engine.scope("org_a").await, engine.scope("org_b").await);
    engine.member("org_a", "user_1", tollgate_rules::access::Role::Owner).await;
    for statement in [&FOREIGN_ROW, &FOREIGN_MOVE] {
        let mut tx = engine.begin_for(&a).await.unwrap();
        let refused = tx.execute(statement, &[b.org_key().0.into()]).await;
        assert!(matches!(&refused, Err(Error::Bug(text)) if text.contains("42501")), "{refused:?}");
    }
    assert_eq!(found(engine, &MEMBERS).await, 2);
}

/// In no table can one org see a row of another.
async fn nothing_of_another(engine: &TestEngine) {
    let a = engine.scope("org_a").await;
    let args = [a.org_key().0.to_string().into()];
    let all = engine.db().read().await.unwrap().one(&ROWS_OF_OTHERS, &args).await.unwrap();
    assert!(all.i64("tables").unwrap() >= 4, "there is something to hide");
    let seen = engine.read_for(&a).await.unwrap().one(&ROWS_OF_OTHERS, &args).await.unwrap();
    assert_eq!((seen.i64("rows").unwrap(), seen.i64("tables").unwrap()), (0, 0));
}

/// Every table is fenced or known to belong to no org.
async fn all_fenced(engine: &TestEngine) {
    let rows = engine.db().read().await.unwrap().all(&UNFENCED, &[]).await.unwrap();
    let open: Vec<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    assert_eq!(open, OF_NO_ORG, "a table of a tenant has an org_key; one that belongs to no org is listed above");
    let fence = engine.db().fence().await.unwrap().unwrap();
    assert_eq!((fence.open, fence.without_rights), (0, 0));
    assert!(fence.fenced > 20);
}

#[tokio::test]
async fn a_user_who_may_make_no_roles_is_told_what_to_run_and_works_once_it_was() {
    let Some(owned) = TestDb::owned(Owner::MakesNone).await else {
        println!("SKIPPED: a_user_who_may_make_no_roles: PostgreSQL not available");
        return;
    };
    // The role itself is the server's: another test may have made it, or not.
    owned.as_superuser("DO $$ BEGIN CREATE ROLE tollgate_request NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$").await;
    let refused = crate::Engine::open(crate::testing::settings(&owned)).await.expect_err("it may not act for an org");
    let text = refused.to_string();
    let (_, rest) = text.split_once("run in this database: ").expect("what to run");
    let (statements, _) = rest.split_once(" Then run").expect("and what then");
    assert!(statements.starts_with("GRANT tollgate_request TO tollgate_owner_"), "{text}");
    owned.as_superuser(statements).await;
    let engine = TestEngine::open_on(owned, |_| {}).await.expect("now it may");
    let fence = engine.db().fence().await.unwrap().unwrap();
    assert!(fence.in_use && !fence.superuser);
    forgetful(&engine).await;
}

#[tokio::test]
async fn the_embedded_database_has_no_second_fence_and_says_so() {
    let engine = TestEngine::open(Kind::Sqlite, "the_embedded_database").await.unwrap();
    assert_eq!(engine.db().fence().await.unwrap(), None);
}
