//! What holds for closing and erasing.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use tollgate_rules::access::{Permission, Role};
use tollgate_rules::ids::UserId;

use super::{KEPT, due};
use crate::access::{AuthError, OperatorScope, authenticate, authenticate_session};
use crate::accounts::{self, Mode, SignIn, SignUp};
use crate::db::Statement;
use crate::testing::{START, TestEngine};
use crate::{activation, audit, jobs, keys, members, on_both, orgs};

mod outside;

const PASSWORD: &str = "a long walk by the sea";
const EMAIL: &str = "canary.person@example.com";

const TEXT_COLUMNS: Statement = Statement::split(
    "test.text_columns",
    "SELECT m.name AS of_table, c.name AS of_column
     FROM sqlite_schema m JOIN pragma_table_info(m.name) c
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND c.type = 'TEXT' ORDER BY 1, 2",
    "SELECT CAST(table_name AS TEXT) AS of_table, CAST(column_name AS TEXT) AS of_column
     FROM information_schema.columns
     WHERE table_schema = current_schema() AND data_type = 'text' ORDER BY 1, 2",
);

/// Every column of every table that holds `canary`, in any spelling.
async fn canaries(engine: &TestEngine) -> Vec<String> {
    holding(engine, "%canary%").await
}

/// Every column of every table that holds something like this.
async fn holding(engine: &TestEngine, like: &str) -> Vec<String> {
    let mut read = engine.db().read().await.unwrap();
    let columns = read.all(&TEXT_COLUMNS, &[]).await.unwrap();
    assert!(columns.len() > 100, "every table is looked through");
    let mut found = Vec::new();
    for row in columns {
        let (table, column) = (row.text("of_table").unwrap(), row.text("of_column").unwrap());
        let sql = format!("SELECT COUNT(*) AS found FROM {table} WHERE LOWER({column}) LIKE '{like}'");
        let statement: &'static Statement =
            Box::leak(Box::new(Statement::new("test.canaries", Box::leak(sql.into_boxed_str()))));
        if read.one(statement, &[]).await.unwrap().i64("found").unwrap() > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    found
}

fn operator(engine: &TestEngine) -> OperatorScope {
    engine.operator().require_operator(Permission::UsersOperate).unwrap()
}

async fn person(engine: &TestEngine) -> UserId {
    let wanted = SignUp {
        email: EMAIL.to_owned(),
        password: SecretString::from(PASSWORD),
        name: Some("Canary Person".to_owned()),
        corr_id: "test".to_owned(),
    };
    accounts::sign_up(engine, wanted).await.unwrap();
    jobs::run_due(engine).await.unwrap();
    let letter = engine.letters().pop().unwrap();
    let code = letter.split("Code: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    accounts::verify_email(engine, &code, "test").await.unwrap().user_id
}

async fn sign_in(engine: &TestEngine, password: &str) -> Result<accounts::SignedIn, accounts::Error> {
    let with = SignIn {
        email: EMAIL.to_owned(),
        password: SecretString::from(password),
        code: None,
        mode: Mode::Cookie,
        device: "the canary's telephone".to_owned(),
        from: None,
        corr_id: "test".to_owned(),
    };
    accounts::sign_in(engine, with).await
}

/// Thirty days and a bit after the beginning.
fn after_the_days(engine: &TestEngine) {
    engine.set_now(START.plus(KEPT).plus(Duration::from_secs(60)));
}

async fn journal_is_whole(engine: &TestEngine) {
    audit::seal(engine).await.unwrap();
    let verified = audit::verify(engine, &operator(engine), None).await.unwrap();
    assert!(verified.entries > 0 && verified.findings.is_empty(), "{verified:?}");
}

on_both! {
    async fn of_an_erased_person_nothing_is_left_but_an_id_and_the_journal_holds(engine: TestEngine) {
        let user_id = person(&engine).await;
        engine.org("org_acme").await;
        engine.member("org_acme", user_id.as_str(), Role::Admin).await;
        engine.org("org_other").await;
        let invite = members::Invite { email: EMAIL.to_owned(), role: Role::Member };
        members::invite(&engine, &engine.scope("org_other").await, invite).await.unwrap();
        assert!(sign_in(&engine, "a wrong password here").await.is_err());
        accounts::forgot(&engine, EMAIL, "test").await.unwrap();
        let begun = sign_in(&engine, PASSWORD).await.unwrap();
        let secret = begun.cookie.unwrap();
        let caller = authenticate_session(&engine, secret.expose_secret()).await.unwrap();
        let export = accounts::export(&engine, &caller).await.unwrap();
        assert_eq!((export.memberships.len(), export.invitations.len()), (1, 1));
        assert!(export.deeds.iter().any(|deed| deed.action == "accounts.sign-in"));
        journal_is_whole(&engine).await;

        accounts::close(&engine, &caller).await.unwrap();
        assert!(matches!(authenticate_session(&engine, secret.expose_secret()).await, Err(AuthError::Invalid)));
        assert!(matches!(sign_in(&engine, PASSWORD).await, Err(accounts::Error::Credentials)));
        due(&engine).await.unwrap();
        assert!(canaries(&engine).await.contains(&"users.email".to_owned()), "not before the days have passed");
        after_the_days(&engine);
        jobs::run_due(&engine).await.unwrap();
        due(&engine).await.unwrap();
        due(&engine).await.unwrap();
        assert_eq!(canaries(&engine).await, Vec::<String>::new());
        journal_is_whole(&engine).await;
        let refused = accounts::restore(&engine, &operator(&engine), &user_id).await;
        assert!(matches!(refused, Err(accounts::Error::Conflict(_))), "{refused:?}");
    }

    async fn a_closed_account_is_opened_again_with_its_memberships(engine: TestEngine) {
        let user_id = person(&engine).await;
        engine.org("org_acme").await;
        engine.member("org_acme", user_id.as_str(), Role::Billing).await;
        accounts::close_for(&engine, &operator(&engine), &user_id).await.unwrap();
        let members = members::list(&engine, &engine.scope("org_acme").await, &Default::default()).await.unwrap();
        assert_eq!(members.items.len(), 1, "only the owner is left");
        engine.set_now(START.plus(KEPT - Duration::from_secs(60)));
        accounts::restore(&engine, &operator(&engine), &user_id).await.unwrap();
        accounts::restore(&engine, &operator(&engine), &user_id).await.unwrap();
        let begun = sign_in(&engine, PASSWORD).await.unwrap();
        let caller = authenticate_session(&engine, begun.cookie.unwrap().expose_secret()).await.unwrap();
        let scope = caller.require(&engine, Permission::BillingRead, None).await.unwrap();
        assert_eq!(scope.org_id().as_str(), "org_acme");
    }

    async fn the_last_owner_of_an_org_cannot_close_their_account(engine: TestEngine) {
        let user_id = person(&engine).await;
        engine.org("org_acme").await;
        let scope = engine.scope("org_acme").await;
        engine.member("org_acme", user_id.as_str(), Role::Member).await;
        members::transfer(&engine, &scope, &user_id).await.unwrap();
        members::remove(&engine, &scope, &UserId::parse("user_1").unwrap()).await.unwrap();
        let refused = accounts::close_for(&engine, &operator(&engine), &user_id).await;
        assert!(matches!(refused, Err(accounts::Error::Conflict(_))), "{refused:?}");
        sign_in(&engine, PASSWORD).await.unwrap();
        orgs::delete(&engine, &scope).await.unwrap();
        accounts::close_for(&engine, &operator(&engine), &user_id).await.unwrap();
    }

    async fn of_an_erased_org_the_ledger_is_left_without_words_and_the_journal_holds(engine: TestEngine) {
        const COUNTED: Statement = Statement::new(
            "test.counted",
            "INSERT INTO usage_events (org_key, request_id, item_no, period_no, metric, verb, delta, units, recorded_at, actor, source, reason,
                                       answer_used, answer_held, answer_limit)
             SELECT org_key, 'r' || org_key, 0, 0, 'api_call', 'force', 7, 7, 0, 'key:key_1', 'a canary''s laptop', 'the canary asked for it', 7, 0, 0
             FROM organizations",
        );
        const LEDGER: Statement =
            Statement::new("test.ledger", "SELECT CAST(SUM(delta) AS BIGINT) AS found FROM usage_events WHERE reason IS NULL AND source = 'erased'");
        engine.org("org_acme").await;
        let scope = engine.scope("org_acme").await;
        let names = orgs::Update { name: Some("Canary Ltd".to_owned()), email: Some("office@canary.example".to_owned()), ..orgs::Update::default() };
        orgs::update(&engine, &scope, names).await.unwrap();
        let new = keys::Create { name: "canary key".to_owned(), scopes: None, expires_at: None, quota: std::collections::BTreeMap::new() };
        let key = keys::create(&engine, &engine.operator(), &scope, new).await.unwrap();
        let invite = members::Invite { email: EMAIL.to_owned(), role: Role::Member };
        members::invite(&engine, &scope, invite).await.unwrap();
        let domain = activation::site_domain("shop.canary.example").unwrap();
        let code = activation::create_code(&engine, &engine.operator(), &scope, &domain).await.unwrap();
        let redeem = activation::Redeem { code: code.code.expose_secret().to_owned(), site_url: "shop.canary.example".to_owned(), address: None, proof: None };
        activation::redeem(&engine, redeem).await.unwrap();
        activation::create_code(&engine, &engine.operator(), &scope, &domain).await.unwrap();
        let mut tx = engine.db().begin(crate::db::Lane::Control).await.unwrap();
        tx.execute(&COUNTED, &[]).await.unwrap();
        tx.commit().await.unwrap();
        let export = orgs::export(&engine, &scope).await.unwrap();
        assert_eq!((export.members.len(), export.keys.len(), export.sites.len(), export.invitations.len()), (1, 1, 1, 1));
        journal_is_whole(&engine).await;
        jobs::run_due(&engine).await.unwrap();

        orgs::delete(&engine, &scope).await.unwrap();
        assert!(authenticate(&engine, key.secret.expose_secret()).await.is_err());
        orgs::restore(&engine, &scope).await.unwrap();
        authenticate(&engine, key.secret.expose_secret()).await.unwrap();
        orgs::delete(&engine, &scope).await.unwrap();
        due(&engine).await.unwrap();
        assert!(canaries(&engine).await.len() > 5, "not before the days have passed");
        after_the_days(&engine);
        assert!(matches!(orgs::restore(&engine, &scope).await, Err(orgs::Error::Erased)));
        due(&engine).await.unwrap();
        due(&engine).await.unwrap();
        assert_eq!(canaries(&engine).await, Vec::<String>::new());
        let left = engine.db().read().await.unwrap().one(&LEDGER, &[]).await.unwrap().i64("found").unwrap();
        assert_eq!(left, 7, "what was counted stays counted");
        journal_is_whole(&engine).await;
    }
}
