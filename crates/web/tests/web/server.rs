//! A served engine for one test, and the client that asks it.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tollgate_engine::db::Kind;
use tollgate_engine::testing::{OPERATOR_KEY, TestEngine};
use tollgate_engine::{Engine, Settings};
use tollgate_web::{Mode, State};

/// A server of its own, gone with the value.
pub(crate) struct Server {
    pub(crate) engine: TestEngine,
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
    stops: std::sync::Mutex<Vec<oneshot::Sender<()>>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Server {
    /// In production's mode: nothing is open without a key.
    pub(crate) async fn start(test: &str) -> Server {
        Self::start_with(test, Mode::Serve, |_, _| {}).await
    }

    /// In another mode, or with a changed state.
    pub(crate) async fn start_with(test: &str, mode: Mode, change: impl FnOnce(&mut State, &Engine)) -> Server {
        Self::start_on(test, |_| {}, (mode, change)).await
    }

    /// With changed settings of the engine.
    pub(crate) async fn start_on(
        test: &str,
        settings: impl FnOnce(&mut Settings),
        (mode, change): (Mode, impl FnOnce(&mut State, &Engine)),
    ) -> Server {
        let engine = TestEngine::open_with(Kind::Sqlite, test, settings).await;
        Self::start_at(engine.expect("the embedded database needs nothing"), mode, change).await
    }

    /// On an engine that is there, whatever its database.
    pub(crate) async fn start_at(engine: TestEngine, mode: Mode, change: impl FnOnce(&mut State, &Engine)) -> Server {
        let (base, stop) = listen(&engine.engine, mode, change).await;
        Server { engine, base, client: client(), stops: std::sync::Mutex::new(vec![stop]) }
    }

    /// Another node on the same PostgreSQL; where it listens, for as long as this one does.
    pub(crate) async fn other_node(&self) -> String {
        let engine = Engine::open(tollgate_engine::testing::settings(&self.engine.db)).await.unwrap();
        let (base, stop) = listen(&engine, Mode::Serve, |_, _| {}).await;
        self.stops.lock().unwrap().push(stop);
        base
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str, key: Option<&str>) -> Reply {
        let request = self.client.get(format!("{}{path}", self.base));
        self.send(with_key(request, key)).await
    }

    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        self.send(with_key(request, key).body(body.to_string())).await
    }

    /// As the operator; the answer must be a success.
    pub(crate) async fn operate(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, Some(OPERATOR_KEY), body).await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.json()["data"].clone()
    }
}

impl Server {
    /// The code in the last letter to this address.
    pub(crate) async fn letter_code(&self, email: &str) -> String {
        tollgate_engine::jobs::run_due(&self.engine).await.unwrap();
        let letters = self.engine.letters();
        let letter = letters.iter().rev().find(|letter| letter.contains(&format!("To: {email}"))).expect("a letter");
        let after = letter.split("Code: ").nth(1).expect("a code in the letter");
        after.split_whitespace().next().unwrap().to_owned()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The error's code, else all that was said.
    pub(crate) fn code_or_body(&self) -> String {
        match serde_json::from_str::<Value>(&self.text) {
            Ok(body) if body["error"]["code"].is_string() => self.code(),
            _ => self.text.clone(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

pub(crate) fn with_key(request: reqwest::RequestBuilder, key: Option<&str>) -> reqwest::RequestBuilder {
    match key {
        Some(key) => request.header("authorization", format!("Bearer {key}")),
        None => request,
    }
}

async fn listen(
    engine: &Engine,
    mode: Mode,
    change: impl FnOnce(&mut State, &Engine),
) -> (String, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut state = State {
        engine: engine.clone(),
        mode,
        render_metrics: Arc::new(|| "tollgate_up 1\n".to_owned()),
        time_machine: None,
        demo: None,
        version: "0.0.0-test".to_owned(),
        base_url: "http://tollgate.test".to_owned(),
        proxies: tollgate_web::Proxies::default(),
    };
    change(&mut state, engine);
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(tollgate_web::serve(listener, state, async move {
        let _ = stopped.await;
    }));
    (base, stop)
}

fn client() -> reqwest::Client {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // Another test of this process may have installed it already.
    let _ = provider.install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
