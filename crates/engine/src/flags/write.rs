//! Merges flags key by key.

use serde_json::{Map, Value, json};

use super::{Error, GLOBAL, STRICT_QUOTA, Subject, USAGE_DIGEST, sql};
use crate::access::{OperatorScope, OrgScope};
use crate::audit;
use crate::db::{Lane, Tx};
use crate::engine::Engine;
use crate::{jobs, ledger, orgs};

/// Flags of one subject.
const FLAGS_MAX: usize = 100;

/// Merges `changes` into the subject's flags (null removes) and returns the resulting map.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], or the database's.
pub async fn write(
    engine: &Engine,
    scope: &OperatorScope,
    subject: &Subject,
    changes: Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    for (name, value) in &changes {
        check(engine, name, value)?;
    }
    let of = key_of(engine, scope, subject).await?;
    let decides = changes.contains_key(STRICT_QUOTA);
    let (task, by, about) = (engine.clone(), scope.clone(), of.clone());
    let flags = engine.db().detached(async move { store(&task, &by, about.as_ref(), changes).await }).await?;
    if decides {
        match of {
            Some(of) => engine.ledger().forget(of.org_key()),
            None => engine.wake_workers(),
        }
    }
    Ok(flags)
}

async fn store(
    engine: &Engine,
    by: &OperatorScope,
    of: Option<&OrgScope>,
    changes: Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let org_key = of.map_or(GLOBAL, |of| of.org_key().0);
    let mut tx = engine.db().begin(Lane::Control).await?;
    let before = sql::flags(&mut tx, org_key).await?;
    let mut after = before.clone();
    for (name, value) in changes {
        if value.is_null() {
            sql::remove(&mut tx, org_key, &name).await?;
            after.remove(&name);
        } else {
            sql::set(&mut tx, org_key, &name, &value, engine.now()).await?;
            after.insert(name, value);
        }
    }
    if after.len() > FLAGS_MAX {
        return Err(Error::Invalid { name: "flags".to_owned(), rule: "at most 100 of them" });
    }
    if after != before {
        let entry = match of {
            Some(of) => audit::Entry::of(of, "flags.write", of.org_id().as_str()),
            None => audit::Entry::server(by, "flags.write", "global"),
        };
        audit::append(engine, &mut tx, entry.before(json!(before)).after(json!(after))).await?;
        if before.get(STRICT_QUOTA) != after.get(STRICT_QUOTA) {
            decide_anew(engine, &mut tx, by, of).await?;
        }
        tx.commit().await?;
    }
    Ok(after)
}

/// One org is decided anew in this transaction; all of them by a job, page by page, which is queued in it.
async fn decide_anew(engine: &Engine, tx: &mut Tx, by: &OperatorScope, of: Option<&OrgScope>) -> Result<(), Error> {
    if let Some(of) = of {
        return Ok(ledger::refresh(engine, tx, of.org_key()).await?);
    }
    let job = jobs::Job {
        kind: jobs::Kind::DecideAnew,
        key: "global".to_owned(),
        org_key: None,
        payload: Value::Null,
        run_at: engine.now(),
        corr_id: by.corr_id().to_owned(),
    };
    Ok(jobs::enqueue(engine, tx, &job).await?)
}

fn check(engine: &Engine, name: &str, value: &Value) -> Result<(), Error> {
    let rule = |rule| Err(Error::Invalid { name: name.to_owned(), rule });
    let well_named = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !well_named {
        return rule("a name is 1 to 64 of a-z 0-9 _");
    }
    if [STRICT_QUOTA, USAGE_DIGEST].contains(&name) && !(value.is_boolean() || value.is_null()) {
        return rule("true, false or null");
    }
    if value.to_string().len() > engine.limits().flag_bytes_max {
        return rule("a value of at most 4096 bytes");
    }
    Ok(())
}

/// The scope of the subject's org; none for the global flags.
pub(super) async fn key_of(
    engine: &Engine,
    scope: &OperatorScope,
    subject: &Subject,
) -> Result<Option<OrgScope>, Error> {
    match subject {
        Subject::Global => Ok(None),
        Subject::Org(org_id) => {
            let org = orgs::find(engine, org_id).await?.ok_or(Error::NotFound)?;
            Ok(Some(scope.scope_of(org)))
        }
    }
}
