//! What endpoints hear: everything they want, in order, signed, once it is known that they have it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use tollgate_connectors::outgoing::Reach;
use tollgate_connectors::outgoing::signature::{Signed, verify};
use tollgate_rules::access::Permission;

use super::attempt::SCHEDULE;
use super::{
    Change, Created, DeliveryFilter, Error, Listed, NewEndpoint, Redeliver, create, deliveries, list, pull, redeliver,
    rotate, update, worker,
};
use crate::access::OperatorScope;
use crate::db::Kind;
use crate::incidents;
use crate::on_both;
use crate::paging::Paging;
use crate::testing::TestEngine;

/// A message as it came in.
#[derive(Debug, Clone)]
struct Arrival {
    id: String,
    timestamp: i64,
    signature: String,
    body: String,
}

impl Arrival {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn signed_with(&self, secret: &SecretString) -> bool {
        let signed = Signed { id: &self.id, timestamp: self.timestamp, body: self.body.as_bytes() };
        verify(&signed, &self.signature, std::slice::from_ref(secret), self.timestamp).is_ok()
    }
}

/// A system of the operator's that answers what it is told to.
#[derive(Clone)]
struct Receiver {
    url: String,
    answer: Arc<Mutex<&'static str>>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

const OK: &str = "200 OK\r\n";
const BROKEN: &str = "500 Broken\r\n";

impl Receiver {
    async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Receiver { url, answer: Arc::new(Mutex::new(OK)), arrivals: Arc::default() };
        let running = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(running.clone().serve(stream));
            }
        });
        receiver
    }

    async fn serve(self, mut stream: tokio::net::TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 8192];
            let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
            bytes.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
            };
            if body.len() < header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0) {
                continue;
            }
            let arrival = Arrival {
                id: header("webhook-id").unwrap(),
                timestamp: header("webhook-timestamp").unwrap().parse().unwrap(),
                signature: header("webhook-signature").unwrap(),
                body: body.to_owned(),
            };
            self.arrivals.lock().unwrap().push(arrival);
            let answer = format!("HTTP/1.1 {}content-length: 0\r\n\r\n", self.answer.lock().unwrap());
            let _ = stream.write_all(answer.as_bytes()).await;
            bytes.clear();
        }
    }

    fn answers(&self, answer: &'static str) {
        *self.answer.lock().unwrap() = answer;
    }

    fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }
}

fn operator(engine: &TestEngine) -> OperatorScope {
    engine.operator().require_operator(Permission::WebhooksOperate).unwrap()
}

async fn endpoint(engine: &TestEngine, url: &str, kinds: &[&str]) -> Created {
    let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let new = NewEndpoint { url: url.to_owned(), description: None, kinds };
    create(engine, &operator(engine), new).await.unwrap()
}

async fn of(engine: &TestEngine, made: &Created) -> Vec<Listed> {
    let filter = DeliveryFilter { endpoint_id: made.endpoint.endpoint_id.clone(), state: None };
    deliveries(engine, &operator(engine), &filter, &Paging::default()).await.unwrap().items
}

fn advance(engine: &TestEngine, by: Duration) {
    engine.set_now(engine.now().plus(by));
}

on_both! {
    async fn an_endpoint_hears_what_it_wants_numbered_and_signed(engine: TestEngine) {
        let (all, some) = (Receiver::start().await, Receiver::start().await);
        let (everything, little) =
            (endpoint(&engine, &all.url, &[]).await, endpoint(&engine, &some.url, &["orgs.delete"]).await);
        for name in ["org_a", "org_b", "org_c"] {
            engine.org(name).await;
        }
        worker::run_due(&engine).await.unwrap();
        // Deliveries go side by side; the sequence number is what puts them in order.
        let mut told = all.arrivals();
        told.sort_by_key(|arrival| arrival.json()["sequence"].as_i64());
        let orgs: Vec<_> = told.iter().map(|arrival| arrival.json()["data"]["orgId"].clone()).collect();
        assert_eq!(orgs, ["org_a", "org_b", "org_c"]);
        assert!(told.iter().zip(1..).all(|(arrival, place)| arrival.json()["sequence"] == place));
        assert!(told.iter().all(|arrival| arrival.signed_with(&everything.secret)));
        assert!(!told.iter().any(|arrival| arrival.signed_with(&little.secret)), "each has a secret of its own");
        assert_eq!(told[0].json()["type"], "orgs.create");
        assert!(some.arrivals().is_empty());
        let pulled = pull(&engine, &operator(&engine), 1, 10).await.unwrap();
        assert_eq!((pulled.messages.len(), pulled.cursor), (2, 3));
        assert_eq!(pulled.messages[0].body(), told[1].body, "pulled and told are the same");
        assert_eq!(pull(&engine, &operator(&engine), 3, 10).await.unwrap().cursor, 3);
        worker::run_due(&engine).await.unwrap();
        assert_eq!(all.arrivals().len(), 3, "nothing is told twice");
    }

    async fn a_message_is_tried_ten_times_over_three_days_and_again_when_asked(engine: TestEngine) {
        let receiver = Receiver::start().await;
        receiver.answers(BROKEN);
        let made = endpoint(&engine, &receiver.url, &["orgs.create"]).await;
        engine.org("org_a").await;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            worker::run_due(&engine).await.unwrap();
            let delivery = of(&engine, &made).await.remove(0);
            pauses.push(delivery.run_at.since(engine.now()).as_secs());
            engine.set_now(delivery.run_at.max(engine.now()));
        }
        let least = &SCHEDULE[1..];
        assert!(pauses.iter().zip(least).all(|(pause, least)| (*least..=least + least / 5).contains(pause)), "{pauses:?}");
        let delivery = of(&engine, &made).await.remove(0);
        assert_eq!((delivery.state.as_str(), delivery.attempts, delivery.last_status), ("dead", 10, Some(500)));
        assert_eq!(receiver.arrivals().len(), 10);
        let first = &receiver.arrivals()[0];
        let same = |arrival: &Arrival| arrival.id == first.id && arrival.body == first.body;
        assert!(receiver.arrivals().iter().all(same), "the same message in every attempt");
        let filter = incidents::Filter { state: Some("open".to_owned()), ..incidents::Filter::default() };
        let open = incidents::list(&engine, &operator(&engine), &filter, &Paging::default()).await.unwrap().items;
        assert_eq!(open.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), [made.endpoint.endpoint_id.as_str()]);
        receiver.answers(OK);
        assert_eq!(redeliver(&engine, &operator(&engine), &made.endpoint.endpoint_id, Redeliver::Dead).await.unwrap(), 1);
        worker::run_due(&engine).await.unwrap();
        assert!(of(&engine, &made).await.iter().all(|delivery| delivery.state == "done"));
        let open = incidents::list(&engine, &operator(&engine), &filter, &Paging::default()).await.unwrap().items;
        assert_eq!(open, [], "told again, the incident is over");
    }

    async fn both_secrets_sign_for_a_day_after_a_rotation(engine: TestEngine) {
        let receiver = Receiver::start().await;
        let made = endpoint(&engine, &receiver.url, &[]).await;
        let old = made.secret.clone();
        let turned = rotate(&engine, &operator(&engine), &made.endpoint.endpoint_id).await.unwrap();
        assert_ne!(old.expose_secret(), turned.secret.expose_secret());
        engine.org("org_a").await;
        worker::run_due(&engine).await.unwrap();
        let within = receiver.arrivals().remove(0);
        assert!(within.signed_with(&old) && within.signed_with(&turned.secret));
        advance(&engine, Duration::from_secs(24 * 3_600));
        engine.org("org_b").await;
        worker::run_due(&engine).await.unwrap();
        let after = receiver.arrivals().pop().unwrap();
        assert!(!after.signed_with(&old) && after.signed_with(&turned.secret));
    }

    async fn an_endpoint_that_fails_or_asks_for_less_holds_up_nobody(engine: TestEngine) {
        let (good, bad, busy, gone) =
            (Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
        bad.answers(BROKEN);
        busy.answers("429 Slow\r\nretry-after: 600\r\n");
        gone.answers("410 Gone\r\n");
        endpoint(&engine, &good.url, &["orgs.create"]).await;
        let made = endpoint(&engine, &busy.url, &["orgs.create"]).await;
        let ended = endpoint(&engine, &gone.url, &["orgs.create"]).await;
        endpoint(&engine, &bad.url, &["orgs.create"]).await;
        for number in 0..5 {
            engine.org(&format!("org_{number}")).await;
        }
        worker::run_due(&engine).await.unwrap();
        assert_eq!(good.arrivals().len(), 5);
        advance(&engine, Duration::from_secs(599));
        worker::run_due(&engine).await.unwrap();
        assert_eq!(busy.arrivals().len(), 1, "it asked for ten minutes");
        busy.answers(OK);
        advance(&engine, Duration::from_secs(2));
        worker::run_due(&engine).await.unwrap();
        assert!(of(&engine, &made).await.iter().all(|delivery| delivery.state == "done"));
        let listed = list(&engine, &operator(&engine)).await.unwrap();
        let ended = listed.iter().find(|one| one.endpoint_id == ended.endpoint.endpoint_id).unwrap();
        assert_eq!((ended.state.as_str(), gone.arrivals().len()), ("disabled", 1));
        gone.answers(OK);
        let change = Change { enabled: Some(true), ..Change::default() };
        update(&engine, &operator(&engine), &ended.endpoint_id, change).await.unwrap();
        worker::run_due(&engine).await.unwrap();
        assert!(gone.arrivals().len() > 5, "enabled again it goes on where it stopped");
    }
}

#[tokio::test]
async fn only_public_addresses_and_known_kinds_become_endpoints() {
    let strict = |settings: &mut crate::Settings| settings.outgoing_reach = Reach::Public;
    let Some(engine) = TestEngine::open_with(Kind::Sqlite, "only_public", strict).await else { return };
    for url in ["http://example.com/hook", "https://127.0.0.1/hook", "https://[::1]/", "https://169.254.169.254/", "x"]
    {
        let new = NewEndpoint { url: url.to_owned(), description: None, kinds: Vec::new() };
        let refused = create(&engine, &operator(&engine), new).await.unwrap_err();
        assert!(matches!(refused, Error::BadUrl(_)), "{url}: {refused}");
    }
    let kinds = vec!["orgs.unknown".to_owned()];
    let new = NewEndpoint { url: "https://example.com/hook".to_owned(), description: None, kinds };
    assert!(matches!(create(&engine, &operator(&engine), new).await.unwrap_err(), Error::BadKind(_)));
    let made = endpoint(&engine, "https://example.com/hook", &[]).await;
    let id = made.endpoint.endpoint_id.as_str();
    let mut connection = engine.db().read().await.unwrap();
    let row = super::sql::endpoint(&mut connection, engine.sealer(), id).await;
    assert_eq!(row.unwrap().unwrap().secret.expose_secret(), made.secret.expose_secret());
}
