//! What holds for the journal.

use super::{Filter, Problem, list, seal, verify};
use crate::db::{Lane, Statement};
use crate::on_both;
use crate::orgs::{self, Update};
use crate::paging::Paging;
use crate::testing::TestEngine;

/// Two orgs, with a handful of sealed entries each.
async fn journal(engine: &TestEngine) {
    for org_id in ["org_a", "org_b"] {
        engine.org(org_id).await;
        let scope = engine.scope(org_id).await;
        for number in 0..4 {
            let update = Update { name: Some(format!("Name {number}")), ..Update::default() };
            orgs::update(engine, &scope, update).await.unwrap();
        }
    }
    assert_eq!(seal(engine).await.unwrap(), 10);
    assert_eq!(seal(engine).await.unwrap(), 0);
}

async fn tamper(engine: &TestEngine, statement: &'static Statement) {
    let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
    assert!(tx.execute(statement, &[]).await.unwrap() > 0, "the test tampers with something");
    tx.commit().await.unwrap();
}

async fn problems(engine: &TestEngine) -> Vec<Problem> {
    let verified = verify(engine, &engine.server(), None).await.unwrap();
    verified.findings.into_iter().map(|finding| finding.problem).collect()
}

on_both! {
    async fn an_untouched_journal_is_whole(engine: TestEngine) {
        journal(&engine).await;
        let verified = verify(&engine, &engine.server(), None).await.unwrap();
        assert_eq!((verified.chains, verified.entries, verified.unsealed), (2, 10, 0));
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    }

    async fn a_changed_value_is_found(engine: TestEngine) {
        const FLIP: Statement = Statement::new("test.flip", "UPDATE audit_journal SET after_json = '{\"name\":\"x\"}' WHERE chain_no = 3");
        journal(&engine).await;
        tamper(&engine, &FLIP).await;
        assert_eq!(problems(&engine).await, [Problem::FieldChanged, Problem::FieldChanged]);
    }

    async fn a_changed_action_is_found(engine: TestEngine) {
        const FLIP: Statement = Statement::new("test.flip_action", "UPDATE audit_journal SET action = 'orgs.nothing' WHERE chain_no = 2 AND org_key = 1");
        journal(&engine).await;
        tamper(&engine, &FLIP).await;
        assert_eq!(problems(&engine).await, [Problem::Changed]);
    }

    async fn a_deleted_entry_is_found_in_the_middle_and_at_the_end(engine: TestEngine) {
        const MIDDLE: Statement = Statement::new("test.delete_middle", "DELETE FROM audit_journal WHERE chain_no = 2 AND org_key = 1");
        const END: Statement = Statement::new("test.delete_end", "DELETE FROM audit_journal WHERE chain_no = 5 AND org_key = 2");
        journal(&engine).await;
        tamper(&engine, &MIDDLE).await;
        tamper(&engine, &END).await;
        assert_eq!(problems(&engine).await, [Problem::Gap, Problem::Cut]);
    }

    async fn swapped_entries_are_found(engine: TestEngine) {
        const SWAP: Statement = Statement::new(
            "test.swap",
            "UPDATE audit_journal SET chain_no = -chain_no WHERE org_key = 1 AND chain_no IN (2, 3)",
        );
        const BACK: Statement = Statement::new("test.swap_back", "UPDATE audit_journal SET chain_no = 5 + chain_no WHERE chain_no < 0");
        journal(&engine).await;
        tamper(&engine, &SWAP).await;
        tamper(&engine, &BACK).await;
        assert!(problems(&engine).await.len() >= 2);
    }

    async fn an_erased_value_leaves_the_chain_whole(engine: TestEngine) {
        const ERASE: Statement = Statement::split(
            "test.erase",
            "UPDATE audit_journal SET after_json = NULL, salts = json_remove(salts, '$.after') WHERE chain_no = 3",
            "UPDATE audit_journal SET after_json = NULL, salts = CAST(CAST(salts AS JSONB) - 'after' AS TEXT) WHERE chain_no = 3",
        );
        journal(&engine).await;
        tamper(&engine, &ERASE).await;
        assert!(problems(&engine).await.is_empty());
    }

    async fn sealers_that_run_together_make_one_chain(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        for number in 0..20 {
            orgs::update(&engine, &scope, Update { name: Some(format!("N{number}")), ..Update::default() }).await.unwrap();
        }
        let sealers = (0..4).map(|_| seal(&engine));
        let sealed: u64 = futures::future::try_join_all(sealers).await.unwrap().into_iter().sum();
        assert_eq!(sealed, 21);
        assert!(problems(&engine).await.is_empty());
    }

    async fn the_journal_is_listed_by_org_and_action(engine: TestEngine) {
        journal(&engine).await;
        let of_a = Filter { org_id: Some("org_a".parse().unwrap()), action: Some("orgs.update".to_owned()), ..Filter::default() };
        let page = list(&engine, &engine.server(), &of_a, &Paging::new(Some(3), None).unwrap()).await.unwrap();
        assert_eq!(page.items.len(), 3);
        let rest = list(&engine, &engine.server(), &of_a, &Paging::new(Some(3), page.next.as_deref()).unwrap()).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (1, None));
        assert_eq!(rest.items[0].after.as_ref().unwrap()["name"], "Name 0");
        assert!(rest.items[0].hash.is_some());
    }
}
