//! `tollgate migrate`: brings the database up to date, or says that it is not.

use serde_json::json;
use tollgate_connectors::billing::Billing;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_engine::KeyEnvironment;
use tollgate_engine::clock::BusinessClock;
use tollgate_engine::db::Migrate;

use super::Done;
use crate::assemble::{self, Parts};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::output::Format;

/// Applies what is pending, or with `check` only looks.
///
/// # Errors
/// The database cannot be opened, or is newer than this program.
pub(crate) async fn run(config: &Config, check: bool, format: Format) -> Result<Done, Failure> {
    let data = DataDir::new(&config.data);
    let nothing_there = config.database_url.is_none() && !data.database().exists();
    if check && nothing_there {
        return Ok(pending(format));
    }
    data.make()?;
    let parts = Parts {
        business: BusinessClock::system(),
        billing: Billing::Off,
        plan_mirror: PlanMirror::Off,
        migrate: if check { Migrate::Refuse } else { Migrate::Apply },
        keys: KeyEnvironment::Live,
        operator_key: None,
        base_url: String::new(),
    };
    match assemble::engine(config, parts).await {
        Ok(engine) => {
            engine.close().await;
            format.print(&json!({"upToDate": true}), |_| String::from("The database is up to date."));
            Ok(Done::Ok)
        }
        Err(failure) if check && failure.exit == Exit::Stale => Ok(pending(format)),
        Err(failure) => Err(failure),
    }
}

fn pending(format: Format) -> Done {
    format.print(&json!({"upToDate": false}), |_| {
        String::from("Migrations are pending; `tollgate migrate` applies them.")
    });
    Done::ChangesPending
}
