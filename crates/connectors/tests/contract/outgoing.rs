//! Outgoing webhooks against the Standard Webhooks vectors, and against receivers that mean harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_connectors::outgoing::guard::{Lookup, Resolver, check};
use tollgate_connectors::outgoing::signature::{Error, Signed, sign, verify};
use tollgate_connectors::outgoing::{Letter, Reach, Sender, Sent};

use crate::data;

fn vectors(file: &str) -> Option<Value> {
    data::contract(&format!("standard-webhooks/{file}"))
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

#[test]
fn every_signing_vector_gives_its_signature() {
    let Some(vectors) = vectors("signature-vectors.json") else { return };
    let mut checked = 0;
    for vector in vectors["signing"].as_array().unwrap().iter().filter(|one| one["secret"].is_string()) {
        let timestamp = vector["timestamp"].as_i64().unwrap();
        let signed = Signed { id: text(vector, "id"), timestamp, body: text(vector, "body").as_bytes() };
        let signature = sign(&signed, &[SecretString::from(text(vector, "secret"))]).unwrap();
        assert_eq!(signature, text(vector, "signature"));
        checked += 1;
    }
    assert!(checked > 0);
}

/// The id, timestamp and signature of a vector, under either family of header names.
fn headers(vector: &Value) -> Option<(String, i64, String)> {
    let headers = vector["headers"].as_object()?;
    let find = |name: &str| {
        let named = |prefix: &str| headers.get(&format!("{prefix}-{name}")).and_then(Value::as_str);
        named("webhook").or_else(|| named("svix")).map(str::to_owned)
    };
    Some((find("id")?, find("timestamp")?.parse().ok()?, find("signature")?))
}

#[test]
fn every_verification_vector_is_judged_as_written() {
    let Some(vectors) = vectors("signature-vectors.json") else { return };
    let mut checked = 0;
    for vector in vectors["symmetric"].as_array().unwrap() {
        let (name, expected) = (text(vector, "name"), text(vector, "expect"));
        // Missing and unreadable headers never get as far as a signature.
        let Some((id, timestamp, signature)) = headers(vector) else {
            assert!(expected.starts_with("reject"), "{name}");
            continue;
        };
        let signed = Signed { id: &id, timestamp, body: text(vector, "body").as_bytes() };
        let secrets = [SecretString::from(text(vector, "secret"))];
        let judged = verify(&signed, &signature, &secrets, vector["now"].as_i64().unwrap());
        match expected {
            "accept" => assert_eq!(judged, Ok(()), "{name}"),
            "reject:timestamp_too_old" => assert_eq!(judged, Err(Error::TooOld), "{name}"),
            "reject:timestamp_in_future" => assert_eq!(judged, Err(Error::TooNew), "{name}"),
            _ => assert!(judged.is_err(), "{name}: {judged:?}"),
        }
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn a_message_under_rotation_carries_a_signature_per_secret() {
    let secrets = ["whsec_AAAA", "whsec_BBBB"].map(SecretString::from);
    let signed = Signed { id: "msg_1", timestamp: 1_700_000_000, body: b"{}" };
    let header = sign(&signed, &secrets).unwrap();
    for secret in secrets {
        assert_eq!(verify(&signed, &header, &[secret], 1_700_000_000), Ok(()));
    }
}

#[test]
fn every_address_vector_is_judged_as_written() {
    let Some(vectors) = vectors("ssrf-vectors.json") else { return };
    for url in vectors["urls"]["reject"].as_array().unwrap() {
        assert!(check(url.as_str().unwrap(), Reach::Public).is_err(), "{url}");
    }
    for url in vectors["urls"]["accept"].as_array().unwrap() {
        assert!(check(url.as_str().unwrap(), Reach::Public).is_ok(), "{url}");
    }
}

fn letter(url: &str) -> Letter {
    Letter {
        url: url.to_owned(),
        id: "msg_1".to_owned(),
        timestamp: 1_700_000_000,
        body: "{}".to_owned(),
        secrets: vec![SecretString::from("whsec_AAAA")],
    }
}

/// A server that answers with these bytes and counts who came.
async fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, came) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, came)
}

#[tokio::test]
async fn a_name_that_leads_home_is_not_connected_to_whatever_it_led_to_before() {
    let (home, came) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // Public when it is asked first, this machine ever after; and one that names both at once.
    let lookup: Lookup = Arc::new(move |name| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let public = SocketAddr::from(([1, 1, 1, 1], home.port()));
        let found = if name == "both.example" {
            vec![public, home]
        } else if first {
            vec![public]
        } else {
            vec![home]
        };
        Box::pin(async move { Ok(found) })
    });
    let resolver = Resolver::with(Reach::Public, lookup);
    assert!(resolver.addresses("rebinding.example").await.is_ok(), "the first look is public");
    let sender = Sender::through(Reach::Public, resolver);
    for host in ["rebinding.example", "both.example"] {
        let sent = sender.send(&letter(&format!("https://{host}:{}/hook", home.port()))).await;
        assert!(matches!(sent, Sent::Unreached { .. }), "{host}: {sent:?}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 0, "nobody was let in");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_gone_is_the_end() {
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let cases = [
        (elsewhere, Sent::Refused { status: 302, pause: None }),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Sent::Gone),
        ("HTTP/1.1 204 No Content\r\n\r\n", Sent::Accepted { status: 204 }),
        (
            "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            Sent::Refused { status: 429, pause: Some(std::time::Duration::from_secs(7)) },
        ),
    ];
    let sender = Sender::new(Reach::Anywhere);
    for (answer, expected) in cases {
        let (address, came) = server(answer).await;
        assert_eq!(sender.send(&letter(&format!("http://{address}/hook"))).await, expected);
        assert_eq!(came.load(Ordering::SeqCst), 1);
    }
    let guarded = Sender::new(Reach::Public);
    let (address, came) = server(elsewhere).await;
    let sent = guarded.send(&letter(&format!("http://{address}/hook"))).await;
    assert!(matches!(sent, Sent::Unreached { .. }), "{sent:?}");
    assert_eq!(came.load(Ordering::SeqCst), 0);
}
