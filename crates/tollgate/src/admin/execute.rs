//! Carries out one request of an operator.

use std::path::Path;

use serde_json::{Value, json};
use tollgate_engine::access::{Caller, OperatorScope, OrgScope, Refused};
use tollgate_engine::{Engine, audit, backup, diag};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;
use tollgate_web::{Advance, AdvanceError};

use super::{Context, How, Request, keys, ledger, plans, webhooks, what_if};
use crate::failure::{Exit, Failure};
use crate::worlds;

/// Does what was asked.
///
/// # Errors
/// It failed; the failure knows the exit code.
pub(crate) async fn execute(context: &Context, request: Request) -> Result<Value, Failure> {
    let engine = &context.engine;
    match request {
        Request::Clock => Ok(json!({"now": engine.now()})),
        Request::Advance { how } => advance(context, how).await,
        Request::KeysCreate { org: None, name, scopes: _, expires_at, quota: _ } => {
            keys::create_operator(engine, name, expires_at).await
        }
        Request::KeysCreate { org: Some(org), name, scopes, expires_at, quota } => {
            keys::create(engine, &org, keys::Wanted { name, scopes, expires_at, quota }).await
        }
        Request::KeysList { org: Some(org) } => keys::list(engine, &org).await,
        Request::KeysList { org: None } => keys::list_operators(engine).await,
        Request::KeysRotate { org, key } => keys::rotate(engine, &org, &key).await,
        Request::KeysRevoke { org: Some(org), key } => keys::revoke(engine, &org, &key).await,
        Request::KeysRevoke { org: None, key } => keys::revoke_operator(engine, &key).await,
        Request::PlansPlan { catalog } => plans::plan(engine, &catalog).await,
        Request::PlansApply { catalog, expected } => plans::apply(engine, &catalog, expected).await,
        Request::PlansPull => plans::pull(engine).await,
        Request::PlansWhatIf { catalog, seconds } => what_if::what_if(engine, &catalog, seconds).await,
        Request::AuditVerify => audit_verify(engine).await,
        Request::Smoke => Ok(smoke(engine).await),
        Request::Explain { receipt } => ledger::explain(engine, &receipt),
        Request::UsageVerify { org } => ledger::verify(engine, org.as_deref()).await,
        Request::UsageRebuild { org } => ledger::rebuild(engine, org.as_deref()).await,
        Request::WebhooksList { chosen, limit } => webhooks::list(engine, &chosen, limit).await,
        Request::WebhooksReplay { events, chosen, dry_run } => webhooks::replay(engine, events, &chosen, dry_run).await,
        Request::WorldKeep { to } => keep_world(context, &to).await,
        Request::Backup { to } => back_up(engine, &to).await,
    }
}

/// Whoever reached the admin socket or the files is the operator.
pub(super) fn caller() -> Caller {
    Caller::local_operator()
}

/// The operator's right to something.
pub(crate) fn operator(permission: Permission) -> Result<OperatorScope, Failure> {
    caller().require_operator(permission).map_err(|refused| refusal(&refused))
}

/// The operator's right to something of one org.
pub(super) async fn org(engine: &Engine, permission: Permission, id: &str) -> Result<OrgScope, Failure> {
    let id = OrgId::parse(id).map_err(|error| Failure::usage(format!("--org {id}: {error}")))?;
    caller().require(engine, permission, Some(&id)).await.map_err(|refused| refusal(&refused))
}

fn refusal(refused: &Refused) -> Failure {
    let failure = Failure::new(refused.to_string());
    match refused {
        Refused::NotFound => failure.exit(Exit::NotFound),
        Refused::Unauthenticated | Refused::Forbidden(_) | Refused::SecondFactorNeeded | Refused::StepUpNeeded => {
            failure.exit(Exit::Denied)
        }
        Refused::OrgNeeded => failure.exit(Exit::Usage),
        Refused::Unavailable(_) => failure.exit(Exit::Unreachable),
    }
}

/// A time given on the command line.
pub(super) fn time(name: &str, text: &str) -> Result<Timestamp, Failure> {
    Timestamp::parse_rfc3339(text).map_err(|_| {
        Failure::usage(format!("{name}: `{text}` is not a time")).remedy("Write it as 2026-03-01T00:00:00Z.")
    })
}

async fn advance(context: &Context, how: How) -> Result<Value, Failure> {
    let Some(machine) = &context.time_machine else {
        let failure = Failure::new("only `tollgate dev` has a clock that can be moved").exit(Exit::Denied);
        return Err(failure.remedy("In production time passes by itself."));
    };
    let how = match how {
        How::By(length) => Advance::By(length),
        How::ToNext => Advance::ToNext,
        How::To(moment) => Advance::To(time("--to", &moment)?),
    };
    let moved = (machine.advance)(how).await.map_err(|error| match &error {
        AdvanceError::Invalid(_) => Failure::usage(error.to_string()),
        AdvanceError::Refused(_) | AdvanceError::Busy => Failure::new(error.to_string()).exit(Exit::Conflict),
        AdvanceError::Failed(_) => Failure::new(error.to_string()),
    })?;
    serde_json::to_value(moved).map_err(Failure::during("writing what happened"))
}

async fn audit_verify(engine: &Engine) -> Result<Value, Failure> {
    let scope = operator(Permission::AuditRead)?;
    let verified = audit::verify(engine, &scope, None).await.map_err(Failure::during("verifying the audit journal"))?;
    let findings: Vec<Value> = verified
        .findings
        .iter()
        .map(|finding| json!({"org": finding.org_key, "place": finding.chain_no, "problem": finding.problem.to_string()}))
        .collect();
    Ok(json!({
        "ok": findings.is_empty(),
        "chains": verified.chains,
        "entries": verified.entries,
        "unsealed": verified.unsealed,
        "findings": findings,
    }))
}

async fn smoke(engine: &Engine) -> Value {
    let smoke = diag::smoke(engine).await;
    let tenancy = diag::fence(engine).await;
    let checks = smoke
        .checks
        .iter()
        .chain([&tenancy])
        .map(|check| (check.name.to_owned(), json!({"ok": check.ok, "ms": check.ms, "detail": check.detail})));
    json!({"ok": smoke.ok(), "checks": checks.collect::<serde_json::Map<String, Value>>()})
}

async fn back_up(engine: &Engine, to: &Path) -> Result<Value, Failure> {
    let scope = operator(Permission::DiagnosticsRead)?;
    let made = backup::create(engine, &scope, to).await.map_err(|error| backup_failed(&error))?;
    Ok(json!({"path": made.path, "bytes": made.bytes}))
}

/// Copies both sides of a running `dev` as they are at one moment.
async fn keep_world(context: &Context, to: &Path) -> Result<Value, Failure> {
    let Some(world) = &context.world else {
        let failure = Failure::new("only `tollgate dev` has a world that can be kept").exit(Exit::Denied);
        return Err(failure.remedy("`tollgate backup` copies the database of a running `serve`."));
    };
    let kept = worlds::keep_running(&context.engine, world, to).await?;
    Ok(json!({"place": to, "now": kept}))
}

/// Why there is no backup, or nothing was restored.
pub(crate) fn backup_failed(error: &backup::Error) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        backup::Error::Exists(_) => failure.exit(Exit::Conflict).remedy("Name a file that does not exist yet."),
        backup::Error::InUse(_) => failure.exit(Exit::Conflict).remedy("Stop the server first."),
        backup::Error::NotEmbedded
        | backup::Error::Damaged(_)
        | backup::Error::File { .. }
        | backup::Error::Database(_) => failure,
    }
}
