//! Asks billing for a page where somebody subscribes.

use std::time::Duration;

use serde_json::{Value, json};

use tollgate_connectors::billing::{self, CheckoutFact};
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::{CustomerId, OrgId, PriceId};
use tollgate_rules::period::Interval;

use super::{Checkout, NO_ORG, PREFIX, State, sql};
use crate::access::{OperatorScope, OrgRef, OrgScope};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Kind, NewOperation, Run, Stop};
use crate::subscriptions::{self, Error, check_return_url, stop};
use crate::{audit, members, orgs, plans};

/// Billing's clock may be a little behind ours; whole sessions are looked for from a little earlier.
const LOOK_BACK: Duration = Duration::from_secs(3_600);

/// What somebody is to subscribe to, and where they go afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckout {
    /// The address of whoever pays; an org that is made invites it as its owner.
    pub email: String,
    /// The price's lookup key in the catalog.
    pub price_lookup: String,
    /// Where the customer goes afterwards.
    pub success_url: String,
    /// Where the customer goes who turns back.
    pub cancel_url: String,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its address.
    pub url: String,
    /// Billing's id of it.
    pub session_id: String,
}

/// Makes a page where an org subscribes; its customer is made first where it has none. Another open page of the org is closed.
///
/// # Errors
/// [`Error::UnknownPrice`] (checked first), [`Error::BadEmail`], [`Error::BadUrl`]; [`Error::AlreadySubscribed`];
/// [`Error::BillingUnavailable`]: the page is made by itself.
pub async fn create(engine: &Engine, scope: &OrgScope, new: &NewCheckout) -> Result<Made, Error> {
    let (price_id, plan) = check(engine, new).await?;
    if subscriptions::living(engine, scope).await?.is_some() {
        return Err(Error::AlreadySubscribed);
    }
    let customer_id = subscriptions::ensure_customer(engine, scope, &new.email).await?.customer_id;
    let had_trial = subscriptions::standing(engine, scope).await?.had_trial;
    let trial_days = trial_days(engine, &plan).filter(|_| !had_trial);
    let asked = Asked { price_id, trial_days, customer_id: Some(customer_id), org_name: None };
    begin_and_drive(engine, scope, new, asked).await
}

/// Makes a page where somebody subscribes who has no org yet: it is made when they did, and they are invited as its owner.
///
/// # Errors
/// As [`create`], and [`Error::BadOrgName`].
pub async fn create_for_new_org(
    engine: &Engine,
    operator: &OperatorScope,
    org_name: &str,
    new: &NewCheckout,
) -> Result<Made, Error> {
    let (price_id, plan) = check(engine, new).await?;
    orgs::check_name("orgName", org_name).map_err(|_| Error::BadOrgName)?;
    let org_id = OrgId::parse(&engine.new_id("org_")).map_err(|error| db::Error::Bug(error.to_string()))?;
    let scope = operator.scope_of(OrgRef { key: NO_ORG, id: org_id });
    let trial_days = trial_days(engine, &plan);
    let asked = Asked { price_id, trial_days, customer_id: None, org_name: Some(org_name.to_owned()) };
    begin_and_drive(engine, &scope, new, asked).await
}

/// What is worked out beside what was asked for.
struct Asked {
    price_id: PriceId,
    trial_days: Option<u32>,
    customer_id: Option<CustomerId>,
    org_name: Option<String>,
}

async fn check(engine: &Engine, new: &NewCheckout) -> Result<(PriceId, Plan), Error> {
    let catalog = plans::catalog(engine);
    let (plan, price) = catalog.price(&new.price_lookup).ok_or(Error::UnknownPrice)?;
    let interval: Interval = price.interval;
    members::written(&new.email).map_err(|_| Error::BadEmail)?;
    check_return_url("successUrl", &new.success_url)?;
    check_return_url("cancelUrl", &new.cancel_url)?;
    let price_id = plans::price_for(engine, plan, interval).await?.ok_or(Error::UnknownPrice)?;
    Ok((price_id, plan.clone()))
}

fn trial_days(engine: &Engine, plan: &Plan) -> Option<u32> {
    Some(plans::catalog(engine).trial_days(plan)).filter(|days| *days > 0)
}

async fn begin_and_drive(engine: &Engine, scope: &OrgScope, new: &NewCheckout, asked: Asked) -> Result<Made, Error> {
    let checkout_id = engine.new_id(PREFIX);
    let body = billing::NewCheckout {
        checkout_id: checkout_id.clone(),
        email: asked.customer_id.is_none().then(|| new.email.clone()),
        customer_id: asked.customer_id,
        org_id: scope.org_id().clone(),
        org_name: asked.org_name.clone(),
        price_id: asked.price_id,
        quantity: 1,
        trial_days: asked.trial_days,
        collect_tax: engine.automatic_tax(),
        success_url: new.success_url.clone(),
        cancel_url: new.cancel_url.clone(),
    };
    let row = Checkout {
        org_key: scope.org_key(),
        checkout_id: checkout_id.clone(),
        org_id: scope.org_id().clone(),
        org_name: asked.org_name,
        email: new.email.clone(),
        price_lookup: new.price_lookup.clone(),
        state: State::Asked,
        session_id: None,
    };
    let body = serde_json::to_value(body).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::CheckoutCreate, dedupe_key: checkout_id, body };
    let (inner, by) = (engine.clone(), scope.clone());
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        sql::insert(&mut tx, &by, &row, inner.now()).await?;
        let after = json!({ "orgId": row.org_id, "priceLookup": row.price_lookup, "newOrg": row.org_name.is_some() });
        let entry = audit::Entry::of(&by, "checkouts.create", row.checkout_id.as_str()).after(after);
        audit::append(&inner, &mut tx, entry).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    let outcome = operations::drive(engine, begun).await?;
    let text = |name: &str| outcome[name].as_str().unwrap_or_default().to_owned();
    Ok(Made { url: text("url"), session_id: text("sessionId") })
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let new: billing::NewCheckout = run.body()?;
    point(run.engine(), "checkout.begun").map_err(db::Error::from)?;
    if run.scope().org_key() != NO_ORG {
        close_others(run, &new.checkout_id).await?;
    }
    let (engine, wanted) = (run.engine().clone(), new.clone());
    let look_first = subscriptions::keys_are_forgotten(run);
    let since = engine.now().minus(engine.clock().wall.now().since(run.begun_at())).minus(LOOK_BACK);
    let (session_id, url): (String, String) = run
        .step("session", |key| async move {
            point(&engine, "checkout.before_send").map_err(db::Error::from)?;
            let known = match look_first {
                true => engine.billing().find_checkout(&wanted.checkout_id, since).await.map_err(stop)?,
                false => None,
            };
            let made: CheckoutFact = match known {
                Some(made) => made,
                None => engine.billing().create_checkout(&key, &wanted).await.map_err(stop)?,
            };
            point(&engine, "checkout.sent").map_err(db::Error::from)?;
            Ok((made.session_id, made.url.unwrap_or_default()))
        })
        .await?;
    opened(run, &new.checkout_id, &session_id).await?;
    point(run.engine(), "checkout.opened").map_err(db::Error::from)?;
    Ok(json!({ "sessionId": session_id, "url": url }))
}

/// Two pages of one org could both be completed: the newest is the one that is meant.
async fn close_others(run: &mut Run<'_>, checkout_id: &str) -> Result<(), Stop> {
    let (engine, scope, own) = (run.engine().clone(), run.scope().clone(), checkout_id.to_owned());
    let others: Vec<String> = run
        .step("others", |_| async move {
            let open = sql::open_of(&mut engine.db().read().await?, &scope, &own).await?;
            Ok(open.into_iter().filter_map(|other| other.session_id).collect())
        })
        .await?;
    for session_id in others {
        let engine = run.engine().clone();
        run.step(&format!("close:{session_id}"), |key| async move {
            engine.billing().expire_checkout(&key, &session_id).await.map_err(stop)
        })
        .await?;
    }
    Ok(())
}

async fn opened(run: &Run<'_>, checkout_id: &str, session_id: &str) -> Result<(), db::Error> {
    let (engine, org_key) = (run.engine().clone(), run.scope().org_key());
    let (checkout_id, session_id) = (checkout_id.to_owned(), session_id.to_owned());
    let write = async move {
        let mut tx = engine.db().begin(Lane::Control).await?;
        let state = (State::Open, Some(session_id.as_str()));
        sql::set_state(&mut tx, (org_key, &checkout_id), state, engine.now()).await?;
        tx.commit().await
    };
    run.engine().db().detached(write).await
}
