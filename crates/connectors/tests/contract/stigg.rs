//! Stigg: every request we can make, every sample of an answer.

use serde_json::Value;
use tollgate_connectors::billing::IdempotencyKey;
use tollgate_connectors::plan_mirror::{Error, MirroredChange, MirroredOrg, MirroredSubscription, TakesEffect};
use tollgate_rules::ids::{CustomerId, OrgId, PlanCode, SubscriptionId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

use crate::data::contract;
use crate::recorder::{Recorder, Reply};
use crate::schema::Description;

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step("op_contract", "mirror").unwrap()
}

pub(crate) fn org() -> MirroredOrg {
    MirroredOrg {
        org_id: OrgId::parse("org_acme").unwrap(),
        name: "Acme".to_owned(),
        email: Some("billing@acme.example".to_owned()),
        customer_id: CustomerId::parse("cus_Tollgate1").unwrap(),
    }
}

pub(crate) fn subscription(trial_ends: Option<Timestamp>) -> MirroredSubscription {
    MirroredSubscription {
        org_id: OrgId::parse("org_acme").unwrap(),
        subscription_id: SubscriptionId::parse("sub_1QabcTollgate").unwrap(),
        plan_code: PlanCode::parse("starter").unwrap(),
        interval: Interval::Month,
        started: Timestamp::from_seconds(1_793_491_200),
        trial_ends,
    }
}

/// The sample answer of an operation, with the plan the request named.
fn sample(samples: &Value, operation: &str, status: i64) -> String {
    let found = samples["samples"]
        .as_array()
        .unwrap()
        .iter()
        .find(|sample| sample["operation"] == operation && sample["status"] == status);
    found.unwrap()["response"].to_string().replace("plan-starter", "starter")
}

#[tokio::test]
async fn every_request_to_stigg_is_valid_and_its_samples_are_read() {
    let (Some(description), Some(samples)) = (contract("stigg/rest-operations.json"), contract("stigg/samples.json"))
    else {
        return;
    };
    let answers = samples.clone();
    let recorder = Recorder::start(move |_, request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/customers") => Reply::ok(sample(&answers, "customers.provision", 200)),
        _ => Reply::ok(sample(&answers, "subscriptions.provision", 200)),
    })
    .await;
    let mirror = recorder.mirror();
    mirror.provision_org(&key(), &org()).await.unwrap();
    let told = mirror.provision_subscription(&key(), &subscription(None)).await.unwrap();
    assert_eq!(told.base_price, Some(Money::new(2_900, Currency::USD)), "29 major units are 2,900 cents");
    mirror.provision_subscription(&key(), &subscription(Some(Timestamp::from_seconds(1_794_700_800)))).await.unwrap();
    mirror.change_subscription(&key(), &subscription(None)).await.unwrap();
    mirror.end_subscription(&key(), &subscription(None).subscription_id).await.unwrap();
    let checker = Description(&description);
    for request in recorder.requests() {
        let name = match request.path.rsplit('/').next() {
            Some("customers") => "customers.provision",
            Some("cancel") => "subscriptions.cancel",
            _ => "subscriptions.provision",
        };
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let schema = &description["operations"][name]["requestBody"];
        assert_eq!(checker.findings(schema, &body, name), Vec::<String>::new());
        assert_eq!(request.headers["x-api-key"], "server-contract");
        assert_eq!(request.headers["idempotency-key"], "tollgate:op_contract:mirror");
    }
    println!("PROOF: connectors: {} requests to Stigg valid against rest-operations.json", recorder.requests().len());
}

#[tokio::test]
async fn a_customer_that_exists_already_is_changed_instead() {
    let Some(samples) = contract("stigg/samples.json") else { return };
    let recorder = Recorder::start(move |_, request| match request.method.as_str() {
        "POST" => Reply::Answer(409, "", sample(&samples, "customers.provision", 409)),
        _ => Reply::ok(sample(&samples, "customers.provision", 200)),
    })
    .await;
    recorder.mirror().provision_org(&key(), &org()).await.unwrap();
    let requests = recorder.requests();
    assert_eq!((requests[1].method.as_str(), requests[1].path.as_str()), ("PATCH", "/api/v1/customers/org_acme"));
    assert!(!requests[1].body.contains("\"id\""), "an id cannot be changed");
}

#[tokio::test]
async fn refusals_are_sorted_by_what_can_be_done() {
    let outcome = async |status: u16, body: &'static str| {
        let recorder = Recorder::start(move |_, _| Reply::Answer(status, "", body.to_owned())).await;
        let error = recorder.mirror().provision_org(&key(), &org()).await.unwrap_err();
        (error, recorder.requests().len())
    };
    assert!(matches!(outcome(401, r#"{"message":"no"}"#).await, (Error::Credentials(_), 1)));
    assert!(matches!(outcome(422, r#"{"message":"no"}"#).await, (Error::Refused(_), 1)));
    assert!(matches!(outcome(429, "{}").await, (Error::Unavailable(_), 3)));
    assert!(matches!(outcome(502, "<html>bad gateway</html>").await, (Error::Unavailable(_), 3)));
    assert!(matches!(outcome(200, "<html>fine</html>").await, (Error::Refused(_), 1)));
}

#[tokio::test]
async fn a_subscription_at_another_plan_is_not_taken_for_told() {
    let told = r#"{"data":{"planId":"growth"}}"#;
    let recorder = Recorder::start(move |_, request| match request.method.as_str() {
        "POST" => Reply::Answer(409, "", "{}".to_owned()),
        _ => Reply::ok(told),
    })
    .await;
    let told = recorder.mirror().provision_subscription(&key(), &subscription(None)).await.unwrap();
    assert_eq!(told.keeps_plan.as_deref(), Some("growth"));
}

#[tokio::test]
async fn a_change_of_plan_that_is_not_made_is_refused() {
    let told = r#"{"data":{"status":"SUCCESS","subscription":{"planId":"growth"}}}"#;
    let recorder = Recorder::start(move |_, _| Reply::ok(told)).await;
    let error = recorder.mirror().change_subscription(&key(), &subscription(None)).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)));
    assert!(!recorder.requests()[0].body.contains("\"id\""), "with an id it would be another subscription");
}

fn change(takes_effect: TakesEffect) -> MirroredChange {
    MirroredChange {
        org_id: OrgId::parse("org_acme").unwrap(),
        plan_code: PlanCode::parse("growth").unwrap(),
        interval: Interval::Year,
        quantity: 3,
        coupon: Some("tg_10".to_owned()),
        takes_effect,
    }
}

#[tokio::test]
async fn what_a_change_costs_is_asked_once_and_read_in_minor_units() {
    let (Some(description), Some(samples)) = (contract("stigg/rest-operations.json"), contract("stigg/samples.json"))
    else {
        return;
    };
    let recorder = Recorder::start(move |_, _| Reply::ok(sample(&samples, "subscriptions.preview", 200))).await;
    let mirror = recorder.mirror();
    let at = Timestamp::from_seconds(1_794_787_200);
    for takes_effect in [
        TakesEffect::Within(at),
        TakesEffect::Anew { gives_back: true },
        TakesEffect::Anew { gives_back: false },
        TakesEffect::AtPeriodEnd,
    ] {
        let told = mirror.preview(&change(takes_effect)).await.unwrap();
        assert_eq!(told, Money::new(3_500, Currency::USD), "35 major units are 3,500 cents");
    }
    let checker = Description(&description);
    for request in recorder.requests() {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let schema = &description["operations"]["subscriptions.preview"]["requestBody"];
        assert_eq!(checker.findings(schema, &body, "subscriptions.preview"), Vec::<String>::new());
    }
    let outcome = async |status: u16, body: &'static str| {
        let recorder = Recorder::start(move |_, _| Reply::Answer(status, "", body.to_owned())).await;
        let error = recorder.mirror().preview(&change(TakesEffect::AtPeriodEnd)).await.unwrap_err();
        (error, recorder.requests().len())
    };
    assert!(matches!(outcome(429, "{}").await, (Error::Unavailable(_), 1)));
    assert!(matches!(outcome(502, "<html>bad gateway</html>").await, (Error::Unavailable(_), 1)));
    assert!(matches!(outcome(404, r#"{"message":"no"}"#).await, (Error::Refused(_), 1)));
    let nothing = r#"{"data":{"immediateInvoice":{"subTotal":0,"total":null,"currency":"usd"}}}"#;
    assert!(matches!(outcome(200, nothing).await, (Error::Refused(_), 1)));
}
