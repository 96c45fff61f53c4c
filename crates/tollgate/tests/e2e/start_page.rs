//! The start page in a real browser: the usage bar, the button that moves the clock, light and dark, a narrow screen.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use reqwest::Url;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::database::Database;
use crate::server::{Options, Server};

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A driver process with one browser; both end with it.
struct Browser {
    driver: Child,
    client: Client,
    _profile: TempDir,
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|file| file.is_file())
}

impl Browser {
    /// Starts one; `None` (with a printed reason) where there is none to start.
    async fn start() -> Option<Browser> {
        let Some(program) = on_path(&["chromedriver"]) else {
            println!("SKIPPED: there is no chromedriver on this machine; the start page was not looked at");
            return None;
        };
        let browser = on_path(&["chromium", "chromium-browser", "google-chrome"]);
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("loopback has a free port")
            .port();
        let driver =
            Command::new(program).arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut driver = driver.expect("chromedriver starts");
        match connect(port, profile.path(), browser.as_deref()).await {
            Some(client) => Some(Browser { driver, client, _profile: profile }),
            None => {
                let _ended = driver.kill();
                let _reaped = driver.wait();
                panic!("chromedriver is here but gives no browser");
            }
        }
    }

    async fn end(mut self) {
        let _closed = self.client.clone().close().await;
        let _ended = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

async fn connect(port: u16, profile: &Path, browser: Option<&Path>) -> Option<Client> {
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--user-data-dir={}", profile.display()));
    let mut options = json!({"args": flags});
    if let Some(browser) = browser {
        options["binary"] = json!(browser);
    }
    let capabilities = json!({"goog:chromeOptions": options});
    let capabilities = capabilities.as_object().cloned().unwrap_or_default();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        if let Ok(client) =
            builder.capabilities(capabilities.clone()).connect(&format!("http://127.0.0.1:{port}")).await
        {
            return Some(client);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

#[tokio::test]
async fn the_start_page_shows_the_usage_moves_the_clock_and_fits_any_screen() {
    let Some(browser) = Browser::start().await else { return };
    let place = tempfile::tempdir().unwrap();
    let options = Options::dev(&place.path().join("data"), &Database::Embedded);
    let server = Server::start(options.arguments(&["--seed", "demo", "--clock", "2026-01-15T09:00:00Z"])).await;
    let page = &browser.client;
    page.goto(&server.api).await.unwrap();
    shows_the_demo_org(page).await;
    advances_with_the_button(page, &server).await;
    for scheme in ["light", "dark"] {
        fits_and_differs(page, &server, scheme).await;
    }
    browser.end().await;
}

async fn shows_the_demo_org(page: &Client) {
    let meter = page.find(Locator::Css("meter, [role=meter]")).await.expect("the page has a usage bar");
    let value = meter.attr("value").await.unwrap().or(meter.attr("aria-valuenow").await.unwrap());
    assert_eq!(value.as_deref(), Some("997"), "three calls are left of a thousand");
    let text = page.find(Locator::Css("body")).await.unwrap().text().await.unwrap();
    for expected in ["Acme", "997", "1,000", "/demo/quote", "tg_test_"] {
        assert!(text.contains(expected), "{expected} is missing: {text}");
    }
}

async fn advances_with_the_button(page: &Client, server: &Server) {
    let before = server.operator().get("/sandbox/clock").await.data()["now"].clone();
    let button = page.find(Locator::XPath("//button[contains(., 'month') or contains(., '1mo')]")).await;
    button.expect("a button advances a month").click().await.unwrap();
    page.wait().at_most(Duration::from_secs(60)).for_element(Locator::Css("meter, [role=meter], main")).await.unwrap();
    let begun = Instant::now();
    loop {
        let after = server.operator().get("/sandbox/clock").await.data()["now"].clone();
        if after.as_str().unwrap_or_default() >= "2026-02-15T09:00:00Z" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the clock stands: {before} -> {after}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn fits_and_differs(page: &Client, server: &Server, scheme: &str) {
    let command = json!({"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
    cdp(page, "Emulation.setEmulatedMedia", &command).await;
    let narrow = json!({"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true});
    cdp(page, "Emulation.setDeviceMetricsOverride", &narrow).await;
    page.goto(&server.api).await.unwrap();
    let width = page.execute("return document.documentElement.scrollWidth", vec![]).await.unwrap();
    assert!(width.as_i64() <= Some(360), "{scheme}: the page is {width} px wide on a screen of 360");
    let script = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)";
    let colour = page.execute(script, vec![]).await.unwrap();
    let sum: i64 = colour.as_array().into_iter().flatten().filter_map(serde_json::Value::as_i64).sum();
    assert_eq!(sum > 380, scheme == "light", "{scheme}: the background is {colour}");
}

/// One command of Chromium's own protocol, through the driver.
async fn cdp(page: &Client, command: &str, parameters: &serde_json::Value) {
    let session = page.session_id().await.unwrap().expect("there is a session");
    let answer = page.issue_cmd(Cdp { session, command: command.to_owned(), parameters: parameters.clone() }).await;
    answer.unwrap_or_else(|error| panic!("{command}: {error}"));
}

#[derive(Debug)]
struct Cdp {
    session: String,
    command: String,
    parameters: serde_json::Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &Url, _session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", self.session))
    }

    fn method_and_body(&self, _url: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}
