//! The measured server: a release build of `tollgate dev` as a child with a data directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::children::Group;
use crate::clock::Stopwatch;
use crate::failure::{Failure, Outcome};
use crate::workspace;

/// A catalog whose only special thing is a limit nobody reaches: a hard stop is decided on every call.
const PLANS: &str = include_str!("plans.toml");

/// How long a server may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Which database the server runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Database {
    /// The embedded one, in the data directory.
    Embedded,
    /// A PostgreSQL at this address.
    Postgres(String),
}

/// A running server.
#[derive(Debug)]
pub(super) struct Subject {
    group: Group,
    process: u32,
    address: SocketAddr,
    operator_key: String,
    /// From starting the process until it was ready.
    pub(super) start_up: Duration,
}

/// An org with a subscription and an API key.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// Its public name.
    pub(super) org_id: String,
    /// An org API key with the scopes of a gate.
    pub(super) key: String,
}

impl Subject {
    /// Starts the server on this data directory and waits until it is ready.
    ///
    /// # Errors
    /// It ended, or was not ready in time; its last output is part of the message.
    pub(super) async fn start(binary: &Path, data: &Path, database: &Database) -> Outcome<Self> {
        let ready_file = data.with_extension("ready");
        let log_path = data.with_extension("log");
        let _absent = std::fs::remove_file(&ready_file);
        let plans = data.with_extension("plans.toml");
        std::fs::write(&plans, PLANS).map_err(Failure::during("writing the catalog"))?;
        let mut command = Command::new(binary);
        command.args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--sandbox-listen",
            "127.0.0.1:0",
            "--seed",
            "empty",
            "--no-open",
        ]);
        command.arg("--data").arg(data).arg("--plans").arg(&plans).arg("--ready-file").arg(&ready_file);
        command.env_remove("DATABASE_URL");
        if let Database::Postgres(url) = database {
            command.env("DATABASE_URL", url);
        }
        let log = std::fs::File::create(&log_path).map_err(Failure::during("making the server's log"))?;
        let errors = log.try_clone().map_err(Failure::during("making the server's log"))?;
        command.stdout(Stdio::from(log)).stderr(Stdio::from(errors));
        let watch = Stopwatch::start();
        let mut group = Group::start(command)?;
        let told = ready(&mut group, &ready_file, &log_path, watch).await?;
        let start_up = watch.elapsed();
        let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
        let address = text("api").trim_start_matches("http://").trim_end_matches('/').parse();
        let address = address.map_err(Failure::during("reading the address in the ready file"))?;
        let process = group.id().ok_or_else(|| Failure::new("the server has no process id"))?;
        Ok(Self { group, process, address, operator_key: text("operatorKey"), start_up })
    }

    /// Where its API answers.
    #[must_use]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It did not end in time.
    pub(super) async fn stop(self) -> Outcome {
        self.group.stop("TERM", Duration::from_secs(20)).await
    }

    /// Signs up so many orgs, each with a trial and a key.
    ///
    /// # Errors
    /// A call was refused.
    pub(super) async fn tenants(&self, count: usize) -> Outcome<Vec<Tenant>> {
        let client = reqwest::Client::new();
        let mut tenants = Vec::new();
        for number in 0..count {
            let created = self
                .post(
                    &client,
                    "/api/orgs.create",
                    json!({"name": format!("Bench {number}"), "ownerUserId": "user_bench"}),
                )
                .await?;
            let org_id = created["orgId"].as_str().unwrap_or_default().to_owned();
            let email = format!("bench{number}@example.com");
            self.post(&client, "/api/stripe/customer.ensure", json!({"orgId": org_id, "email": email})).await?;
            self.post(
                &client,
                "/api/stripe/subscription.create",
                json!({"orgId": org_id, "priceLookup": "plan_pro_m"}),
            )
            .await?;
            let key = self.post(&client, "/api/keys.create", json!({"orgId": org_id, "name": "bench"})).await?;
            let key = key["secret"].as_str().unwrap_or_default().to_owned();
            tenants.push(Tenant { org_id, key });
        }
        Ok(tenants)
    }

    async fn post(&self, client: &reqwest::Client, path: &str, body: Value) -> Outcome<Value> {
        let doing = || Failure::during(format!("POST {path}"));
        let request = client
            .post(format!("http://{}{path}", self.address))
            .header("Authorization", format!("Bearer {}", self.operator_key))
            .header("Content-Type", "application/json")
            .body(body.to_string());
        let response = request.send().await.map_err(doing())?;
        let status = response.status();
        let text = response.text().await.map_err(doing())?;
        if !status.is_success() {
            return Err(Failure::new(format!("POST {path} answered {status}: {text}")));
        }
        let answer: Value = serde_json::from_str(&text).map_err(Failure::during(format!("POST {path}")))?;
        Ok(answer["data"].clone())
    }

    /// Processor time used since it started, in microseconds (the kernel counts in ticks of 10 ms).
    #[must_use]
    pub(super) fn processor_micros(&self) -> u64 {
        processor_micros(self.process)
    }

    /// Resident memory in KiB.
    #[must_use]
    pub(super) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

/// User and system time of a process in microseconds.
#[must_use]
pub(super) fn processor_micros(process: u32) -> u64 {
    const TICK_MICROS: u64 = 10_000;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is the program's name in parentheses and may hold spaces; times are the 14th and 15th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_MICROS
}

async fn ready(group: &mut Group, ready_file: &Path, log: &Path, watch: Stopwatch) -> Outcome<Value> {
    while watch.elapsed() < READY_WITHIN && !group.has_ended() {
        let written = std::fs::read_to_string(ready_file).unwrap_or_default();
        if let Ok(told) = serde_json::from_str(&written) {
            return Ok(told);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(20).collect();
    Err(Failure::new(format!(
        "the server did not become ready:\n{}",
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    )))
}

/// The release build beside this one.
///
/// # Errors
/// It has not been built.
pub(super) fn release_binary(name: &str) -> Outcome<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from);
    let path = target.join("release").join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::new(format!("{} is not built", path.display())))
}
