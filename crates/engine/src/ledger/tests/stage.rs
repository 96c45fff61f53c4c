//! Orgs with rights, calls in one line, and the recount that ends every test.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_rules::access::Permission;
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::{Allowance, Catalog, Included, OveragePolicy, Plan};
use tollgate_rules::entitlement::{OrgFacts, OrgStatus, SubscriptionState};
use tollgate_rules::ids::{Metric, OrgId, RequestId, SubscriptionId, UserId};
use tollgate_rules::ledger::HoldTtl;
use tollgate_rules::period::{Interval, quota_period};
use tollgate_rules::quantity::Units;
use tollgate_rules::time::Timestamp;

use crate::access::{Caller, OperatorScope, OrgRef, OrgScope};
use crate::engine::Engine;
use crate::ledger::{self, Error, Item, NewHold, Outcome, Record, Recorded, Reserved, Verified};
use crate::orgs;
use crate::testing::START;

/// Whether the sizes of the report are asked for.
pub(crate) fn report() -> bool {
    std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report")
}

/// A size: the first in CI, the second in the report.
pub(crate) fn size<T>(ci: T, full: T) -> T {
    if report() { full } else { ci }
}

pub(crate) fn metric(name: &str) -> Metric {
    Metric::parse(name).unwrap()
}

pub(crate) fn calls() -> Metric {
    metric("api_call")
}

pub(crate) fn id(text: impl AsRef<str>) -> RequestId {
    RequestId::parse(text.as_ref()).unwrap()
}

pub(crate) fn units(units: i64) -> Units {
    Units::new(units).unwrap()
}

/// Rights to `included` calls (and as many tokens) a month, hard stop, from [`START`] on.
pub(crate) fn rights(included: Included) -> OrgFacts {
    rights_under(included, OveragePolicy::HardStop)
}

pub(crate) fn rights_under(included: Included, policy: OveragePolicy) -> OrgFacts {
    let catalog = Catalog::parse(Catalog::default_text()).unwrap();
    let allowance = Allowance { included, policy, rollover: None };
    let allowances = BTreeMap::from([(calls(), allowance), (metric("tokens"), allowance)]);
    let plan = Arc::new(Plan { allowances, version: 1, ..catalog.plan("starter").unwrap().clone() });
    let subscription = SubscriptionState {
        subscription_id: SubscriptionId::parse("sub_1").unwrap(),
        status: SubscriptionStatus::Active,
        interval: Interval::Month,
        quantity: 1,
        anchor: START,
        item_period: quota_period(START, START),
        trial: None,
        cancel_at: None,
        ended_at: None,
        past_due_since: None,
        pending: None,
    };
    OrgFacts {
        org_status: OrgStatus::Active,
        subscription: Some(subscription),
        has_default_payment_method: true,
        plan: Some(Arc::clone(&plan)),
        trial_plan: Some(plan),
        metrics: [calls(), metric("tokens")].into(),
        overrides: Vec::new(),
        grants: Vec::new(),
        debts: Vec::new(),
        spend_cap: None,
        strict_quota: true,
    }
}

/// An org with these rights, and the right to act for it.
pub(crate) async fn org(engine: &Engine, name: &str, facts: OrgFacts) -> OrgScope {
    let org_id = OrgId::parse(&format!("org_{name}")).unwrap();
    let create = orgs::Create {
        name: name.to_owned(),
        owner_user_id: UserId::parse("user_1").unwrap(),
        org_id: Some(org_id.clone()),
        email: None,
        timezone: None,
        idempotency_key: None,
    };
    orgs::create(engine, &Caller::local_operator(), create).await.unwrap();
    let caller = Caller::local_operator();
    let scope = caller.require(engine, Permission::UsageWrite, Some(&org_id)).await.unwrap();
    engine.ledger().plant(scope.org_key(), facts);
    scope
}

/// An org with `included` calls under a hard stop.
pub(crate) async fn org_with(engine: &Engine, included: i64) -> OrgScope {
    org(engine, "acme", rights(Included::Units(included))).await
}

/// Changes the rights of an org and lets the ledger resolve them, as a fact from billing would.
pub(crate) async fn change_rights(engine: &Engine, scope: &OrgScope, facts: OrgFacts) {
    engine.ledger().plant(scope.org_key(), facts);
    let mut tx = engine.db().begin(crate::db::Lane::Control).await.unwrap();
    ledger::refresh(engine, &mut tx, scope.org_key()).await.unwrap();
    tx.commit().await.unwrap();
    engine.ledger().forget(scope.org_key());
}

pub(crate) fn operator() -> OperatorScope {
    Caller::local_operator().require_operator(Permission::QuotasReset).unwrap()
}

pub(crate) fn usage(request_id: impl AsRef<str>, of: i64) -> Record {
    Record {
        request_id: id(request_id),
        items: vec![Item { metric: calls(), units: units(of) }],
        occurred_at: None,
        source: "api".to_owned(),
        force: None,
    }
}

pub(crate) async fn record(
    engine: &Engine,
    scope: &OrgScope,
    request_id: &str,
    of: i64,
) -> Result<Outcome<Recorded>, Error> {
    ledger::record(engine, scope, usage(request_id, of)).await.map(|signed| signed.answer)
}

/// A record that must pass.
pub(crate) async fn recorded(engine: &Engine, scope: &OrgScope, request_id: &str, of: i64) -> Recorded {
    match record(engine, scope, request_id, of).await.unwrap() {
        Outcome::Allowed(recorded) => recorded,
        Outcome::Denied(denial) => panic!("{request_id} was denied: {denial:?}"),
    }
}

pub(crate) fn new_hold(request_id: &str, of: i64, seconds: i64) -> NewHold {
    NewHold {
        request_id: id(request_id),
        metric: calls(),
        units: units(of),
        ttl: HoldTtl::from_seconds(seconds).unwrap(),
        source: "api".to_owned(),
    }
}

/// A reserve that must pass.
pub(crate) async fn reserved(engine: &Engine, scope: &OrgScope, request_id: &str, of: i64) -> Reserved {
    match ledger::reserve(engine, scope, new_hold(request_id, of, 60)).await.unwrap().answer {
        Outcome::Allowed(reserved) => reserved,
        Outcome::Denied(denial) => panic!("{request_id} was denied: {denial:?}"),
    }
}

/// What the org has used of calls, from memory and from a recount, which must be the same.
pub(crate) async fn used(engine: &Engine, scope: &OrgScope) -> i64 {
    let verified = recount(engine).await;
    let standing = ledger::standing(engine, scope).await.unwrap();
    let counter = standing.counters.iter().find(|counter| counter.metric == calls()).unwrap();
    assert_eq!(verified.drift, 0, "{:?}", verified.drifts);
    counter.used
}

/// Counts everything again; the drift must be 0.
pub(crate) async fn recount(engine: &Engine) -> Verified {
    let verified = ledger::verify(engine, &operator(), None).await.unwrap();
    assert_eq!(verified.drift, 0, "drift: {:?}", verified.drifts);
    verified
}

pub(crate) fn org_ref(scope: &OrgScope) -> OrgRef {
    OrgRef { key: scope.org_key(), id: scope.org_id().clone() }
}

pub(crate) fn at(days: u32) -> Timestamp {
    START.plus_days(days)
}
