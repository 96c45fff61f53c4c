//! The same request_id is the same usage, for ever.

use tokio::task::JoinSet;

use tollgate_rules::ledger::Refusal;

use super::stage::{
    change_rights, id, metric, org, org_with, record, recorded, recount, rights, size, units, usage, used,
};
use crate::ledger::{self, Error, Item, Outcome, Signed};
use crate::on_both;
use crate::testing::{START, TestEngine};

on_both! {
    async fn a_request_id_sent_a_hundred_times_at_once_is_one_event_with_one_answer(engine: TestEngine) {
        let scope = org_with(&engine, 10_000).await;
        for round in 0..size(3, 30) {
            let mut tasks = JoinSet::new();
            for _ in 0..100 {
                let (engine, scope, name) = (engine.engine.clone(), scope.clone(), format!("same-{round}"));
                tasks.spawn(async move { ledger::record(&engine, &scope, usage(name, 7)).await.unwrap() });
            }
            let mut answers = Vec::new();
            while let Some(answer) = tasks.join_next().await {
                let mut answer = answer.unwrap();
                if let Outcome::Allowed(recorded) = &mut answer.answer {
                    recorded.repeat = false;
                }
                answers.push(answer);
            }
            assert_eq!(answers.len(), 100);
            assert!(answers.iter().all(|answer| *answer == answers[0]), "answers differ, receipts included");
            assert_eq!(recount(&engine).await.events, round + 1);
        }
        println!("PROOF: one request_id 100 times at once ({:?}): {} rounds, one event and one answer each", engine.db().kind(), size(3, 30));
    }

    async fn a_repeat_gets_its_first_answer_also_when_nothing_is_left(engine: TestEngine) {
        let scope = org_with(&engine, 10).await;
        let first = ledger::record(&engine, &scope, usage("a", 4)).await.unwrap();
        recorded(&engine, &scope, "b", 6).await;
        assert!(matches!(record(&engine, &scope, "c", 1).await.unwrap(), Outcome::Denied(_)));
        let again = ledger::record(&engine, &scope, usage("a", 4)).await.unwrap();
        let (Outcome::Allowed(first_answer), Outcome::Allowed(again_answer)) = (&first.answer, &again.answer) else { panic!() };
        assert!(again_answer.repeat && !first_answer.repeat);
        assert_eq!(first_answer.items, again_answer.items);
        assert_eq!(first.receipt, again.receipt);
        assert_eq!(used(&engine, &scope).await, 10);
    }

    async fn an_id_with_other_content_is_refused_and_changes_nothing(engine: TestEngine) {
        let scope = org_with(&engine, 100).await;
        recorded(&engine, &scope, "a", 4).await;
        let reused = |answer: Result<Signed<Outcome<ledger::Recorded>>, Error>| {
            assert_eq!(answer.unwrap_err(), Error::Refused(Refusal::Reused(id("a"))));
        };
        reused(ledger::record(&engine, &scope, usage("a", 5)).await);
        let mut other = usage("a", 4);
        other.items[0].metric = metric("tokens");
        reused(ledger::record(&engine, &scope, other).await);
        let mut more = usage("a", 4);
        more.items.push(Item { metric: metric("tokens"), units: units(1) });
        reused(ledger::record(&engine, &scope, more).await);
        let dated = ledger::Record { occurred_at: Some(START), ..usage("a", 4) };
        reused(ledger::record(&engine, &scope, dated).await);
        let forced = ledger::Record { force: Some("late".to_owned()), ..usage("a", 4) };
        reused(ledger::record(&engine, &scope, forced).await);
        // Where it came from is not part of what it is.
        let elsewhere = ledger::Record { source: "import".to_owned(), ..usage("a", 4) };
        assert!(matches!(ledger::record(&engine, &scope, elsewhere).await.unwrap().answer, Outcome::Allowed(_)));
        assert_eq!(used(&engine, &scope).await, 4);
    }

    async fn the_same_id_in_two_orgs_is_two_events(engine: TestEngine) {
        let first = org_with(&engine, 10).await;
        let second = org(&engine, "other", rights(tollgate_rules::catalog::Included::Units(10))).await;
        recorded(&engine, &first, "a", 1).await;
        recorded(&engine, &second, "a", 2).await;
        assert_eq!(used(&engine, &first).await, 1);
        assert_eq!(used(&engine, &second).await, 2);
        assert_eq!(recount(&engine).await.events, 2);
    }

    async fn a_refused_id_is_not_remembered(engine: TestEngine) {
        let scope = org_with(&engine, 1).await;
        assert!(matches!(record(&engine, &scope, "a", 2).await.unwrap(), Outcome::Denied(_)));
        change_rights(&engine, &scope, rights(tollgate_rules::catalog::Included::Units(5))).await;
        assert!(!recorded(&engine, &scope, "a", 2).await.repeat);
        assert_eq!(used(&engine, &scope).await, 2);
    }

    async fn a_batch_answers_in_order_and_finds_its_own_duplicates(engine: TestEngine) {
        let scope = org_with(&engine, 5).await;
        recorded(&engine, &scope, "known", 1).await;
        let mut batch = vec![usage("known", 1), usage("a", 2), usage("a", 2), usage("big", 3), usage("a", 1), usage("b", 2)];
        batch.push(ledger::Record { items: Vec::new(), ..usage("empty", 1) });
        let batch = batch.into_iter().map(|record| (scope.clone(), record)).collect();
        let answers = ledger::record_batch(&engine, batch).await;
        let words: Vec<&str> = answers.iter().map(word).collect();
        assert_eq!(words, ["duplicate", "accepted", "duplicate", "denied", "reused", "accepted", "invalid"]);
        assert_eq!(used(&engine, &scope).await, 5);
    }

    async fn a_batch_gives_what_the_same_records_give_one_by_one(engine: TestEngine) {
        let together = org(&engine, "together", rights(tollgate_rules::catalog::Included::Units(40))).await;
        let singly = org(&engine, "singly", rights(tollgate_rules::catalog::Included::Units(40))).await;
        let records: Vec<ledger::Record> = (0..60).map(|n| usage(format!("id-{}", n * 7 % 41), 1 + n % 4 % 3)).collect();
        let batch = records.iter().cloned().map(|record| (together.clone(), record)).collect();
        let answers = ledger::record_batch(&engine, batch).await;
        for (record, answer) in records.into_iter().zip(answers) {
            let alone = ledger::record(&engine, &singly, record).await;
            match (answer, alone) {
                (Ok(left), Ok(right)) => assert_eq!(numbers(&left.answer), numbers(&right.answer)),
                (left, right) => assert_eq!(left.err(), right.err()),
            }
        }
        recount(&engine).await;
    }
}

fn numbers(answer: &Outcome<ledger::Recorded>) -> Option<(Vec<ledger::Counted>, bool)> {
    match answer {
        Outcome::Allowed(recorded) => Some((recorded.items.clone(), recorded.repeat)),
        Outcome::Denied(_) => None,
    }
}

fn word(answer: &Result<Signed<Outcome<ledger::Recorded>>, Error>) -> &'static str {
    match answer {
        Ok(signed) => match &signed.answer {
            Outcome::Allowed(recorded) if recorded.repeat => "duplicate",
            Outcome::Allowed(_) => "accepted",
            Outcome::Denied(_) => "denied",
        },
        Err(Error::Refused(Refusal::Reused(_))) => "reused",
        Err(Error::Refused(_)) => "invalid",
        Err(_) => "error",
    }
}
