//! Proxies between nodes: each node is known to the others by the address of one.
//!
//! A proxy reads what who dials says first (from whom, to whom, on which lane), and from then on
//! whole frames: by the [`Weather`] each is passed on, lost, doubled, overtaken, held up, or broken
//! off in the middle with its connection. What goes the other way on a connection (the answer to
//! the handshake, whether a snapshot is wanted and was taken) is passed on as it is.
//!
//! Between two nodes that are cut a connection takes frames in and loses them; a new one is closed.

use crate::dice::Dice;
use crate::weather::{Weather, count};
use kv::net::codec::{read_bytes, write_bytes};
use kv::net::handshake::Hello;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How many frames wait behind one that is held up; then TCP makes the sender wait.
const WAITING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);

/// Passes on what is said to the node at this address, for as long as the runtime lives.
///
/// # Errors
///
/// Nobody can listen there.
pub async fn pass_on(at: &str, to: String, weather: Arc<Weather>, seed: u64) -> io::Result<()> {
    let listener = TcpListener::bind(at).await?;
    let connections = AtomicU64::new(0);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let nth = connections.fetch_add(1, Ordering::Relaxed);
            let (to, weather, dice) = (to.clone(), Arc::clone(&weather), Dice::beside(seed, nth));
            tokio::spawn(async move {
                // Whoever dialled sees the end of the connection, as with a network.
                _ = connect(stream, &to, &weather, dice).await;
            });
        }
    });
    Ok(())
}

async fn connect(stream: TcpStream, to: &str, weather: &Weather, dice: Dice) -> io::Result<()> {
    let onward = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    onward.set_nodelay(true)?;
    let ((mut near, mut near_out), (mut far, mut far_out)) =
        (stream.into_split(), onward.into_split());
    let mut bytes = Vec::new();
    let said = timeout(PATIENCE, read_bytes(&mut near, &mut bytes)).await?;
    let is_there = said.map_err(io::Error::other)?;
    let hello = postcard::from_bytes::<Hello>(&bytes).map_err(io::Error::other)?;
    if !is_there || weather.is_cut(hello.from, hello.to) {
        return Ok(());
    }
    write_bytes(&mut far_out, &bytes).await?;
    let (frames, arrived) = mpsc::channel(WAITING);
    let lane = Passing { weather, dice, from: hello.from, to: hello.to, out: far_out };
    // Where one of them ends, the connection ends.
    tokio::select! {
        ended = read(&mut near, frames) => ended,
        ended = lane.pass(arrived) => ended,
        ended = copy(&mut far, &mut near_out) => ended.map(drop),
    }
}

/// A task of its own cares for the frames: a read cannot be given up in the middle.
async fn read(from: &mut OwnedReadHalf, frames: mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut bytes = Vec::new();
    while read_bytes(from, &mut bytes).await.map_err(io::Error::other)? {
        if frames.send(std::mem::take(&mut bytes)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// One lane, in the direction of its frames.
struct Passing<'a> {
    weather: &'a Weather,
    dice: Dice,
    from: u64,
    to: u64,
    out: OwnedWriteHalf,
}

/// A frame that others may overtake.
struct Held {
    until: Instant,
    bytes: Vec<u8>,
    /// It is the second of two.
    again: bool,
    overtaken: bool,
}

impl Passing<'_> {
    async fn pass(mut self, mut frames: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        let mut held = Vec::<Held>::new();
        loop {
            let first = held.iter().map(|held| held.until).min();
            let due = async {
                match first {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = frames.recv() => match frame {
                    Some(bytes) => self.fare(bytes, &mut held).await?,
                    None => return Ok(()),
                },
                () = due => self.let_go(&mut held).await?,
            }
        }
    }

    async fn fare(&mut self, bytes: Vec<u8>, held: &mut Vec<Held>) -> io::Result<()> {
        let (odds, fared) = (self.weather.odds(), &self.weather.fared);
        if self.weather.is_cut(self.from, self.to) {
            count(&fared.cut);
            return Ok(());
        }
        if self.dice.happens(odds.lost) {
            count(&fared.lost);
            return Ok(());
        }
        if self.dice.happens(odds.broken) {
            count(&fared.broken);
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
            self.out.write_all(&length).await?;
            self.out.write_all(&bytes[..bytes.len() / 2]).await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.dice.happens(odds.delayed) {
            count(&fared.delayed);
            sleep(Duration::from_millis(self.dice.between(1, 150))).await;
        }
        let until = Instant::now() + Duration::from_millis(self.dice.between(1, 80));
        if self.dice.happens(odds.reordered) {
            held.push(Held { until, bytes, again: false, overtaken: false });
            return Ok(());
        }
        for one in held.iter_mut() {
            one.overtaken = true;
        }
        write_bytes(&mut self.out, &bytes).await?;
        count(&fared.passed);
        if self.dice.happens(odds.doubled) {
            held.push(Held { until, bytes, again: true, overtaken: false });
        }
        Ok(())
    }

    async fn let_go(&mut self, held: &mut Vec<Held>) -> io::Result<()> {
        let now = Instant::now();
        let due: Vec<_> = held.extract_if(.., |held| held.until <= now).collect();
        for Held { bytes, again, overtaken, .. } in due {
            if self.weather.is_cut(self.from, self.to) {
                count(&self.weather.fared.cut);
                continue;
            }
            write_bytes(&mut self.out, &bytes).await?;
            let fared = &self.weather.fared;
            if again {
                count(&fared.doubled);
            } else {
                count(&fared.passed);
                if overtaken {
                    count(&fared.reordered);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::pass_on;
    use crate::plan::Odds;
    use crate::weather::Weather;
    use kv::address::Address;
    use kv::net::Lane;
    use kv::net::codec::{read_bytes, write_bytes};
    use kv::net::handshake::{Hello, introduce, welcome};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    const FRAMES: u32 = 400;

    /// What arrives of some frames, in this weather; `midway` is done after half of them.
    async fn arrives(weather: &Arc<Weather>, midway: impl Fn()) -> Vec<u32> {
        let node = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = node.local_addr().expect("it has one").to_string();
        let proxy = kv::cluster::free_ports(1).expect("a port")[0];
        let at = format!("127.0.0.1:{proxy}");
        pass_on(&at, to, Arc::clone(weather), 5).await.expect("it listens");
        let heard = tokio::spawn(async move {
            let (mut stream, _) = node.accept().await.expect("somebody dials");
            let hello = welcome(&mut stream, "c", 2).await.expect("it is us");
            assert_eq!((hello.from, hello.lane), (1, Lane::Talk));
            let (mut found, mut bytes) = (Vec::new(), Vec::new());
            let patience = Duration::from_millis(600);
            while let Ok(Ok(true)) = timeout(patience, read_bytes(&mut stream, &mut bytes)).await {
                found.push(u32::from_le_bytes(bytes[..].try_into().expect("four")));
            }
            found
        });
        let mut wire = TcpStream::connect(&at).await.expect("it listens");
        let address = Address { raft: at.clone(), http: at };
        let hello = Hello::new("c".into(), 1, 2, Lane::Talk, address);
        introduce(&mut wire, &hello).await.expect("the answer comes back");
        for frame in 0..FRAMES {
            if frame == FRAMES / 2 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                midway();
            }
            if write_bytes(&mut wire, &frame.to_le_bytes()).await.is_err() {
                break;
            }
        }
        heard.await.expect("it ends")
    }

    #[tokio::test]
    async fn in_fine_weather_all_frames_arrive_once_and_in_order() {
        let weather = Arc::default();
        assert_eq!(arrives(&weather, || {}).await, (0..FRAMES).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn frames_are_lost_doubled_and_reordered_as_often_as_is_counted() {
        let weather = Arc::<Weather>::default();
        weather.set(Odds { lost: 100, doubled: 100, reordered: 100, ..Odds::default() });
        let found = arrives(&weather, || {}).await;
        let fared = &weather.fared;
        let of = |frame: u32| found.iter().filter(|found| **found == frame).count();
        let lost = (0..FRAMES).filter(|frame| of(*frame) == 0).count() as u64;
        let doubled = (0..FRAMES).filter(|frame| of(*frame) == 2).count() as u64;
        assert_eq!(lost, fared.lost.load(Ordering::Relaxed));
        assert_eq!(doubled, fared.doubled.load(Ordering::Relaxed));
        assert!(lost > 10 && doubled > 10, "{lost} {doubled}");
        let reordered = fared.reordered.load(Ordering::Relaxed);
        assert!(reordered > 10 && !found.is_sorted(), "{reordered}");
    }

    #[tokio::test]
    async fn nothing_passes_a_cut_and_the_other_direction_is_another_one() {
        let weather = Arc::<Weather>::default();
        let cut = || weather.cut(&[(1, 2)].into());
        assert_eq!(arrives(&weather, cut).await, (0..FRAMES / 2).collect::<Vec<_>>());
        assert_eq!(weather.fared.cut.load(Ordering::Relaxed), u64::from(FRAMES / 2));
        let weather = Arc::<Weather>::default();
        let other = || weather.cut(&[(2, 1)].into());
        assert_eq!(arrives(&weather, other).await.len(), FRAMES as usize);
    }

    #[tokio::test]
    async fn a_connection_breaks_within_a_frame() {
        let weather = Arc::<Weather>::default();
        let breaks = || weather.set(Odds { broken: 1000, ..Odds::default() });
        assert_eq!(arrives(&weather, breaks).await, (0..FRAMES / 2).collect::<Vec<_>>());
        assert_eq!(weather.fared.broken.load(Ordering::Relaxed), 1);
    }
}
