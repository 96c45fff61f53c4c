//! The load generator: keep-alive connections on one thread, each sending its next request when the answer is there.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::latency::Histogram;
use super::request::Request;
use crate::clock::Stopwatch;
use crate::failure::{Failure, Outcome};

/// What one round measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    /// Calls answered with 200 after the warm-up.
    pub(super) calls: u64,
    /// The time they took.
    pub(super) elapsed: Duration,
    /// Their latencies.
    pub(super) latency: Histogram,
}

impl Round {
    /// Calls per second.
    #[must_use]
    pub(super) fn per_second(&self) -> u64 {
        per_second(self.calls, self.elapsed)
    }
}

/// So many in this time, per second.
#[must_use]
pub(super) fn per_second(count: u64, elapsed: Duration) -> u64 {
    let nanoseconds = elapsed.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX)
}

/// Where to send, over how many connections, for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The server.
    pub(super) target: SocketAddr,
    /// Connections, one request in flight on each.
    pub(super) connections: usize,
    /// The measured time.
    pub(super) duration: Duration,
    /// The time before it that is not measured.
    pub(super) warm_up: Duration,
}

/// Runs one round; connection `n` sends `requests[n % len]`.
///
/// A runtime of one thread keeps the generator cheap: it shares the machine with what it measures.
///
/// # Errors
/// A connection broke or an answer was not 200.
pub(super) async fn round(shape: Shape, requests: Vec<Request>) -> Outcome<Round> {
    let generator = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        runtime.map_err(Failure::during("starting the load generator"))?.block_on(all(shape, &requests))
    };
    tokio::task::spawn_blocking(generator).await.map_err(Failure::during("the load generator"))?
}

async fn all(shape: Shape, requests: &[Request]) -> Outcome<Round> {
    let watch = Stopwatch::start();
    let connection = |number: usize| one(shape, requests[number % requests.len()].fork(), watch);
    let tasks: Vec<_> = (0..shape.connections).map(|number| tokio::spawn(connection(number))).collect();
    let mut sum = Round { elapsed: shape.duration, ..Round::default() };
    for task in tasks {
        let latency = task.await.map_err(Failure::during("a connection"))??;
        sum.calls += latency.count();
        sum.latency.merge(&latency);
    }
    Ok(sum)
}

async fn one(shape: Shape, mut request: Request, watch: Stopwatch) -> Outcome<Histogram> {
    let mut connection = Connection::open(shape.target).await?;
    let mut latency = Histogram::default();
    let end = shape.warm_up + shape.duration;
    loop {
        let sent = watch.elapsed();
        if sent >= end {
            return connection.every_item_accepted().map(|()| latency);
        }
        let status = connection.call(request.next()).await?;
        let answered = watch.elapsed();
        if status != 200 {
            return Err(Failure::new(format!("the server answered {status}: {}", connection.last_body())));
        }
        if sent >= shape.warm_up && answered < end {
            latency.add(answered.saturating_sub(sent));
        }
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The last answer's body within the buffer.
    body: std::ops::Range<usize>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nothing listens there.
    pub(super) async fn open(target: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(target).await.map_err(Failure::during(format!("connecting to {target}")))?;
        stream.set_nodelay(true).map_err(Failure::during("setting TCP_NODELAY"))?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024), body: 0..0 })
    }

    /// Sends one request and reads the whole answer; gives its status.
    ///
    /// # Errors
    /// The connection broke or the answer has no length.
    pub(super) async fn call(&mut self, request: &[u8]) -> Outcome<u16> {
        self.stream.write_all(request).await.map_err(Failure::during("sending"))?;
        self.buffer.clear();
        let mut searched = 0;
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(Failure::during("receiving"))?;
            if read == 0 {
                return Err(Failure::new("the server closed the connection"));
            }
            let found = self.buffer[searched..].windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(at) = found {
                return self.rest(searched + at + 4).await;
            }
            searched = self.buffer.len().saturating_sub(3);
        }
    }

    async fn rest(&mut self, head_length: usize) -> Outcome<u16> {
        let (status, body_length) = head(&self.buffer[..head_length])?;
        let total = head_length + body_length;
        while self.buffer.len() < total {
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(Failure::during("receiving"))?;
            if read == 0 {
                return Err(Failure::new("the server closed the connection inside an answer"));
            }
        }
        self.body = head_length..total;
        Ok(status)
    }

    /// A batch answers 200 whatever became of its events: those of the last answer must all have been counted.
    fn every_item_accepted(&self) -> Outcome {
        let body = self.last_body();
        match ["\"denied\"", "\"invalid\""].iter().find(|word| body.contains(**word)) {
            Some(word) => Err(Failure::new(format!("an event of the last batch is {word}: {body:.500}"))),
            None => Ok(()),
        }
    }

    /// The last answer's body as text.
    #[must_use]
    pub(super) fn last_body(&self) -> String {
        String::from_utf8_lossy(&self.buffer[self.body.clone()]).into_owned()
    }
}

/// Status and body length of an answer.
fn head(bytes: &[u8]) -> Outcome<(u16, usize)> {
    const LENGTH: &[u8] = b"content-length:";
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<usize>().ok());
    let status = bytes.get(9..12).and_then(number).and_then(|status| u16::try_from(status).ok());
    let length = bytes.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(LENGTH.len())?;
        if name.eq_ignore_ascii_case(LENGTH) { number(value) } else { None }
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok((status, length)),
        _ => Err(Failure::new("an answer without a status or a length")),
    }
}

#[cfg(test)]
mod tests {
    use super::{head, per_second};
    use std::time::Duration;

    #[test]
    fn status_and_length_are_read_whatever_the_case() {
        let answer = b"HTTP/1.1 429 Too Many Requests\r\ndate: x\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(head(answer).expect("a whole head"), (429, 12));
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn rates_are_per_second() {
        assert_eq!(per_second(300, Duration::from_millis(1_500)), 200);
        assert_eq!(per_second(0, Duration::ZERO), 0);
    }
}
