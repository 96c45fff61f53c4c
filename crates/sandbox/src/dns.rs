//! A name server stand-in that knows texts only: for tests of what is proven by TXT records. Speaks RFC 1035 by datagram and by stream.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// Texts longer than this are cut in a datagram, so that whoever asks must come again by stream.
const DATAGRAM_BYTES_MAX: usize = 512;

type Texts = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// A running server; it ends with the value.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    texts: Texts,
    running: [JoinHandle<()>; 2],
}

impl NameServer {
    /// Starts on loopback, with nothing to tell.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start() -> std::io::Result<NameServer> {
        let stream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = stream.local_addr()?;
        let datagrams = UdpSocket::bind(address).await?;
        let texts = Texts::default();
        let running = [
            tokio::spawn(serve_datagrams(datagrams, Arc::clone(&texts))),
            tokio::spawn(serve_streams(stream, Arc::clone(&texts))),
        ];
        Ok(NameServer { address, texts, running })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets a name have these texts.
    pub fn set(&self, name: &str, texts: &[&str]) {
        let mut known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_ascii_lowercase(), texts.iter().map(|text| (*text).to_owned()).collect());
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        for task in &self.running {
            task.abort();
        }
    }
}

async fn serve_datagrams(socket: UdpSocket, texts: Texts) {
    let mut bytes = [0; 1_500];
    while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
        let Some(answer) = bytes.get(..length).and_then(|question| answer(question, &texts, DATAGRAM_BYTES_MAX)) else {
            continue;
        };
        if let Err(error) = socket.send_to(&answer, from).await {
            tracing::debug!(%error, "an answer about a name was not sent");
        }
    }
}

async fn serve_streams(listener: TcpListener, texts: Texts) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Ok(length) = stream.read_u16().await else { continue };
        let mut question = vec![0; usize::from(length)];
        if stream.read_exact(&mut question).await.is_err() {
            continue;
        }
        let Some(answer) = answer(&question, &texts, usize::from(u16::MAX)) else { continue };
        let Ok(length) = u16::try_from(answer.len()) else { continue };
        let told = [length.to_be_bytes().as_slice(), &answer].concat();
        if let Err(error) = stream.write_all(&told).await {
            tracing::debug!(%error, "an answer about a name was not sent");
        }
    }
}

fn answer(question: &[u8], texts: &Texts, bytes_max: usize) -> Option<Vec<u8>> {
    let (name, asked) = name_of(question.get(12..)?)?;
    let asked = question.get(12..12 + asked + 4)?;
    let known = texts.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    let records: Vec<Vec<u8>> = known.iter().flatten().filter_map(|text| record(text)).collect();
    let whole = 12 + asked.len() + records.iter().map(Vec::len).sum::<usize>() <= bytes_max;
    let shown: &[Vec<u8>] = if whole { &records } else { &[] };
    let flags: u16 = 0x8180 | if known.is_none() { 3 } else { 0 } | if whole { 0 } else { 0x0200 };
    let mut message = question.get(..2)?.to_vec();
    for number in [flags, 1, u16::try_from(shown.len()).ok()?, 0, 0] {
        message.extend(number.to_be_bytes());
    }
    message.extend(asked);
    message.extend(shown.concat());
    Some(message)
}

/// A name and how many bytes it took.
fn name_of(bytes: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8(bytes.get(at..at + length)?.to_ascii_lowercase()).ok()?);
        at += length;
    }
}

/// A text record of the name that was asked for, for a minute; long texts in several strings.
fn record(text: &str) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for part in text.as_bytes().chunks(255) {
        data.push(u8::try_from(part.len()).ok()?);
        data.extend(part);
    }
    let mut record = vec![0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60];
    record.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    record.extend(data);
    Some(record)
}
