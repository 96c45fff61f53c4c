//! Calls over HTTP, and what came back.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::shapes;

/// An address and a credential.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// An HTTP client; the crypto provider is installed once per process.
pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(100)).no_proxy();
    builder.build().expect("a client can be made")
}

impl Api {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        Self { http: http(), base: base.to_owned(), key: key.to_owned() }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).await.expect("the server answers")
    }

    /// A call that may find the server dead.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        let request = self.http.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        let answer = read(request.bearer_auth(&self.key).body(body.to_string())).await?;
        if answer.is_json() {
            shapes::hold("post", path, answer.status, &answer.body);
        }
        Ok(answer)
    }

    /// A POST that must succeed: its `data`.
    pub(crate) async fn ok(&self, path: &str, body: &Value) -> Value {
        self.post(path, body).await.data()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.key);
        let answer = read(request).await.expect("the server answers");
        if answer.is_json() {
            shapes::hold("get", path, answer.status, &answer.body);
        }
        answer
    }

    /// A body and headers of the test's own making, without a credential.
    pub(crate) async fn raw(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request).await.expect("the server answers")
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, headers, text, body })
}

impl Answer {
    /// The `data` of a success.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.body["ok"], true, "{}", self.text);
        self.body["data"].clone()
    }

    /// The whole body of a refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["error"]["code"], code, "{}", self.text);
        self.body.clone()
    }

    /// Whether it calls itself JSON.
    fn is_json(&self) -> bool {
        self.header("content-type").starts_with("application/json")
    }

    /// A header's text; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
