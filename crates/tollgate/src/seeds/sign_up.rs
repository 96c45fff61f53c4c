//! One org's way in: the same engine calls as the API's, in the same order.

use secrecy::ExposeSecret as _;
use tollgate_engine::access::{Caller, OrgScope};
use tollgate_engine::{Engine, keys, ledger, orgs, plans, provision, subscriptions};
use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::{Metric, OrgId, PaymentMethodId, PlanCode, RequestId, UserId};
use tollgate_rules::ledger::{Item, Outcome, Record};
use tollgate_rules::quantity::Units;

use super::Org;
use crate::failure::Failure;

/// Usage is recorded in so many events, so that lists and charts have something to show.
const EVENTS: i64 = 20;

/// Signs the org up; the secret of its key.
pub(super) async fn sign_up(engine: &Engine, org: &Org) -> Result<String, Failure> {
    let scope = make(engine, org).await?;
    let key = key(engine, &scope).await?;
    if let Some(price) = &org.price {
        subscribe(engine, &scope, org, price).await?;
    }
    for (metric, units) in &org.usage {
        record(engine, &scope, metric, *units).await?;
    }
    Ok(key)
}

async fn make(engine: &Engine, org: &Org) -> Result<OrgScope, Failure> {
    let doing = || Failure::during::<orgs::Error>(format!("making the org {}", org.id));
    let caller = Caller::local_operator();
    let org_id = OrgId::parse(&org.id).map_err(Failure::during(format!("the seed's org {}", org.id)))?;
    let create = orgs::Create {
        name: org.name.clone(),
        owner_user_id: UserId::parse("user_demo").map_err(Failure::during("the seed's owner"))?,
        org_id: Some(org_id.clone()),
        email: Some(org.email.clone()),
        timezone: org.timezone.clone(),
        idempotency_key: None,
    };
    orgs::create(engine, &caller, create).await.map_err(doing())?;
    caller
        .require(engine, Permission::BillingWrite, Some(&org_id))
        .await
        .map_err(Failure::during(format!("acting for {org_id}")))
}

async fn key(engine: &Engine, scope: &OrgScope) -> Result<String, Failure> {
    let create = keys::Create {
        name: String::from("demo"),
        scopes: Some(Scope::ALL.to_vec()),
        expires_at: None,
        quota: Default::default(),
    };
    let created = keys::create(engine, &Caller::local_operator(), scope, create).await;
    let created = created.map_err(Failure::during(format!("making a key for {}", scope.org_id())))?;
    Ok(created.secret.expose_secret().to_owned())
}

async fn subscribe(engine: &Engine, scope: &OrgScope, org: &Org, price: &str) -> Result<(), Failure> {
    let doing = |what: &str| Failure::during::<subscriptions::Error>(format!("{what} for {}", org.id));
    let customer = subscriptions::ensure_customer(engine, scope, &org.email).await;
    let customer = customer.map_err(doing("making a customer"))?;
    let new = subscriptions::NewSubscription { price_lookup: price.to_owned(), quantity: None };
    let created = subscriptions::create(engine, scope, &new).await.map_err(doing("subscribing"))?;
    let told = provision::Provision {
        stripe_customer_id: customer.customer_id.to_string(),
        stripe_subscription_id: created.subscription_id.to_string(),
        plan_code: plan_of(engine, price),
    };
    provision::stigg(engine, scope, told).await.map_err(Failure::during(format!("telling Stigg about {}", org.id)))?;
    if let Some(card) = &org.card {
        let card = PaymentMethodId::parse(card).map_err(Failure::during(format!("the seed's card {card}")))?;
        subscriptions::set_default_method(engine, scope, &card).await.map_err(doing("setting the card"))?;
    }
    if let Some(plan) = &org.pay {
        let new_plan_code = PlanCode::parse(plan).map_err(Failure::during(format!("the seed's plan {plan}")))?;
        let upgrade = subscriptions::Upgrade { new_plan_code: Some(new_plan_code), ..Default::default() };
        subscriptions::upgrade(engine, scope, &upgrade).await.map_err(doing("ending the trial"))?;
    }
    Ok(())
}

/// The code of the plan that is sold at this price.
fn plan_of(engine: &Engine, price: &str) -> String {
    let catalog = plans::catalog(engine);
    let sold_at = |plan: &&Plan| plan.prices.iter().any(|sold| sold.lookup_key == price);
    catalog.plans.iter().find(sold_at).map(|plan| plan.code.to_string()).unwrap_or_default()
}

async fn record(engine: &Engine, scope: &OrgScope, metric: &str, units: i64) -> Result<(), Failure> {
    let metric = Metric::parse(metric).map_err(Failure::during(format!("the seed's metric {metric}")))?;
    let mut left = units;
    let mut records = Vec::new();
    for event in 0..EVENTS {
        let part = left / (EVENTS - event);
        left -= part;
        let Ok(units) = Units::new(part) else { continue };
        let request_id =
            RequestId::parse(&format!("seed-{metric}-{event}")).map_err(Failure::during("the seed's request id"))?;
        let record = Record {
            request_id,
            items: vec![Item { metric: metric.clone(), units }],
            occurred_at: None,
            source: String::from("seed"),
            force: None,
        };
        records.push((scope.clone(), record));
    }
    for answer in ledger::record_batch(engine, records).await {
        let signed = answer.map_err(Failure::during(format!("recording usage of {}", scope.org_id())))?;
        if let Outcome::Denied(_) = signed.answer {
            return Err(Failure::new(format!("the seed uses more of {metric} than {} may", scope.org_id())));
        }
    }
    Ok(())
}
