//! What holds for letters in the outbox.

use tollgate_connectors::mail::{Letter, Mail};

use super::{Queued, queue};
use crate::db::{Lane, Statement};
use crate::testing::TestEngine;
use crate::{jobs, on_both};

const ROWS: Statement = Statement::new("test.mail_rows", "SELECT state, sealed FROM mail_outbox LIMIT 10");

async fn write(engine: &TestEngine, to: &str, keep: bool) {
    let mut tx = engine.db().begin(Lane::Control).await.unwrap();
    let letter = Letter::new("Hello").line("There you are.").code("secret-code-1");
    queue(engine, &mut tx, &Queued { to, org_key: None, letter: &letter, corr_id: "test" }).await.unwrap();
    if keep {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await.unwrap();
    }
}

async fn rows(engine: &TestEngine) -> Vec<(String, Option<String>)> {
    let mut read = engine.db().read().await.unwrap();
    let rows = read.all(&ROWS, &[]).await.unwrap();
    rows.iter().map(|row| (row.text("state").unwrap(), row.opt_text("sealed").unwrap())).collect()
}

on_both! {
    async fn a_letter_is_sealed_while_it_waits_and_erased_once_it_is_sent(engine: TestEngine) {
        write(&engine, "ann@example.com", true).await;
        let waiting = rows(&engine).await;
        let sealed = waiting[0].1.clone().unwrap();
        assert!(!sealed.contains("secret-code-1") && !sealed.contains("ann@"), "{sealed}");
        jobs::run_due(&engine).await.unwrap();
        assert_eq!(rows(&engine).await, [("sent".to_owned(), None)]);
        let letters = engine.letters();
        assert_eq!(letters.len(), 1);
        assert!(letters[0].contains("Code: secret-code-1") && letters[0].contains("To: ann@example.com"), "{letters:?}");
    }

    async fn a_change_that_did_not_happen_sends_no_letter(engine: TestEngine) {
        write(&engine, "ann@example.com", false).await;
        jobs::run_due(&engine).await.unwrap();
        assert!(rows(&engine).await.is_empty() && engine.letters().is_empty());
    }

    async fn a_letter_that_nobody_can_take_is_given_up(engine: TestEngine) {
        write(&engine, "no address", true).await;
        jobs::run_due(&engine).await.unwrap();
        assert_eq!(rows(&engine).await, [("refused".to_owned(), None)]);
    }
}

#[tokio::test]
async fn a_letter_waits_for_a_server_that_does_not_answer() {
    let nowhere = secrecy::SecretString::from("smtp://127.0.0.1:9");
    let engine = TestEngine::open_with(crate::db::Kind::Sqlite, "mail", |settings| {
        settings.mail = Mail::smtp(&nowhere, "billing@example.com").unwrap();
    });
    let engine = engine.await.unwrap();
    write(&engine, "ann@example.com", true).await;
    jobs::run_due(&engine).await.unwrap();
    assert_eq!(rows(&engine).await[0].0, "queued", "it is tried again later");
}
