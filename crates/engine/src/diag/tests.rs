//! What holds for diagnostics.

use super::{ready, smoke, unconverged};
use crate::on_both;
use crate::testing::TestEngine;

on_both! {
    async fn a_sound_server_is_ready_and_passes_the_smoke_test(engine: TestEngine) {
        assert_eq!(ready(&engine).await, Ok(()));
        let found = smoke(&engine).await;
        assert!(found.ok(), "{found:?}");
        let names: Vec<_> = found.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, ["db", "redis", "env", "stripe", "jobs"]);
        assert!(unconverged(&engine).await.unwrap().is_empty());
    }

    async fn a_server_without_its_database_is_not_ready_and_says_which_check_fails(engine: TestEngine) {
        engine.close().await;
        assert!(ready(&engine).await.is_err());
        let found = smoke(&engine).await;
        assert!(!found.ok());
        assert!(!found.checks[0].ok, "{found:?}");
    }
}
