//! A sandbox of its own for each test, a caller that checks every answer, and a webhook receiver.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tollgate_sandbox::contract::{self, Contract};
use tollgate_sandbox::{Config, Faults, Happened, Sandbox};

/// The official description; without it answers go unchecked, which is said once.
pub(crate) static CONTRACT: LazyLock<Option<Contract>> = LazyLock::new(|| {
    let contract = contract::load();
    if contract.is_none() {
        println!("skipped: answers are not checked, there is no contract data beside the repository");
    }
    contract
});

/// Seconds since 1970 of `2026-01-31T09:30:00Z`-like text.
pub(crate) fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

/// A running sandbox and its file.
pub(crate) struct Server {
    pub(crate) sandbox: Sandbox,
    client: reqwest::Client,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_at("2026-01-31T09:30:00Z").await
    }

    pub(crate) async fn start_at(time: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(config(&folder, Some(at(time) * 1_000_000))).await.unwrap();
        Self { sandbox, client: reqwest::Client::new(), folder }
    }

    /// Stops it and starts it again on the same file.
    pub(crate) async fn restart(self) -> Self {
        let Self { sandbox, client, folder } = self;
        sandbox.stop().await;
        let sandbox = Sandbox::start(config(&folder, None)).await.unwrap();
        Self { sandbox, client, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("sandbox.db")
    }

    /// The sandbox's time in seconds.
    pub(crate) fn now(&self) -> i64 {
        self.sandbox.clock().now_micros() / 1_000_000
    }

    /// Moves the clock to a time.
    pub(crate) async fn move_to(&self, time: &str) -> Vec<Happened> {
        self.move_to_second(at(time)).await
    }

    pub(crate) async fn move_to_second(&self, second: i64) -> Vec<Happened> {
        self.sandbox.move_to(second * 1_000_000).await.unwrap()
    }

    /// A call with all its parts; the answer is checked against the contract.
    pub(crate) async fn send(&self, method: &str, path: &str, form: &str, headers: &[(&str, &str)]) -> Reply {
        let query = if method != "POST" && !form.is_empty() { format!("?{form}") } else { String::new() };
        let url = format!("{}{path}{query}", self.sandbox.base_url());
        let mut request =
            self.client.request(method.parse().unwrap(), url).header("authorization", "Bearer sk_test_suite");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {status} {text}"));
        if let Some(contract) = CONTRACT.as_ref().filter(|_| path.starts_with("/v1/") && status != 404) {
            let problems = contract.validate_response(method, path, status, &body);
            assert!(problems.is_empty(), "{method} {path} {status}: {problems:#?}\n{body:#}");
            if status == 200 {
                assert_eq!(contract.validate_request(method, path, form), [""; 0], "{method} {path} {form}");
            }
        }
        Reply { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, "").await
    }

    pub(crate) async fn find(&self, path: &str, query: &str) -> Value {
        self.ok("GET", path, query).await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Value {
        self.ok("POST", path, form).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        self.ok("DELETE", path, "").await
    }

    async fn ok(&self, method: &str, path: &str, form: &str) -> Value {
        let reply = self.send(method, path, form, &[]).await;
        assert_eq!(reply.status, 200, "{method} {path} {form}: {:#}", reply.body);
        reply.body
    }

    /// A call that has to be refused: the status and the error.
    pub(crate) async fn refused(&self, method: &str, path: &str, form: &str) -> (u16, Value) {
        let reply = self.send(method, path, form, &[]).await;
        assert!(reply.status >= 400, "{method} {path} {form}: {:#}", reply.body);
        (reply.status, reply.body["error"].clone())
    }

    /// A product with a monthly price of `amount`; the price's id.
    pub(crate) async fn price(&self, amount: i64, interval: &str) -> String {
        let form = format!(
            "currency=usd&unit_amount={amount}&recurring[interval]={interval}&product_data[name]=Plan+{amount}+{interval}"
        );
        id(&self.post("/v1/prices", &form).await)
    }

    /// A customer whose default is a test card of this name, or has none.
    pub(crate) async fn customer(&self, card: Option<&str>) -> String {
        let customer = id(&self.post("/v1/customers", "email=billing%40acme.example&name=Acme").await);
        if let Some(card) = card {
            self.give_card(&customer, card).await;
        }
        customer
    }

    /// Attaches a test card as the customer's default.
    pub(crate) async fn give_card(&self, customer: &str, card: &str) -> String {
        let path = format!("/v1/payment_methods/pm_card_{card}/attach");
        let reply = self.send("POST", &path, &format!("customer={customer}"), &[]).await;
        assert_eq!(reply.status, 200, "{:#}", reply.body);
        let method = id(&reply.body);
        let form = format!("invoice_settings[default_payment_method]={method}");
        self.post(&format!("/v1/customers/{customer}"), &form).await;
        method
    }

    pub(crate) async fn subscription(&self, subscription: &str) -> Value {
        self.get(&format!("/v1/subscriptions/{subscription}")).await
    }

    /// Every event so far, oldest first, each checked with its object.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let after = events.last().map_or(String::new(), |event| format!("&starting_after={}", id(event)));
            let page = self.find("/v1/events", &format!("limit=100{after}")).await;
            events.extend(page["data"].as_array().unwrap().iter().cloned());
            if page["has_more"] == false {
                break;
            }
        }
        for event in &events {
            check_event(event);
        }
        events.reverse();
        events
    }

    /// The types of the events about an object, oldest first.
    pub(crate) async fn events_about(&self, object: &str) -> Vec<String> {
        let events = self.events().await;
        let about = events.iter().filter(|event| event["data"]["object"]["id"] == object);
        about.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn check_event(event: &Value) {
    let Some(contract) = CONTRACT.as_ref() else { return };
    let kind = event["type"].as_str().unwrap();
    let problems = contract.validate_object(&event["data"]["object"]);
    assert!(problems.is_empty(), "{kind}: {problems:#?}\n{event:#}");
    assert!(Contract::knows_event_type(kind), "Stripe has no event {kind}");
}

fn config(folder: &TempDir, start_at_micros: Option<i64>) -> Config {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config { listen, database: folder.path().join("sandbox.db"), start_at_micros, faults: Faults::none() }
}

/// An object's id.
pub(crate) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap_or_else(|| panic!("no id in {object:#}")).to_owned()
}

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Arrival {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver of webhooks that answers what it is told to.
#[derive(Clone)]
pub(crate) struct Receiver {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    status: Arc<Mutex<u16>>,
    address: SocketAddr,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            arrivals: Arc::default(),
            status: Arc::new(Mutex::new(200)),
            address: listener.local_addr().unwrap(),
        };
        let app = axum::Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Waits until `count` webhooks have arrived.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Arrival> {
        let enough = async {
            while self.arrivals().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), enough)
            .await
            .unwrap_or_else(|_| panic!("{} of {count} webhooks arrived", self.arrivals().len()));
        self.arrivals()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let signature = headers.get("stripe-signature").unwrap().to_str().unwrap().to_owned();
    receiver.arrivals.lock().unwrap().push(Arrival { signature, body });
    StatusCode::from_u16(*receiver.status.lock().unwrap()).unwrap()
}
