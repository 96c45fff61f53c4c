//! What telling the plan mirror promises, against the sandbox's stand-in of Stigg.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_connectors::{Pacing, stigg as connector};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::PlanCode;
use tollgate_sandbox::Failure;

use super::{Error, Provision, stigg};
use crate::access::{Caller, OrgScope};
use crate::db::Kind;
use crate::inbox::testing::{Life, Stage};
use crate::jobs;
use crate::subscriptions::{self, EndsAt, Upgrade};

/// A life that our database has heard of, on an engine that tells Stigg.
async fn told_life(kind: Kind) -> Option<(Stage, Life, OrgScope)> {
    let stage = Stage::set_with_mirror(kind, "provision", |base_url| {
        let settings = connector::Settings {
            base_url: format!("{base_url}/stigg"),
            api_key: SecretString::from("server-tests"),
            pacing: Pacing { attempts_max: 1, ..Pacing::with_random(Arc::new(|| 1)) },
        };
        PlanMirror::Stigg(connector::Client::new(settings).expect("a client is made"))
    })
    .await?;
    let life = stage.live("pm_card_visa").await;
    for delivery in stage.deliveries(std::slice::from_ref(&life)).await {
        stage.deliver(&delivery).await;
    }
    stage.settle().await;
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::MirrorProvision, Some(&life.org_id)).await.unwrap();
    Some((stage, life, scope))
}

fn provision(life: &Life, plan: &str) -> Provision {
    Provision {
        stripe_customer_id: life.customer_id.as_str().to_owned(),
        stripe_subscription_id: life.subscription_id.as_str().to_owned(),
        plan_code: plan.to_owned(),
    }
}

async fn told_twice(kind: Kind) {
    let Some((stage, life, scope)) = told_life(kind).await else { return };
    stigg(&stage.engine, &scope, provision(&life, "growth")).await.unwrap();
    stigg(&stage.engine, &scope, provision(&life, "growth")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mirror_may_be_told_the_same_twice() {
    Box::pin(told_twice(Kind::Sqlite)).await;
    Box::pin(told_twice(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_or_a_plan_that_are_not_the_orgs_are_refused_by_name_and_nothing_is_told() {
    let Some((stage, life, scope)) = told_life(Kind::Sqlite).await else { return };
    let other = stage.live("pm_card_visa").await;
    let wrong = |field: &'static str, provision: Provision| (field, provision);
    let cases = [
        wrong(
            "stripeCustomerId",
            Provision { stripe_customer_id: other.customer_id.as_str().to_owned(), ..provision(&life, "growth") },
        ),
        wrong(
            "stripeSubscriptionId",
            Provision {
                stripe_subscription_id: other.subscription_id.as_str().to_owned(),
                ..provision(&life, "growth")
            },
        ),
        wrong("planCode", provision(&life, "starter")),
        wrong("planCode", provision(&life, "trial")),
        wrong("planCode", provision(&life, "nonsense")),
    ];
    for (field, provision) in cases {
        let refused = stigg(&stage.engine, &scope, provision).await.unwrap_err();
        let Error::NotThisOrgs(fields) = &refused else { panic!("{refused}") };
        assert!(fields.contains(&field), "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_does_not_answer_is_told_later_by_itself() {
    let Some((stage, life, scope)) = told_life(Kind::Sqlite).await else { return };
    stage.sandbox.faults().fail_next("/stigg/api/v1/subscriptions", 1, Failure::LostAnswer);
    let pending = stigg(&stage.engine, &scope, provision(&life, "growth")).await.unwrap_err();
    let Error::Pending { operation_id } = pending else { panic!("{pending}") };
    stage.advance(Duration::from_secs(3_600)).await;
    jobs::run_due(&stage.engine).await.unwrap();
    let shown = crate::operations::get(&stage.engine, &scope, &operation_id).await.unwrap().unwrap();
    assert_eq!(shown.state, crate::operations::State::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mirror_nothing_can_be_told() {
    let Some(stage) = Stage::set(Kind::Sqlite, "without_a_mirror").await else { return };
    let life = stage.live("pm_card_visa").await;
    let caller = Caller::local_operator();
    let scope = caller.require(&stage.engine, Permission::MirrorProvision, Some(&life.org_id)).await.unwrap();
    let off = stigg(&stage.engine, &scope, provision(&life, "growth")).await.unwrap_err();
    assert!(matches!(off, Error::MirrorOff));
}

/// The subscription as the mirror has it: its plan and status; nothing of one it does not know.
async fn mirrored(stage: &Stage, life: &Life) -> Option<(String, String)> {
    let address = format!("{}/stigg/api/v1/subscriptions/{}", stage.sandbox.base_url(), life.subscription_id.as_str());
    let answer = reqwest::Client::new().get(address).header("x-api-key", "server-tests").send().await.unwrap();
    if answer.status() == 404 {
        return None;
    }
    let told: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let word = |name: &str| told["data"][name].as_str().unwrap().to_owned();
    Some((word("planId"), word("status")))
}

fn has(plan: &str, status: &str) -> Option<(String, String)> {
    Some((plan.to_owned(), status.to_owned()))
}

async fn upgrade(stage: &Stage, scope: &OrgScope, plan: &str) {
    let upgrade = Upgrade { new_plan_code: PlanCode::parse(plan).ok(), ..Upgrade::default() };
    subscriptions::upgrade(&stage.engine, scope, &upgrade).await.unwrap();
}

async fn followed(kind: Kind) {
    let Some((stage, life, scope)) = told_life(kind).await else { return };
    jobs::run_due(&stage.engine).await.unwrap();
    assert_eq!(mirrored(&stage, &life).await, None, "who was never told of is not followed");
    stigg(&stage.engine, &scope, provision(&life, "growth")).await.unwrap();
    assert_eq!(mirrored(&stage, &life).await, has("growth", "ACTIVE"));
    upgrade(&stage, &scope, "pro").await;
    jobs::run_due(&stage.engine).await.unwrap();
    assert_eq!(mirrored(&stage, &life).await, has("pro", "ACTIVE"));
    stigg(&stage.engine, &scope, provision(&life, "pro")).await.unwrap();
    subscriptions::cancel(&stage.engine, &scope, EndsAt::Now).await.unwrap();
    jobs::run_due(&stage.engine).await.unwrap();
    assert_eq!(mirrored(&stage, &life).await, has("pro", "CANCELED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_mirror_knows_is_followed_by_itself_to_its_end() {
    Box::pin(followed(Kind::Sqlite)).await;
    Box::pin(followed(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_while_the_mirror_is_silent_end_at_the_last_one() {
    let Some((stage, life, scope)) = told_life(Kind::Sqlite).await else { return };
    stage.sandbox.faults().fail_next("/stigg/api/v1/subscriptions", 1, Failure::LostAnswer);
    let pending = stigg(&stage.engine, &scope, provision(&life, "growth")).await.unwrap_err();
    assert!(matches!(pending, Error::Pending { .. }));
    upgrade(&stage, &scope, "pro").await;
    for _ in 0..5 {
        stage.advance(Duration::from_secs(600)).await;
        jobs::run_due(&stage.engine).await.unwrap();
    }
    assert_eq!(mirrored(&stage, &life).await, has("pro", "ACTIVE"), "the change came while the first was being told");
}
