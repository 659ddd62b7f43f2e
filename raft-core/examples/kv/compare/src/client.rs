//! Clients in a closed loop: each has one connection, and asks again when it is answered.
//!
//! All of them live on one thread, and say no more HTTP than they need: so the load costs the
//! machine little beside the servers.

use crate::Failure;
use crate::numbers::quantile;
use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many keys there are.
pub(crate) const KEYS: u64 = 1000;
/// The bytes of a value.
pub(crate) const VALUE: usize = 100;
/// An answer that takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    Write { bytes: usize },
    ReadIndex,
    ReadLease,
}

/// What came of a load.
#[derive(Clone, Default, Debug)]
pub(crate) struct Answered {
    /// How many requests were answered in its time.
    pub(crate) count: u64,
    /// Its time, in nanoseconds.
    pub(crate) nanos: u64,
    /// The median latency, in nanoseconds.
    pub(crate) median: u64,
    /// The latency that one request in a hundred exceeds.
    pub(crate) high: u64,
    /// The highest latency.
    pub(crate) highest: u64,
}

impl Answered {
    pub(crate) fn of(mut latencies: Vec<u64>, time: Duration) -> Self {
        latencies.sort_unstable();
        Self {
            count: latencies.len() as u64,
            nanos: nanos(time),
            median: quantile(&latencies, 500),
            high: quantile(&latencies, 990),
            highest: latencies.last().copied().unwrap_or(0),
        }
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A runtime of one thread.
///
/// # Errors
///
/// As the system says.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// So many clients ask a node for so long. Whoever is under way at the end is waited for, and not
/// counted.
///
/// # Errors
///
/// Anything but success was said to one of them.
pub(crate) async fn load(
    address: &str,
    clients: u64,
    ask: Ask,
    time: Duration,
) -> Result<Answered, Failure> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::new(address).await?);
    }
    let end = Instant::now() + time;
    let mut all = JoinSet::new();
    for (client, connection) in (0..clients).zip(connections) {
        all.spawn(ask_while(connection, client * 7919, ask, move || Instant::now() <= end));
    }
    let mut latencies = Vec::new();
    while let Some(one) = all.join_next().await {
        latencies.extend(one??);
    }
    Ok(Answered::of(latencies, time))
}

/// One client asks for as long as this holds, judged at each answer. The latency of each answer
/// that came in this time.
///
/// # Errors
///
/// Anything but success was said to it.
pub(crate) async fn ask_while(
    mut connection: Connection,
    first: u64,
    ask: Ask,
    holds: impl Fn() -> bool,
) -> Result<Vec<u64>, Error> {
    let (mut latencies, mut request) = (Vec::new(), Vec::new());
    for turn in first.. {
        request.clear();
        ask.write(turn, &mut request);
        let asked = Instant::now();
        let body = connection.ask(&request).await?;
        let took = asked.elapsed();
        if !ask.accepts(body) {
            return Err(Error::other("a read has not found what was written"));
        }
        if !holds() {
            break;
        }
        latencies.push(nanos(took));
    }
    Ok(latencies)
}

/// Writes every key once, by several clients.
///
/// # Errors
///
/// Anything but success was said to one of them.
pub(crate) async fn fill(address: &str) -> Result<(), Failure> {
    let (clients, mut all) = (50, JoinSet::new());
    for client in 0..clients {
        let mut connection = Connection::new(address).await?;
        all.spawn(async move {
            for key in (client..KEYS).step_by(50) {
                let mut request = Vec::new();
                Ask::Write { bytes: VALUE }.write(key, &mut request);
                connection.ask(&request).await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(one) = all.join_next().await {
        one??;
    }
    Ok(())
}

impl Ask {
    /// The request, for one of the keys.
    pub(crate) fn write(self, turn: u64, out: &mut Vec<u8>) {
        let key = turn % KEYS;
        let head = |rest: &str| format!("{rest} HTTP/1.1\r\nhost: kv\r\n");
        match self {
            Self::Write { bytes } => {
                out.extend(head(&format!("PUT /kv/key-{key:06}")).as_bytes());
                out.extend(format!("content-length: {bytes}\r\n\r\n").as_bytes());
                out.resize(out.len() + bytes, b'v');
            }
            Self::ReadIndex => out.extend(head(&format!("GET /kv/key-{key:06}")).as_bytes()),
            Self::ReadLease => {
                out.extend(head(&format!("GET /kv/key-{key:06}?consistency=lease")).as_bytes());
            }
        }
        if !matches!(self, Self::Write { .. }) {
            out.extend(b"\r\n");
        }
    }

    /// Whether this answers it: every key was written before it is read.
    fn accepts(self, body: &[u8]) -> bool {
        matches!(self, Self::Write { .. }) || body == [b'v'; VALUE]
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// To this host and port.
    ///
    /// # Errors
    ///
    /// Nobody is there.
    pub(crate) async fn new(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// The body of the answer.
    ///
    /// # Errors
    ///
    /// It is not a success, or none came.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<&[u8], Error> {
        timeout(PATIENCE, self.exchange(request)).await??;
        let head = Head::parse(&self.read)?.ok_or(ErrorKind::UnexpectedEof)?;
        let body = &self.read[head.length..];
        if head.status == 200 {
            return Ok(body);
        }
        let body = String::from_utf8_lossy(body);
        Err(Error::other(format!("{}: {body}", head.status)))
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<(), Error> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if let Some(head) = Head::parse(&self.read)?
                && self.read.len() >= head.length + head.body
            {
                return Ok(());
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What goes before the body of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Head {
    length: usize,
    status: u16,
    body: usize,
}

impl Head {
    /// None while there is more to come.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some(length) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let wrong = || Error::from(ErrorKind::InvalidData);
        let text = std::str::from_utf8(&bytes[..length]).map_err(|_| wrong())?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let (status, body) = (status.ok_or_else(wrong)?, body.ok_or_else(wrong)?);
        Ok(Some(Self { length: length + 4, status, body }))
    }
}

/// One answer of a node.
///
/// # Errors
///
/// As for [`Connection::ask`].
pub(crate) async fn get(address: &str, path: &str) -> Result<String, Error> {
    let mut connection = Connection::new(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: kv\r\n\r\n");
    let body = connection.ask(request.as_bytes()).await?;
    Ok(String::from_utf8_lossy(body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Answered, Ask, Head, get, load, runtime};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn a_request_says_how_long_it_is_and_what_is_wanted() {
        let text = |ask: Ask| {
            let mut bytes = Vec::new();
            ask.write(1007, &mut bytes);
            String::from_utf8(bytes).expect("text")
        };
        let put = "PUT /kv/key-000007 HTTP/1.1\r\nhost: kv\r\ncontent-length: 3\r\n\r\nvvv";
        assert_eq!(text(Ask::Write { bytes: 3 }), put);
        let get = "GET /kv/key-000007?consistency=lease HTTP/1.1\r\nhost: kv\r\n\r\n";
        assert_eq!(text(Ask::ReadLease), get);
        assert_eq!(text(Ask::ReadIndex), get.replace("?consistency=lease", ""));
        assert!(Ask::ReadIndex.accepts(&[b'v'; 100]) && !Ask::ReadLease.accepts(b"v"));
    }

    #[test]
    fn the_head_of_an_answer_is_read_when_all_of_it_is_there() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\nok";
        let head = Head { length: answer.len() - 2, status: 200, body: 2 };
        for end in 0..answer.len() {
            let read = Head::parse(&answer[..end]).expect("well-formed");
            assert_eq!(read, (end >= head.length).then_some(head));
        }
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "nobody knows where it ends");
        assert!(Head::parse(b"what\r\n\r\n").is_err());
    }

    #[test]
    fn latencies_are_sorted_before_they_are_judged() {
        let answered = Answered::of(vec![5, 1, 3], Duration::from_nanos(10));
        let Answered { count, nanos, median, high, highest } = answered;
        assert_eq!((count, nanos, median, high, highest), (3, 10, 3, 3, 5));
    }

    /// A server that answers each request in two parts, and the second one with a refusal.
    async fn serve(listener: TcpListener, refuses: bool) {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                for turn in 0.. {
                    if stream.read(&mut bytes).await.is_ok_and(|read| read == 0) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    let code = if refuses && turn == 1 { 503 } else { 200 };
                    let head = format!("HTTP/1.1 {code} x\r\ncontent-length: 4\r\n\r\nbo");
                    _ = stream.write_all(head.as_bytes()).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    _ = stream.write_all(b"dy").await;
                }
            });
        }
    }

    #[test]
    fn a_closed_loop_has_one_request_a_client_under_way_and_no_failure_is_passed_over() {
        let time = Duration::from_millis(300);
        for refuses in [false, true] {
            let answered = runtime().expect("room").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("bound").to_string();
                tokio::spawn(serve(listener, refuses));
                assert_eq!(get(&address, "/").await.expect("an answer"), "body", "all of it");
                load(&address, 3, Ask::Write { bytes: 1 }, time).await
            });
            assert_eq!(answered.is_err(), refuses);
            let Ok(answered) = answered else { continue };
            // Three clients, and at least 3 ms for each answer.
            assert!((3..=300).contains(&answered.count), "{answered:?}");
            assert!(answered.median >= 3_000_000, "{answered:?}");
        }
    }
}
