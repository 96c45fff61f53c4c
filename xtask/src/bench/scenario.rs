//! What is measured: each scenario is a set of requests; rounds of yardstick and subject alternate.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::load::{self, Round, Shape};
use super::request::{ID, Request};
use super::subject::{Subject, Tenant};
use super::{Sizes, echo};
use crate::failure::Outcome;

/// Events in one batch call.
pub(super) const BATCH: usize = 1_000;

/// Connections of the batch scenario: few senders with much each.
const BATCH_CONNECTIONS: usize = 4;

/// The medians of one scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) per_second: u64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// The subject's processor time per call.
    pub(super) processor_per_call: Duration,
}

/// Yardstick, check and record at one number of connections.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) connections: usize,
    pub(super) echo: Figures,
    pub(super) check: Figures,
    pub(super) record: Figures,
}

/// A quota check per tenant.
fn checks(tenants: &[Tenant]) -> Vec<Request> {
    let body = |tenant: &Tenant| json!({"orgId": tenant.org_id, "metric": "api_call", "units": 1}).to_string();
    tenants.iter().map(|tenant| Request::post("/api/quota/check", Some(&tenant.key), &body(tenant))).collect()
}

/// One counted call per tenant, each time with a new id.
fn records(tenants: &[Tenant]) -> Vec<Request> {
    let body = |tenant: &Tenant| {
        json!({"orgId": tenant.org_id, "metric": "api_call", "value": 1, "request_id": ID}).to_string()
    };
    tenants.iter().map(|tenant| Request::post("/api/usage/record", Some(&tenant.key), &body(tenant))).collect()
}

/// A batch of events per tenant, every event with a new id.
pub(super) fn batches(tenants: &[Tenant], events: usize) -> Vec<Request> {
    let body = |tenant: &Tenant| {
        let event = json!({"orgId": tenant.org_id, "metric": "api_call", "value": 1, "request_id": ID});
        json!(vec![event; events]).to_string()
    };
    tenants.iter().map(|tenant| Request::post("/v1/usage", Some(&tenant.key), &body(tenant))).collect()
}

/// Measures echo, check and record in alternating rounds.
pub(super) async fn calls(
    sizes: &Sizes,
    echo_at: SocketAddr,
    subject: &Subject,
    tenants: &[Tenant],
    connections: usize,
) -> Outcome<Calls> {
    let shape = |target| Shape { target, connections, duration: sizes.round, warm_up: sizes.warm_up };
    let echoed = vec![Request::post("/echo", None, echo::BODY)];
    let (mut echo, mut check, mut record) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..sizes.rounds {
        println!("  {connections} connections, round {} of {}", number + 1, sizes.rounds);
        echo.push((load::round(shape(echo_at), echoed.clone()).await?, Duration::ZERO));
        check.push(charged(subject, shape(subject.address()), checks(tenants)).await?);
        record.push(charged(subject, shape(subject.address()), records(tenants)).await?);
    }
    Ok(Calls { connections, echo: median(echo), check: median(check), record: median(record) })
}

/// One round of batches: events per second and the call's figures.
pub(super) async fn batch(sizes: &Sizes, subject: &Subject, tenants: &[Tenant]) -> Outcome<(Round, Duration)> {
    let shape = Shape {
        target: subject.address(),
        connections: BATCH_CONNECTIONS,
        duration: sizes.round,
        warm_up: sizes.warm_up,
    };
    charged(subject, shape, batches(tenants, BATCH)).await
}

/// A round with the subject's processor time per call. The warm-up's calls use time too, so it is scaled out.
async fn charged(subject: &Subject, shape: Shape, requests: Vec<Request>) -> Outcome<(Round, Duration)> {
    let before = subject.processor_micros();
    let round = load::round(shape, requests).await?;
    let used = Duration::from_micros(subject.processor_micros().saturating_sub(before));
    let measured = u128::from(round.calls.max(1)) * (shape.duration + shape.warm_up).as_nanos();
    let per_call = used.as_nanos() * shape.duration.as_nanos() / measured.max(1);
    Ok((round, Duration::from_nanos(u64::try_from(per_call).unwrap_or(u64::MAX))))
}

/// The figures of the round in the middle.
pub(super) fn median(mut rounds: Vec<(Round, Duration)>) -> Figures {
    rounds.sort_by_key(|(round, _)| round.per_second());
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle).map_or_else(Figures::default, |(round, processor_per_call)| Figures {
        per_second: round.per_second(),
        p50: round.latency.percentile(50),
        p99: round.latency.percentile(99),
        processor_per_call,
    })
}

/// Stores so many events through the product's own batch route.
pub(super) async fn preload(subject: &Subject, tenants: &[Tenant], events: u64) -> Outcome {
    const LARGE: usize = 5_000;
    let mut connection = load::Connection::open(subject.address()).await?;
    let mut requests = batches(tenants, LARGE);
    let calls = events / u64::try_from(LARGE).unwrap_or(u64::MAX);
    for number in 0..calls {
        let turn = usize::try_from(number).unwrap_or(0) % requests.len();
        let status = connection.call(requests[turn].next()).await?;
        if status != 200 {
            return Err(crate::failure::Failure::new(format!("preloading: {status} {}", connection.last_body())));
        }
        if number % 200 == 0 {
            println!("  {} of {events} events stored", number * u64::try_from(LARGE).unwrap_or(0));
        }
    }
    Ok(())
}
