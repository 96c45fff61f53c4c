//! What holds for backups.

use tollgate_rules::access::Permission;
use tollgate_rules::ids::OrgId;

use super::{Error, create, restore, to_delete};
use crate::db::{Kind, Lane, Migrate, Source};
use crate::engine::Engine;
use crate::jobs;
use crate::testing::{TestDb, TestEngine, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_running_opens_with_what_was_there() {
    let engine = TestEngine::open(Kind::Sqlite, "backup").await.unwrap();
    engine.org("org_a").await;
    let other = TestDb::sqlite();
    let Source::Sqlite { path } = other.source() else { panic!("embedded") };
    let copy = path.with_file_name("copy.db");
    let created = create(&engine, &engine.server(), &copy).await.unwrap();
    assert!(created.bytes > 0);
    assert!(matches!(create(&engine, &engine.server(), &copy).await, Err(Error::Exists(_))));
    engine.org("org_later").await;

    let restored = restore(&copy, &path).await.unwrap();
    assert_eq!(restored.kept, None);
    let mut again = settings(&other);
    again.migrate = Migrate::Refuse;
    let reopened = Engine::open(again).await.unwrap();
    let caller = crate::access::Caller::local_operator();
    let there = |id: &str| OrgId::parse(id).unwrap();
    assert!(caller.require(&reopened, Permission::OrgRead, Some(&there("org_a"))).await.is_ok());
    assert!(caller.require(&reopened, Permission::OrgRead, Some(&there("org_later"))).await.is_err());
    let in_use = restore(&copy, &path).await;
    assert!(matches!(in_use, Err(Error::InUse(_))), "{in_use:?}");
    reopened.close().await;
    drop(reopened);
    assert!(restore(&copy, &path).await.unwrap().kept.is_some());
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_touched() {
    let engine = TestEngine::open(Kind::Sqlite, "damaged").await.unwrap();
    for number in 0..50 {
        engine.org(&format!("org_{number}")).await;
    }
    let other = TestDb::sqlite();
    let Source::Sqlite { path } = other.source() else { panic!("embedded") };
    let copy = path.with_file_name("copy.db");
    create(&engine, &engine.server(), &copy).await.unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    for byte in bytes.iter_mut().skip(4096).step_by(97) {
        *byte ^= 0x5a;
    }
    std::fs::write(&copy, bytes).unwrap();
    let refused = restore(&copy, &path).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(!path.exists());
}

#[tokio::test]
async fn one_flipped_bit_is_found_by_the_checksum() {
    let engine = TestEngine::open(Kind::Sqlite, "flipped").await.unwrap();
    engine.org("org_a").await;
    let other = TestDb::sqlite();
    let Source::Sqlite { path } = other.source() else { panic!("embedded") };
    let copy = path.with_file_name("copy.db");
    create(&engine, &engine.server(), &copy).await.unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    let name = bytes.windows(5).position(|window| window == b"org_a").expect("the org's id is in the file");
    bytes[name + 4] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    let refused = restore(&copy, &path).await;
    assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_backup_whose_ledger_does_not_add_up_is_refused() {
    let engine = TestEngine::open(Kind::Sqlite, "drifted").await.unwrap();
    engine.org("org_a").await;
    let org_key = engine.scope("org_a").await.org_key();
    let write = async {
        let mut tx = engine.engine.db().begin(Lane::Control).await?;
        crate::ledger::sql::plant_counter(&mut tx, org_key).await?;
        tx.commit().await
    };
    let written: Result<(), crate::db::Error> = write.await;
    written.unwrap();
    let other = TestDb::sqlite();
    let Source::Sqlite { path } = other.source() else { panic!("embedded") };
    let refused = create(&engine, &engine.server(), &path.with_file_name("copy.db")).await;
    assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
}

#[tokio::test]
async fn postgres_is_handed_to_its_own_tools() {
    let Some(engine) = TestEngine::open(Kind::Postgres, "postgres_is_handed_to_its_own_tools").await else { return };
    let refused = create(&engine, &engine.server(), std::path::Path::new("never.db")).await;
    assert!(matches!(&refused, Err(Error::NotEmbedded)), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("pg_dump"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daily_backup_makes_a_file_and_comes_again() {
    let engine = TestEngine::open(Kind::Sqlite, "daily").await.unwrap();
    super::keep_daily(&engine).await.unwrap();
    engine.set_now(engine.now().plus(std::time::Duration::from_secs(24 * 3600)));
    jobs::run_due(&engine).await.unwrap();
    let Source::Sqlite { path } = engine.db.source() else { panic!("embedded") };
    let files = std::fs::read_dir(path.with_file_name("backups")).unwrap().count();
    assert_eq!(files, 2, "the backup and its checksum");
    let queued = jobs::Filter { state: Some(jobs::State::Queued), kind: Some(jobs::Kind::Backup) };
    let again = jobs::list(&engine, &engine.server(), queued, &crate::paging::Paging::default()).await.unwrap();
    assert_eq!(again.items.len(), 1);
}

#[test]
fn seven_days_and_four_weeks_are_kept() {
    let name = |month: u8, day: u8| format!("tollgate-2026-{month:02}-{day:02}T03-00-00Z.db");
    let all: Vec<String> = (1..=31).map(|day| name(1, day)).chain((1..=10).map(|day| name(2, day))).collect();
    let gone = to_delete(&all);
    let kept: Vec<&String> = all.iter().filter(|name| !gone.contains(name)).collect();
    // 10 February 2026 is a Tuesday: seven days back to the 4th, then the Sundays of the weeks before.
    let expected: Vec<String> =
        [(1, 25), (2, 1)].into_iter().map(|(m, d)| name(m, d)).chain((4..=10).map(|d| name(2, d))).collect();
    assert_eq!(kept, expected.iter().collect::<Vec<_>>());
    assert!(to_delete(&["other.db".to_owned()]).is_empty());
}
