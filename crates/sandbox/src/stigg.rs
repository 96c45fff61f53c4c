//! The Stigg stand-in: customers, subscriptions and previews as Stigg's REST API v1 takes and answers them.
//!
//! `X-API-KEY` is required, `Idempotency-Key` is honoured on POST, an id that exists answers 409. Shapes follow
//! `../shared/contracts/stigg/rest-operations.json`; only the status and `message` of an error are part of that contract.

mod preview;

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Inner;
use crate::calendar::DAY;
use crate::clock::SECOND;
use crate::desk::{Desk, Done, alphanumeric};
use crate::server::Answer;
use crate::store::{Fate, StoreError, StoredAnswer};

const PREFIX: &str = "/stigg/api/v1";

/// An error: status and message.
struct Problem(u16, String);

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self(500, error.to_string())
    }
}

impl From<crate::api_error::ApiError> for Problem {
    fn from(error: crate::api_error::ApiError) -> Self {
        Self(500, error.message().to_owned())
    }
}

type Outcome = Result<Value, Problem>;

/// The body of an error.
pub(crate) fn problem(status: u16, message: &str) -> Answer {
    Answer { status, body: json!({ "message": message }).to_string(), replayed: false }
}

/// Answers one call.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    let key = headers.get("x-api-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    if key.is_empty() {
        return problem(401, "Unauthenticated");
    }
    let body = if body.is_empty() { Ok(Value::Object(Map::new())) } else { serde_json::from_slice(body) };
    let Ok(Value::Object(body)) = body else { return problem(400, "The body must be a JSON object") };
    let idempotency =
        headers.get("idempotency-key").filter(|_| method == Method::POST).and_then(|key| key.to_str().ok());
    let call = Call {
        method: method.as_str().to_owned(),
        path: path.strip_prefix(PREFIX).unwrap_or_default().to_owned(),
        key: idempotency.map(|key| format!("stigg:{key}")),
        body,
        surcharge: inner.faults.settings().stigg_surcharge,
    };
    let holding = call.key.as_ref().map(|key| inner.in_flight.hold(key));
    if let Some(None) = holding {
        return problem(409, "A request with this idempotency key is being processed");
    }
    let (premises, now) = (Arc::clone(&inner.premises), inner.clock.now_micros());
    let answered = inner.store.run(move |tx| {
        let mut desk = Desk::new(tx, &premises, now);
        match call.answer(&mut desk) {
            Ok(answer) => (if desk.rehearsal { Fate::RollBack } else { Fate::Commit }, answer),
            Err(Problem(status, message)) => (Fate::RollBack, problem(status, &message)),
        }
    });
    answered.await.unwrap_or_else(|error| problem(500, &error.to_string()))
}

struct Call {
    method: String,
    path: String,
    key: Option<String>,
    body: Map<String, Value>,
    /// What plans cost more here than at Stripe.
    surcharge: i64,
}

impl Call {
    fn answer(self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let content = format!("{} {} {}", self.method, self.path, Value::Object(self.body.clone()));
        let fingerprint = alphanumeric(&Sha256::digest(content), 32);
        if let Some(key) = &self.key
            && let Some(stored) = desk.tx.stored_answer(key, desk.main_micros - DAY * SECOND)?
        {
            if stored.fingerprint != fingerprint {
                return Err(Problem(422, "The idempotency key was used with another body".into()));
            }
            return Ok(Answer { status: 200, body: stored.body, replayed: true });
        }
        let body = json!({ "data": self.data(desk)? }).to_string();
        if let Some(key) = &self.key {
            let stored = StoredAnswer { fingerprint, status: 200, body: body.clone() };
            desk.tx.keep_answer(key, &stored, desk.main_micros)?;
        }
        Ok(Answer { status: 200, body, replayed: false })
    }

    fn data(&self, desk: &mut Desk<'_>) -> Outcome {
        let segments: Vec<&str> = self.path.split('/').skip(1).collect();
        match (self.method.as_str(), segments.as_slice()) {
            ("POST", ["customers"]) => self.provision_customer(desk),
            ("GET", ["customers", id]) => Ok(shown(&stored(desk, "stigg.customer", id, "Customer")?)),
            ("PATCH", ["customers", id]) => self.update(desk, "stigg.customer", id, "Customer", CUSTOMER_FIELDS),
            ("POST", ["subscriptions"]) => self.provision_subscription(desk),
            ("POST", ["subscriptions", "preview"]) => preview::preview(self, desk),
            ("POST", ["subscriptions", id, "cancel"]) => self.cancel(desk, id),
            ("GET", ["subscriptions", id]) => Ok(shown(&stored(desk, "stigg.subscription", id, "Subscription")?)),
            ("PATCH", ["subscriptions", id]) => {
                self.update(desk, "stigg.subscription", id, "Subscription", &["metadata"])
            }
            _ => Err(Problem(404, format!("Cannot {} {}", self.method, self.path))),
        }
    }

    fn required(&self, member: &str) -> Result<&str, Problem> {
        match self.body.get(member).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Problem(400, format!("{member} should not be empty"))),
        }
    }

    fn provision_customer(&self, desk: &mut Desk<'_>) -> Outcome {
        let id = self.required("id")?;
        if known(desk, "stigg.customer", id)?.is_some() {
            return Err(Problem(409, "Customer already exists".into()));
        }
        let now = printed_time(desk.main_micros);
        let mut customer = json!({
            "id": id, "archivedAt": null, "createdAt": now, "updatedAt": now, "billingId": null, "email": null, "name": null,
            "metadata": {}, "integrations": [],
        });
        self.copy(&mut customer, CUSTOMER_FIELDS);
        keep_new(desk, "stigg.customer", (id, None), &customer)?;
        Ok(customer)
    }

    fn provision_subscription(&self, desk: &mut Desk<'_>) -> Outcome {
        let (customer, plan) = (self.required("customerId")?, self.required("planId")?);
        stored(desk, "stigg.customer", customer, "Customer")?;
        let id = match self.body.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => match running(desk, customer)? {
                Some(known) => return self.change_plan(desk, known, plan),
                None => desk.id("subscription-", 12)?,
            },
        };
        if known(desk, "stigg.subscription", &id)?.is_some() {
            return Err(Problem(409, "Subscription already exists".into()));
        }
        let now = printed_time(desk.main_micros);
        let start = self.body.get("startDate").and_then(Value::as_str).unwrap_or(&now).to_owned();
        let mut subscription = json!({
            "id": id, "billingId": null, "createdAt": now, "customerId": customer, "paymentCollection": "NOT_REQUIRED",
            "planId": plan, "pricingType": "PAID", "startDate": start, "status": "ACTIVE", "addons": [],
            "billingCycleAnchor": start, "futureUpdates": [], "metadata": {}, "resourceId": null, "prices": [],
        });
        self.copy(&mut subscription, &["billingId", "metadata", "resourceId", "paymentCollectionMethod", "addons"]);
        keep_new(desk, "stigg.subscription", (&id, Some(customer)), &subscription)?;
        let provision = desk.id("provision-", 12)?;
        Ok(json!({
            "id": provision, "status": "SUCCESS", "isScheduled": false, "subscription": subscription, "entitlements": [],
        }))
    }

    /// The plan of what the customer has becomes another one.
    fn change_plan(&self, desk: &mut Desk<'_>, mut object: Value, plan: &str) -> Outcome {
        let mut members = shown(&object);
        members["planId"] = plan.into();
        self.copy(&mut members, &["billingId", "metadata", "resourceId", "paymentCollectionMethod", "addons"]);
        object["_members"] = members.clone();
        desk.save(&object)?;
        let provision = desk.id("provision-", 12)?;
        Ok(json!({
            "id": provision, "status": "SUCCESS", "isScheduled": false, "subscription": members, "entitlements": [],
        }))
    }

    fn cancel(&self, desk: &mut Desk<'_>, id: &str) -> Outcome {
        let mut object = stored(desk, "stigg.subscription", id, "Subscription")?;
        let mut members = shown(&object);
        if members["status"] == "CANCELED" {
            return Err(Problem(409, "Subscription is canceled already".into()));
        }
        members["status"] = "CANCELED".into();
        members["cancellationDate"] = printed_time(desk.main_micros).into();
        object["_members"] = members.clone();
        desk.save(&object)?;
        Ok(members)
    }

    fn update(&self, desk: &mut Desk<'_>, kind: &str, id: &str, noun: &str, fields: &[&str]) -> Outcome {
        let mut object = stored(desk, kind, id, noun)?;
        let mut members = shown(&object);
        self.copy(&mut members, fields);
        if kind == "stigg.customer" {
            members["updatedAt"] = printed_time(desk.main_micros).into();
        }
        object["_members"] = members.clone();
        desk.save(&object)?;
        Ok(members)
    }

    /// Takes over the given fields; metadata replaces what was there.
    fn copy(&self, target: &mut Value, fields: &[&str]) {
        for field in fields {
            if let Some(value) = self.body.get(*field) {
                target[*field] = value.clone();
            }
        }
    }
}

const CUSTOMER_FIELDS: &[&str] =
    &["name", "email", "billingId", "billingCurrency", "couponId", "language", "metadata", "timezone", "integrations"];

/// Ids of Stigg are the caller's own, so rows are keyed by kind and id.
fn row_id(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

fn known(desk: &mut Desk<'_>, kind: &str, id: &str) -> Done<Option<Value>> {
    desk.get(&row_id(kind, id))
}

fn stored(desk: &mut Desk<'_>, kind: &str, id: &str, noun: &str) -> Outcome {
    known(desk, kind, id)?.ok_or_else(|| Problem(404, format!("{noun} not found")))
}

/// What a customer has now.
fn running(desk: &mut Desk<'_>, customer: &str) -> Done<Option<Value>> {
    let all = desk.all("stigg.subscription", Some(customer), None)?;
    Ok(all.into_iter().find(|object| object["_members"]["status"] != "CANCELED"))
}

fn keep_new(desk: &mut Desk<'_>, kind: &str, (id, of): (&str, Option<&str>), members: &Value) -> Done<()> {
    let created = desk.now(None)?;
    desk.insert(
        &json!({ "id": row_id(kind, id), "object": kind, "customer": of, "created": created, "_members": members }),
    )
}

fn shown(object: &Value) -> Value {
    object["_members"].clone()
}

/// A time as Stigg prints it: `2026-11-01T00:00:00.000Z`.
fn printed_time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map(|at| format!("{at:.3}")).unwrap_or_default()
}
