//! What opens an incident, what counts it up, and what ends it.

use tollgate_rules::access::Permission;

use super::{CloseError, Filter, Kind, SERVER, Seen, close_by_operator, list, open};
use crate::db::Lane;
use crate::on_both;
use crate::paging::Paging;
use crate::testing::TestEngine;

async fn seen(engine: &TestEngine, subject: &str) {
    let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
    let seen = Seen { org_key: SERVER, kind: Kind::DeadJob, subject, detail: "it failed too often" };
    open(&engine.engine, &mut tx, &seen).await.unwrap();
    tx.commit().await.unwrap();
}

on_both! {
    async fn a_cause_that_comes_again_counts_up_until_somebody_ends_it(engine: TestEngine) {
        let scope = engine.operator().require_operator(Permission::IncidentsOperate).unwrap();
        seen(&engine, "job_1").await;
        seen(&engine, "job_1").await;
        seen(&engine, "job_2").await;
        let filter = Filter { kind: Some(Kind::DeadJob), ..Filter::default() };
        let page = list(&engine, &scope, &filter, &Paging::new(Some(1), None).unwrap()).await.unwrap();
        let cursor = page.next.as_deref();
        let rest = list(&engine, &scope, &filter, &Paging::new(Some(1), cursor).unwrap()).await.unwrap();
        let mut both = [page.items[0].clone(), rest.items[0].clone()];
        both.sort_by(|one, other| one.subject.cmp(&other.subject));
        assert_eq!(both.iter().map(|one| (one.subject.as_str(), one.seen)).collect::<Vec<_>>(), [("job_1", 2), ("job_2", 1)]);
        close_by_operator(&engine, &scope, &both[0].incident_id, "fixed").await.unwrap();
        let twice = close_by_operator(&engine, &scope, &both[0].incident_id, "fixed").await.unwrap_err();
        assert!(matches!(twice, CloseError::NotFound));
        seen(&engine, "job_1").await;
        let open = Filter { state: Some("open".to_owned()), ..Filter::default() };
        assert_eq!(list(&engine, &scope, &open, &Paging::default()).await.unwrap().items.len(), 2, "a new one opens");
    }
}
