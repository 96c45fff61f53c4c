//! TXT records, asked of the resolver that the system uses (or of one that the settings name).
//!
//! The operating system's own look-up knows addresses only; a question for texts is one small message each way (RFC 1035), so it is
//! written here rather than with a resolver library. Nothing is cached and nothing but the answer section is believed; answers come
//! from the one server that was asked (a connected socket, a random id and port), and are read within fixed bounds.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// How long one server is waited for, each time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Times a server is asked.
const TRIES: usize = 2;
/// Servers that are asked.
const SERVERS_MAX: usize = 3;
/// Records that are looked at.
const RECORDS_MAX: usize = 64;
/// Steps in one compressed name.
const JUMPS_MAX: usize = 32;
/// The size of answers we take by datagram; longer ones come by stream.
const DATAGRAM_BYTES_MAX: u16 = 1_232;
/// The type of texts.
const TXT: u16 = 16;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a name that can be asked for.
    #[error("not a name that can be asked for")]
    Name,
    /// No resolver answered, or none could.
    #[error("no resolver answered")]
    NoAnswer,
}

/// Who is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Resolver {
    /// Those of `/etc/resolv.conf`.
    #[default]
    System,
    /// This one.
    At(SocketAddr),
}

impl Resolver {
    /// The texts at a name; none when the name or the record does not exist. `id` is random.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn texts(&self, name: &str, id: u16) -> Result<Vec<String>, Error> {
        let question = question(name, id).ok_or(Error::Name)?;
        for server in self.servers().into_iter().take(SERVERS_MAX) {
            for _ in 0..TRIES {
                let asked = tokio::time::timeout(PATIENCE, ask(server, &question)).await;
                if let Ok(Some(texts)) = asked {
                    return Ok(texts);
                }
            }
        }
        Err(Error::NoAnswer)
    }

    fn servers(&self) -> Vec<SocketAddr> {
        match self {
            Resolver::At(address) => vec![*address],
            Resolver::System => {
                let text = std::fs::read_to_string(Path::new("/etc/resolv.conf")).unwrap_or_default();
                let named = named_servers(&text);
                if named.is_empty() { vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))] } else { named }
            }
        }
    }
}

/// `nameserver` lines, as resolv.conf(5) has them.
fn named_servers(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    addresses.filter_map(|word| Some(SocketAddr::from((word.parse::<IpAddr>().ok()?, 53)))).collect()
}

/// One question and its answer; nothing when this server has none for us.
async fn ask(server: SocketAddr, question: &[u8]) -> Option<Vec<String>> {
    let local: SocketAddr = if server.is_ipv4() { "0.0.0.0:0".parse().ok()? } else { "[::]:0".parse().ok()? };
    let socket = UdpSocket::bind(local).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(question).await.ok()?;
    let mut bytes = vec![0; usize::from(DATAGRAM_BYTES_MAX)];
    loop {
        let length = socket.recv(&mut bytes).await.ok()?;
        match read(question, bytes.get(..length)?) {
            Read::Texts(texts) => return Some(texts),
            Read::Cut => return ask_by_stream(server, question).await,
            Read::Failed => return None,
            // Not the answer to this question: the next datagram may be.
            Read::Other => {}
        }
    }
}

async fn ask_by_stream(server: SocketAddr, question: &[u8]) -> Option<Vec<String>> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    let length = u16::try_from(question.len()).ok()?;
    stream.write_all(&length.to_be_bytes()).await.ok()?;
    stream.write_all(question).await.ok()?;
    let mut bytes = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut bytes).await.ok()?;
    match read(question, &bytes) {
        Read::Texts(texts) => Some(texts),
        Read::Cut | Read::Failed | Read::Other => None,
    }
}

/// The message that asks for the texts at a name, with recursion, and says how long an answer may be.
fn question(name: &str, id: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    for number in [id, 0x0100, 1, 0, 0, 1] {
        message.extend(number.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    message.push(0);
    if message.len() > 12 + 255 {
        return None;
    }
    message.extend(TXT.to_be_bytes());
    message.extend(1_u16.to_be_bytes());
    message.push(0);
    message.extend(41_u16.to_be_bytes());
    message.extend(DATAGRAM_BYTES_MAX.to_be_bytes());
    message.extend([0; 6]);
    Some(message)
}

/// What a message is to us.
enum Read {
    Texts(Vec<String>),
    /// It did not fit into a datagram.
    Cut,
    /// The server cannot say.
    Failed,
    /// Not an answer to this question.
    Other,
}

fn read(question: &[u8], answer: &[u8]) -> Read {
    let mut bytes = Bytes { all: answer, at: 0 };
    let header: Option<Vec<u16>> = (0..6).map(|_| bytes.number()).collect();
    let Some([id, flags, questions, answers, ..]) = header.as_deref() else { return Read::Other };
    let asked = question.get(12..question.len() - 11).unwrap_or_default();
    let same = *questions == 1 && answer.get(12..12 + asked.len()).is_some_and(|said| said.eq_ignore_ascii_case(asked));
    if question.get(..2) != Some(id.to_be_bytes().as_slice()) || flags & 0x8000 == 0 || !same {
        return Read::Other;
    }
    if flags & 0x0200 != 0 {
        return Read::Cut;
    }
    match flags & 0x000f {
        0 => {}
        3 => return Read::Texts(Vec::new()),
        _ => return Read::Failed,
    }
    bytes.at = 12 + asked.len();
    let mut texts = Vec::new();
    for _ in 0..usize::from(*answers).min(RECORDS_MAX) {
        match bytes.record() {
            Some((TXT, data)) => texts.extend(text_of(data)),
            Some(_) => {}
            None => return Read::Failed,
        }
    }
    Read::Texts(texts)
}

/// The strings of a text record, joined.
fn text_of(mut data: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (part, rest) = rest.split_at_checked(usize::from(*length))?;
        text.extend_from_slice(part);
        data = rest;
    }
    String::from_utf8(text).ok()
}

/// A message that is read from front to back.
struct Bytes<'b> {
    all: &'b [u8],
    at: usize,
}

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let taken = self.all.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).and_then(|pair| pair.try_into().ok()).map(u16::from_be_bytes)
    }

    /// Type and data of the next record.
    fn record(&mut self) -> Option<(u16, &'b [u8])> {
        self.skip_name()?;
        let (kind, _class) = (self.number()?, self.number()?);
        self.take(4)?;
        let length = self.number()?;
        Some((kind, self.take(usize::from(length))?))
    }

    /// A name ends at an empty label or at a pointer to an earlier one, which need not be followed.
    fn skip_name(&mut self) -> Option<()> {
        for _ in 0..JUMPS_MAX * 4 {
            match self.take(1)?.first()? {
                0 => return Some(()),
                length if length & 0xc0 == 0xc0 => return self.take(1).map(|_| ()),
                length if length & 0xc0 == 0 => self.take(usize::from(*length)).map(|_| ())?,
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Read, named_servers, question, read};

    /// An answer to `question` with these records after it.
    fn answer(question: &[u8], flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question[..2].to_vec();
        for number in [flags, 1, u16::try_from(records.len()).unwrap(), 0, 0] {
            message.extend(number.to_be_bytes());
        }
        message.extend(&question[12..question.len() - 11]);
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(*data);
        }
        message
    }

    fn texts(question: &[u8], answer: &[u8]) -> Option<Vec<String>> {
        match read(question, answer) {
            Read::Texts(texts) => Some(texts),
            Read::Cut | Read::Failed | Read::Other => None,
        }
    }

    #[test]
    fn texts_are_read_out_of_an_answer_to_this_very_question() {
        let asked = question("_tollgate.Shop.example.", 7).unwrap();
        let records: [(u16, &[u8]); 3] = [(5, b"\x01a\x00"), (16, b"\x03abc\x02de"), (16, b"\x01x")];
        let good = answer(&asked, 0x8180, &records);
        assert_eq!(texts(&asked, &good).unwrap(), ["abcde", "x"]);
        assert_eq!(texts(&asked, &answer(&asked, 0x8183, &[])).unwrap().len(), 0, "there is no such name");
        assert!(matches!(read(&asked, &answer(&asked, 0x8182, &[])), Read::Failed));
        assert!(matches!(read(&asked, &answer(&asked, 0x8380, &[])), Read::Cut));
        assert!(matches!(read(&asked, &asked), Read::Other), "a question is no answer");
        let other = question("_tollgate.shop.example", 8).unwrap();
        assert!(matches!(read(&other, &good), Read::Other), "another id");
        let other = question("_tollgate.evil.example", 7).unwrap();
        assert!(matches!(read(&other, &good), Read::Other), "another name");
    }

    #[test]
    fn no_bytes_make_the_reader_fall() {
        let asked = question("a.example", 1).unwrap();
        let good = answer(&asked, 0x8180, &[(16, b"\x03abc"), (16, b"\xffabc")]);
        for length in 0..good.len() {
            let _ = read(&asked, &good[..length]);
        }
        for place in 0..good.len() {
            for byte in [0, 0x3f, 0x40, 0xc0, 0xff] {
                let mut bent = good.clone();
                bent[place] = byte;
                let _ = read(&asked, &bent);
            }
        }
    }

    #[test]
    fn only_names_of_labels_can_be_asked_for() {
        for bad in ["", ".", "a..b", &"a".repeat(64), &["abcdefgh"; 40].join(".")] {
            assert!(question(bad, 1).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_systems_resolvers_are_those_it_names() {
        let found = named_servers(
            "# nameserver 10.0.0.9\nsearch x\nnameserver 10.0.0.1\nnameserver 2001:db8::1 # b\nnameserver bad\n",
        );
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[2001:db8::1]:53"]);
    }
}
