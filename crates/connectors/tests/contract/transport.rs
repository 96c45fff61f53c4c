//! What the Stripe client does when the network or Stripe misbehaves.

use tollgate_connectors::billing::{Billing, Error, IdempotencyKey, NewCustomer};
use tollgate_rules::billing::CustomerFact;
use tollgate_rules::ids::{CustomerId, OrgId, SubscriptionId};

use crate::recorder::{Recorder, Reply};

const CUSTOMER: &str = r#"{"id":"cus_1","object":"customer","email":null}"#;

async fn create(billing: &Billing) -> Result<CustomerFact, Error> {
    let key = IdempotencyKey::of_step("op_1", "customer").unwrap();
    let new = NewCustomer { org_id: OrgId::parse("org_1").unwrap(), email: None, name: None };
    billing.create_customer(&key, &new).await
}

/// Answers `first` with the given reply and everything after it well; says what came out and what was sent.
async fn after(first: fn() -> Reply) -> (Result<CustomerFact, Error>, Vec<String>) {
    let recorder = Recorder::start(move |before, _| if before == 0 { first() } else { Reply::ok(CUSTOMER) }).await;
    let outcome = create(&recorder.billing()).await;
    let keys = recorder.requests().iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    (outcome, keys)
}

#[tokio::test]
async fn what_may_pass_is_sent_again_with_the_same_key() {
    let passing: [fn() -> Reply; 6] = [
        || Reply::Answer(500, "", "{}".to_owned()),
        || {
            Reply::Answer(
                409,
                "",
                r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#.to_owned(),
            )
        },
        || Reply::Answer(429, "", "{}".to_owned()),
        || Reply::Answer(400, "stripe-should-retry: true\r\n", "{}".to_owned()),
        || Reply::Cut,
        || Reply::Silence,
    ];
    for first in passing {
        let (outcome, keys) = after(first).await;
        assert_eq!(outcome.unwrap().customer_id.as_str(), "cus_1");
        assert_eq!(keys, ["tollgate:op_1:customer", "tollgate:op_1:customer"]);
    }
}

/// An answer, and what it must become.
type Lasting = (fn() -> Reply, fn(&Error) -> bool);

#[tokio::test]
async fn what_cannot_pass_is_sent_once() {
    let lasting: [Lasting; 6] = [
        (
            || Reply::Answer(402, "", r#"{"error":{"type":"card_error"}}"#.to_owned()),
            |e| matches!(e, Error::Declined { .. }),
        ),
        (|| Reply::Answer(400, "", "{}".to_owned()), |e| matches!(e, Error::Refused(_))),
        (|| Reply::Answer(401, "", "{}".to_owned()), |e| matches!(e, Error::Credentials(_))),
        (
            || Reply::Answer(500, "stripe-should-retry: false\r\n", "{}".to_owned()),
            |e| matches!(e, Error::Unavailable(_)),
        ),
        (
            || Reply::Answer(500, "idempotent-replayed: true\r\n", "{}".to_owned()),
            |e| matches!(e, Error::StoredFailure(_)),
        ),
        (|| Reply::ok("<html>"), |e| matches!(e, Error::Garbled(_))),
    ];
    for (first, expected) in lasting {
        let (outcome, keys) = after(first).await;
        let error = outcome.unwrap_err();
        assert!(expected(&error), "{error}");
        assert_eq!(keys.len(), 1, "{error}");
    }
}

#[tokio::test]
async fn a_call_gives_up_after_its_attempts_and_says_that_the_outcome_is_unknown() {
    let recorder = Recorder::start(|_, _| Reply::Answer(503, "", "overloaded".to_owned())).await;
    let error = create(&recorder.billing()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.may_pass());
    assert_eq!(recorder.requests().len(), 3);
}

#[tokio::test]
async fn an_object_that_is_gone_is_none_and_no_failure() {
    let body = r#"{"error":{"type":"invalid_request_error","code":"resource_missing","param":"id"}}"#;
    let recorder = Recorder::start(move |_, _| Reply::Answer(404, "", body.to_owned())).await;
    let billing = recorder.billing();
    assert_eq!(billing.customer(&CustomerId::parse("cus_1").unwrap()).await.unwrap(), None);
    assert_eq!(billing.subscription(&SubscriptionId::parse("sub_1").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn billing_that_is_off_refuses_without_a_network() {
    assert!(matches!(create(&Billing::Off).await, Err(Error::Off)));
    assert!(!Billing::Off.is_on());
}
