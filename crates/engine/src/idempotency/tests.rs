//! What holds for idempotency keys.

use super::{Begun, Call, Stored, abandon, begin, finish};
use crate::access::Caller;
use crate::db::{Lane, Statement};
use crate::on_both;
use crate::testing::TestEngine;

const CALL: Call<'static> = Call { key: "k", route: "POST /api/orgs.create", body: b"{}" };

fn answer() -> Stored {
    Stored { status: 200, content_type: "application/json".to_owned(), body: "{\"ok\":true}".to_owned() }
}

on_both! {
    async fn a_repeat_gets_the_stored_answer_and_another_body_is_refused(engine: TestEngine) {
        let caller = engine.operator();
        let Begun::Run(ticket) = begin(&engine, &caller, CALL).await.unwrap() else { panic!("the first call runs") };
        assert!(matches!(begin(&engine, &caller, CALL).await.unwrap(), Begun::Running));
        finish(&engine, ticket, answer()).await.unwrap();
        let Begun::Replay(stored) = begin(&engine, &caller, CALL).await.unwrap() else { panic!("a replay") };
        assert_eq!(stored, answer());
        for other in [Call { body: b"[]", ..CALL }, Call { route: "POST /api/orgs.update", ..CALL }] {
            assert!(matches!(begin(&engine, &caller, other).await.unwrap(), Begun::Reused));
        }
        let someone = Caller::nobody();
        assert!(matches!(begin(&engine, &someone, CALL).await.unwrap(), Begun::Run(_)), "keys belong to their caller");
    }

    async fn an_abandoned_key_may_run_again(engine: TestEngine) {
        let caller = engine.operator();
        let Begun::Run(ticket) = begin(&engine, &caller, CALL).await.unwrap() else { panic!("the first call runs") };
        abandon(&engine, ticket).await.unwrap();
        assert!(matches!(begin(&engine, &caller, CALL).await.unwrap(), Begun::Run(_)));
    }

    async fn a_crashed_run_gives_its_key_free_and_its_late_answer_does_not_count(engine: TestEngine) {
        const AGE: Statement = Statement::new("test.age_lease", "UPDATE idempotency_keys SET lease_until = 0");
        let caller = engine.operator();
        let Begun::Run(crashed) = begin(&engine, &caller, CALL).await.unwrap() else { panic!("the first call runs") };
        let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
        tx.execute(&AGE, &[]).await.unwrap();
        tx.commit().await.unwrap();
        let Begun::Run(second) = begin(&engine, &caller, CALL).await.unwrap() else { panic!("the key is free") };
        finish(&engine, crashed, Stored { body: "late".to_owned(), ..answer() }).await.unwrap();
        finish(&engine, second, answer()).await.unwrap();
        let Begun::Replay(stored) = begin(&engine, &caller, CALL).await.unwrap() else { panic!("a replay") };
        assert_eq!(stored.body, answer().body);
    }

    async fn of_many_calls_under_one_key_one_runs(engine: TestEngine) {
        let caller = engine.operator();
        let calls = (0..30).map(|_| begin(&engine, &caller, CALL));
        let begun = futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(begun.iter().filter(|begun| matches!(begun, Begun::Run(_))).count(), 1);
        assert_eq!(begun.iter().filter(|begun| matches!(begun, Begun::Running)).count(), 29);
    }
}
