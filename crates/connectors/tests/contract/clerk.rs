//! Clerk's webhooks: every official example, signed as Clerk signs, is believed and read.

use secrecy::SecretString;
use serde_json::Value;
use tollgate_connectors::clerk::webhook::{Error, Signed, verify};
use tollgate_connectors::identity::{Fact, Identity, InvitationState};
use tollgate_rules::access::Role;

use crate::data::contract;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap()
}

fn signed(request: &Value) -> Signed<'_> {
    Signed {
        id: text(request, "/headers/svix-id"),
        timestamp: text(request, "/headers/svix-timestamp"),
        signature: text(request, "/headers/svix-signature"),
    }
}

#[test]
fn every_signed_example_is_believed_and_read() {
    let Some(data) = contract("clerk/signed-webhooks.json") else { return };
    let secrets =
        [SecretString::from("whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYg=="), SecretString::from(text(&data, "/secret"))];
    let now = data["now"].as_i64().unwrap();
    let mut read = 0;
    for request in data["requests"].as_array().unwrap() {
        let body = text(request, "/body").as_bytes();
        let kind = text(request, "/type");
        verify(body, &signed(request), &secrets, now).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let event = Identity::read_event(body).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(event.kind, kind);
        let other = kind.starts_with("role.") || kind == "session.created";
        assert_eq!(event.fact == Fact::Other, other, "{kind}");
        match event.fact {
            Fact::Membership(membership) => assert_eq!(
                membership.user_id.as_str(),
                text(request_data(request).as_ref().unwrap(), "/public_user_data/user_id")
            ),
            Fact::Invitation(invitation) => {
                assert_eq!(invitation.state == InvitationState::Accepted, kind.ends_with("accepted"));
                assert_eq!(invitation.role, Role::Member);
            }
            _ => {}
        }
        read += 1;
    }
    assert!(read >= 19, "only {read} examples");
}

fn request_data(request: &Value) -> Option<Value> {
    let body: Value = serde_json::from_str(text(request, "/body")).ok()?;
    body.get("data").cloned()
}

#[test]
fn an_altered_old_or_foreign_delivery_is_not_believed() {
    let Some(data) = contract("clerk/signed-webhooks.json") else { return };
    let secrets = [SecretString::from(text(&data, "/secret"))];
    let now = data["now"].as_i64().unwrap();
    let request = &data["requests"][0];
    let body = text(request, "/body").as_bytes();
    let good = signed(request);
    let altered = [body, b" "].concat();
    assert_eq!(verify(&altered, &good, &secrets, now), Err(Error::Mismatch));
    assert_eq!(verify(body, &Signed { id: "msg_other", ..good }, &secrets, now), Err(Error::Mismatch));
    let time: i64 = good.timestamp.parse().unwrap();
    assert_eq!(verify(body, &good, &secrets, time + 300), Ok(()));
    assert_eq!(verify(body, &good, &secrets, time + 301), Err(Error::Stale));
    assert_eq!(verify(body, &good, &secrets, time - 301), Err(Error::Stale));
    assert_eq!(verify(body, &good, &[], now), Err(Error::Mismatch));
    for empty in ["", "whsec_", "whsec_AAAA", "not base64"] {
        assert_eq!(verify(body, &good, &[SecretString::from(empty)], now), Err(Error::Mismatch), "{empty}");
    }
    for (id, timestamp) in [("", "1"), ("a.b", "1"), ("a", "-1"), ("a", "x"), ("a", "99999999999999999999")] {
        assert_eq!(
            verify(body, &Signed { id, timestamp, ..good }, &secrets, now),
            Err(Error::Malformed),
            "{id} {timestamp}"
        );
    }
    let versions = format!("v1a,xxxx v2,yyyy {} v1,", good.signature);
    assert_eq!(verify(body, &Signed { signature: &versions, ..good }, &secrets, now), Ok(()));
}

#[test]
fn every_example_payload_is_read_and_a_broken_one_is_refused() {
    let Some(data) = contract("clerk/webhook-events.json") else { return };
    for (kind, example) in data.as_object().unwrap() {
        let raw = serde_json::to_vec(example).unwrap();
        assert_eq!(Identity::read_event(&raw).unwrap().kind, *kind);
    }
    for broken in [b"{}".as_slice(), b"[]", b"", br#"{"object":"event","type":"user.updated","data":{"id":"user_1"}}"#]
    {
        assert!(Identity::read_event(broken).is_err());
    }
}
