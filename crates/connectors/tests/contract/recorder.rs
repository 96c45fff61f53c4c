//! A server on loopback that writes down what it is asked and answers what it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_connectors::billing::Billing;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_connectors::{Pacing, stigg, stripe};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What is answered.
pub(crate) enum Reply {
    /// A status, extra header lines and a body.
    Answer(u16, &'static str, String),
    /// The connection is cut without a word.
    Cut,
    /// Nothing ever comes.
    Silence,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::Answer(200, "", body.into())
    }
}

type Script = dyn Fn(usize, &Recorded) -> Reply + Send + Sync;

pub(crate) struct Recorder {
    pub(crate) base_url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Recorder {
    /// Starts a server; `script` is told how many requests came before.
    pub(crate) async fn start(script: impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Self { base_url, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn billing(&self) -> Billing {
        let settings = stripe::Settings {
            base_url: self.base_url.clone(),
            secret_key: SecretString::from("sk_test_contract"),
            pacing: quick(),
        };
        Billing::Stripe(stripe::Client::new(settings).unwrap())
    }

    pub(crate) fn mirror(&self) -> PlanMirror {
        let settings = stigg::Settings {
            base_url: self.base_url.clone(),
            api_key: SecretString::from("server-contract"),
            pacing: quick(),
        };
        PlanMirror::Stigg(stigg::Client::new(settings).unwrap())
    }
}

/// The usual rule with pauses of at most some milliseconds.
fn quick() -> Pacing {
    Pacing {
        attempt_timeout: Duration::from_millis(300),
        deadline: Duration::from_secs(2),
        backoff_base: Duration::from_millis(2),
        ..Pacing::with_random(Arc::new(|| 1))
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Recorded>>>) {
    let Some(request) = read(&mut stream).await else { return };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    match script(before, &request) {
        Reply::Answer(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        Reply::Cut => drop(stream),
        Reply::Silence => std::future::pending().await,
    }
}

async fn read(stream: &mut TcpStream) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await.ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        let mut chunk = vec![0; length - body.len()];
        let count = stream.read(&mut chunk).await.ok()?;
        body.extend_from_slice(&chunk[..count]);
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Recorded { method, path, query, headers, body: String::from_utf8(body).unwrap() })
}
