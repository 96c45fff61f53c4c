//! What a resource works with during one call or one step of time: objects, events, the agenda and the time it is.
//!
//! Objects are JSON as Stripe answers them, plus private members whose names begin with `_` (what a card will do, what an
//! item was billed at); those never leave the sandbox. An event is a row of the same transaction as the change it tells of.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Happened;
use crate::api_error::ApiError;
use crate::clock::SECOND;
use crate::render;
use crate::store::{Appointment, Keys, Tx};

/// The API version the sandbox speaks.
pub(crate) const API_VERSION: &str = "2026-10-28.endive";

/// What a resource's function gives back.
pub(crate) type Done<T = Value> = Result<T, ApiError>;

/// The call that caused a change, as events name it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// What stays the same for the life of a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Premises {
    pub(crate) seed: [u8; 32],
    pub(crate) base_url: String,
    /// Differs from start to start.
    pub(crate) run: String,
}

/// One transaction's view of Stripe.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) tx: &'a mut Tx,
    pub(crate) premises: &'a Premises,
    pub(crate) origin: Origin,
    /// The main clock, in microseconds.
    pub(crate) main_micros: i64,
    /// What took place, for the time machine's report.
    pub(crate) happened: Vec<Happened>,
    /// A preview: no card is charged, and the whole transaction is undone.
    pub(crate) rehearsal: bool,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(tx: &'a mut Tx, premises: &'a Premises, main_micros: i64) -> Self {
        Self { tx, premises, origin: Origin::default(), main_micros, happened: Vec::new(), rehearsal: false }
    }

    /// The time on a clock in whole seconds: the main one, or a test clock's frozen time.
    pub(crate) fn now(&mut self, clock: Option<&str>) -> Done<i64> {
        match clock {
            None => Ok(self.main_micros.div_euclid(SECOND)),
            Some(clock) => {
                let clock = self.need("test clock", clock)?;
                Ok(clock["frozen_time"].as_i64().unwrap_or_default())
            }
        }
    }

    /// The time on the clock an object lives on.
    pub(crate) fn now_of(&mut self, object: &Value) -> Done<i64> {
        self.now(clock_of(object).as_deref())
    }

    /// A new id: `prefix` and `length` letters and digits.
    pub(crate) fn id(&mut self, prefix: &str, length: usize) -> Done<String> {
        let number = self.tx.count_up("ids")?;
        let mut hash = Sha256::new();
        hash.update(self.premises.seed);
        hash.update(number.to_be_bytes());
        Ok(format!("{prefix}{}", alphanumeric(&hash.finalize(), length)))
    }

    /// An object by id.
    pub(crate) fn get(&mut self, id: &str) -> Done<Option<Value>> {
        Ok(self.tx.object(id)?.map(|json| serde_json::from_str(&json)).transpose()?)
    }

    /// An object that has to exist; `noun` is what Stripe calls its kind in messages.
    pub(crate) fn need(&mut self, noun: &str, id: &str) -> Done {
        let kind = match noun {
            "PaymentMethod" => "payment_method",
            "setupintent" => "setup_intent",
            "test clock" => "test_helpers.test_clock",
            "webhook endpoint" => "webhook_endpoint",
            noun => noun,
        };
        match self.get(id)? {
            Some(object) if object["object"] == kind => Ok(object),
            _ => Err(ApiError::missing(noun, id)),
        }
    }

    /// Like [`Desk::need`], for an id that came in a parameter: 400 and not 404, as at Stripe.
    pub(crate) fn need_param(&mut self, noun: &str, id: &str, param: &str) -> Done {
        self.need(noun, id).map_err(|mut error| {
            error.status = 400;
            error.param(param)
        })
    }

    /// Stores a new object.
    pub(crate) fn insert(&mut self, object: &Value) -> Done<()> {
        let text = object.to_string();
        Ok(self.tx.insert_object(&keys(object, clock_of(object).as_deref()), &text)?)
    }

    /// Stores a new object and tells of it.
    pub(crate) fn create(&mut self, object: Value, event: &str) -> Done {
        self.insert(&object)?;
        self.emit(event, &object, None)?;
        Ok(object)
    }

    /// Overwrites an object without telling anybody.
    pub(crate) fn save(&mut self, object: &Value) -> Done<()> {
        Ok(self.tx.update_object(&keys(object, None), &object.to_string())?)
    }

    /// Overwrites an object and tells of it, if anything visible changed.
    pub(crate) fn change(&mut self, before: &Value, after: Value, event: &str) -> Done {
        self.save(&after)?;
        let previous = difference(&render::plain(before), &render::plain(&after));
        if let Some(previous) = previous {
            self.emit(event, &after, Some(previous))?;
        }
        Ok(after)
    }

    /// Stores an event and plans its delivery to every endpoint that wants it.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) -> Done<()> {
        let clock = clock_of(object);
        let created = self.now(clock.as_deref())?;
        let mut data = Map::new();
        data.insert("object".into(), render::finished(self, object)?);
        if let Some(previous) = previous {
            data.insert("previous_attributes".into(), previous);
        }
        let id = self.id("evt_", 24)?;
        let event = json!({
            "id": id, "object": "event", "api_version": API_VERSION, "created": created, "data": data,
            "livemode": false, "pending_webhooks": 0, "type": kind,
            "request": { "id": self.origin.request, "idempotency_key": self.origin.idempotency_key },
            "_clock": clock,
        });
        self.insert(&event)?;
        self.plan_deliveries(&id, kind)?;
        let subject = object["id"].as_str().unwrap_or_default().to_owned();
        let summary = crate::timeline::sentence(kind, object);
        self.happened.push(Happened { at_micros: created * SECOND, kind: kind.into(), object: subject, summary });
        Ok(())
    }

    fn plan_deliveries(&mut self, event: &str, kind: &str) -> Done<()> {
        let endpoints = Keys { kind: "webhook_endpoint", ..Keys::default() };
        for row in self.tx.older(&endpoints, i64::MAX, 100)? {
            let endpoint: Value = serde_json::from_str(&row.json)?;
            let wanted = endpoint["enabled_events"].as_array().is_some_and(|kinds| {
                kinds.iter().filter_map(Value::as_str).any(|wanted| wanted == "*" || wanted == kind)
            });
            if wanted && endpoint["status"] == "enabled" {
                let endpoint = endpoint["id"].as_str().unwrap_or_default();
                self.tx.insert_delivery(event, endpoint, self.main_micros)?;
            }
        }
        Ok(())
    }

    /// Puts a task about an object on the agenda of the object's clock, `at` in seconds.
    pub(crate) fn appoint(&mut self, object: &Value, task: &str, at: i64) -> Done<()> {
        let id = object["id"].as_str().unwrap_or_default().to_owned();
        let appointment = Appointment { due_micros: at.saturating_mul(SECOND), task: task.to_owned(), object: id };
        Ok(self.tx.appoint(clock_of(object).as_deref(), &appointment)?)
    }

    /// Every stored object of a kind that belongs to a customer, or is looked up by `lookup`; newest first.
    pub(crate) fn all(&mut self, kind: &str, customer: Option<&str>, lookup: Option<&str>) -> Done<Vec<Value>> {
        let keys = Keys { kind, customer, lookup, ..Keys::default() };
        let rows = self.tx.older(&keys, i64::MAX, 1_000)?;
        rows.iter().map(|row| Ok(serde_json::from_str(&row.json)?)).collect()
    }
}

/// The test clock an object lives on.
pub(crate) fn clock_of(object: &Value) -> Option<String> {
    object["_clock"].as_str().map(str::to_owned)
}

/// The id in a member that is an id, an expanded object, or null.
pub(crate) fn id_in(member: &Value) -> Option<&str> {
    member.as_str().or_else(|| member["id"].as_str())
}

/// A member's text, empty when it is not text.
pub(crate) fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_default()
}

/// A member's integer, 0 when it is not one.
pub(crate) fn int(object: &Value, member: &str) -> i64 {
    object[member].as_i64().unwrap_or_default()
}

/// A given optional text as Stripe stores it: the empty string clears.
pub(crate) fn text_or_null(params: &Value, member: &str) -> Value {
    match params[member].as_str() {
        Some(text) if !text.is_empty() => text.into(),
        _ => Value::Null,
    }
}

/// Merges given metadata into the stored: an empty value removes its key, an empty string everything.
pub(crate) fn merge_metadata(stored: &Value, given: &Value) -> Value {
    let mut merged = stored.as_object().cloned().unwrap_or_default();
    match given {
        Value::String(_) => merged.clear(),
        Value::Object(given) => {
            for (key, value) in given {
                match value.as_str() {
                    Some("") => merged.remove(key),
                    _ => merged.insert(key.clone(), value.clone()),
                };
            }
        }
        _ => {}
    }
    Value::Object(merged)
}

/// `length` letters and digits out of a hash.
pub(crate) fn alphanumeric(hash: &[u8], length: usize) -> String {
    const SIGNS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    hash.iter().take(length).map(|byte| char::from(SIGNS[usize::from(*byte) % SIGNS.len()])).collect()
}

fn keys<'k>(object: &'k Value, clock: Option<&'k str>) -> Keys<'k> {
    let kind = text(object, "object");
    let lookup = match kind {
        "customer" => object["email"].as_str(),
        "price" => object["lookup_key"].as_str(),
        "invoice" => object["parent"]["subscription_details"]["subscription"].as_str(),
        "invoiceitem" => object["_subscription"].as_str(),
        "invoice_payment" => object["invoice"].as_str(),
        "charge" | "refund" => object["payment_intent"].as_str(),
        "credit_note" => object["invoice"].as_str(),
        "billing.meter" | "billing.meter_event" => object["event_name"].as_str(),
        "event" => object["type"].as_str(),
        "webhook_endpoint" => object["url"].as_str(),
        "test_helpers.test_clock" => object["status"].as_str(),
        _ => None,
    };
    Keys {
        id: text(object, "id"),
        kind,
        customer: id_in(&object["customer"]),
        lookup,
        clock,
        created: int(object, "created"),
    }
}

/// What `before` had where `after` differs; `None` when they are equal.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return (before != after).then(|| before.clone());
    };
    let mut changed = Map::new();
    for (key, value) in new {
        let earlier = old.get(key).unwrap_or(&Value::Null);
        if let Some(earlier) = difference(earlier, value) {
            changed.insert(key.clone(), earlier);
        }
    }
    for (key, value) in old {
        if !new.contains_key(key) {
            changed.insert(key.clone(), value.clone());
        }
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}

#[cfg(test)]
mod tests {
    use super::{difference, merge_metadata};
    use serde_json::json;

    #[test]
    fn previous_attributes_hold_only_what_changed() {
        let before = json!({"a": 1, "b": {"x": 1, "y": 2}, "m": {"k": "v"}});
        let after = json!({"a": 1, "b": {"x": 1, "y": 3}, "m": {"k": "v", "n": "w"}});
        assert_eq!(difference(&before, &after), Some(json!({"b": {"y": 2}, "m": {"n": null}})));
        assert_eq!(difference(&before, &before), None);
    }

    #[test]
    fn metadata_merges_key_by_key() {
        let stored = json!({"a": "1", "b": "2"});
        assert_eq!(merge_metadata(&stored, &json!({"a": "", "c": "3"})), json!({"b": "2", "c": "3"}));
        assert_eq!(merge_metadata(&stored, &json!("")), json!({}));
    }
}
