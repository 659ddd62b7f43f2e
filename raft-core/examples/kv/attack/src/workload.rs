//! Clients: they write values that nobody else writes, and read, at any node, with little patience.
//!
//! Two kinds of keys. Those of *histories* are written and read by all clients, for a short time,
//! and then left: so a history is short, and is searched for an order. Those of the *ledger* are
//! written once, by one client: what was acknowledged there must be found at every member for ever.
//!
//! A *tape* belongs to one client, which adds one number after the other to its end, in a session,
//! and asks again until it knows that it is done. So every number has to be there once, in order.
//! The answer says how long the tape is then, and has to be the same whenever it is given.

use crate::client::{Answer, Client};
use crate::dice::Dice;
use crate::history::{Action, LONGEST, Operation, Value};
use crate::scene::Scene;
use crate::tally::Count;
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// How many clients there are.
pub const CLIENTS: u64 = 6;
/// How many keys have histories at once.
const KEYS: u64 = 3;
/// Keys are left for new ones after so long, and a client leaves one earlier that it has used so
/// often; room is left for what is read at the end.
pub const EPOCH: Duration = Duration::from_millis(700);
const OFTEN: u32 = 20;
const _: () = assert!(OFTEN as u64 * CLIENTS + 8 <= LONGEST as u64);
/// How long a client waits for an answer at most.
pub const LONGEST_PATIENCE: Duration = Duration::from_millis(3500);
const AFTER_REFUSAL: Duration = Duration::from_millis(15);
const DEADLINES_MS: [u64; 4] = [60, 200, 800, 2000];

/// What a client did.
#[derive(Debug)]
pub enum Seen {
    /// To a key with a history.
    Did {
        /// In which epoch it is used.
        epoch: u64,
        /// The key.
        key: String,
        /// What.
        operation: Operation,
    },
    /// It has left the epochs before this one: all that it did there has been said.
    Left {
        /// Who.
        client: u64,
        /// The epoch in which it is now.
        epoch: u64,
    },
    /// A write to the ledger that was acknowledged.
    Listed {
        /// The key.
        key: String,
        /// Its value.
        value: u64,
    },
}

/// One client, until the attack is over.
#[derive(Debug)]
pub struct Worker<'a> {
    scene: &'a Scene,
    client: Client,
    dice: Dice,
    name: u64,
    turn: u64,
    used: BTreeMap<String, u32>,
    tape: Option<Tape>,
    /// How many tapes it has begun.
    tapes: u64,
    told: Sender<Seen>,
}

/// What a client adds to, in a session of its own.
#[derive(Debug)]
struct Tape {
    key: String,
    session: String,
    /// The last number that is known to be there.
    last: u64,
    /// How long it is then, in bytes.
    length: u64,
}

/// A tape that is so long is left for a new one, and a new session.
const TAPE: u64 = 60;

/// A number, as it is added.
fn added(number: u64) -> String {
    format!(" {number}")
}

/// The last number on a tape, if every number up to it is there once and in order.
pub fn last_on(tape: &[u8]) -> Option<u64> {
    let tape = String::from_utf8_lossy(tape);
    let last = tape.split_whitespace().count() as u64;
    (tape == (1..=last).map(added).collect::<String>()).then_some(last)
}

/// Whether a key is that of a tape.
pub fn is_tape(key: &str) -> bool {
    key.starts_with("tape-")
}

/// A value as it is stored: some are longer, so that logs and snapshots grow.
fn text_of(value: u64, dice: &mut Dice) -> String {
    let length = if dice.happens(50) { dice.between(200, 3000) } else { dice.below(60) };
    format!("{value} {}", ".".repeat(usize::try_from(length).unwrap_or(0)))
}

/// The value in what was found. Text that nobody has written is a value that nobody has written.
pub fn value_of(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    text.split(' ').next().and_then(|value| value.parse().ok()).unwrap_or(u64::MAX)
}

impl<'a> Worker<'a> {
    /// The client of this name, from 1.
    pub fn new(scene: &'a Scene, seed: u64, name: u64, told: Sender<Seen>) -> Self {
        let client = Client::new(LONGEST_PATIENCE);
        let dice = Dice::beside(seed, 1000 + name);
        let (turn, used, tape, tapes) = Default::default();
        Self { scene, client, dice, name, turn, used, tape, tapes, told }
    }

    /// Works.
    pub fn work(mut self) {
        let mut last = None;
        while !self.scene.is_over() {
            let epoch = self.scene.begun.elapsed().as_millis() / EPOCH.as_millis();
            let epoch = u64::try_from(epoch).unwrap_or(0);
            if last.replace(epoch) != Some(epoch) {
                _ = self.told.send(Seen::Left { client: self.name, epoch });
            }
            self.turn += 1;
            let pause = self.dice.below(12);
            sleep(Duration::from_millis(pause));
            if self.turn.is_multiple_of(12) {
                self.list();
            } else if self.turn.is_multiple_of(4) {
                self.add();
            } else {
                self.use_a_key(epoch);
            }
        }
    }

    fn url(&mut self, path: &str) -> String {
        let id = self.dice.pick(&self.scene.ids()).unwrap_or(1);
        let patience = self.dice.pick(&DEADLINES_MS).unwrap_or(200);
        self.scene.url(id, &format!("{path}timeout_ms={patience}"))
    }

    /// A value that nobody else writes.
    fn value(&self) -> u64 {
        self.name << 40 | self.turn
    }

    fn list(&mut self) {
        let (key, value) = (format!("ledger-{}-{}", self.name, self.turn), self.value());
        let url = self.url(&format!("/kv/{key}?"));
        let text = text_of(value, &mut self.dice);
        if self.counted(&self.client.ask(&Method::PUT, &url, text.as_bytes())) == Some(true) {
            _ = self.told.send(Seen::Listed { key, value });
        }
    }

    /// A tape in an open session.
    fn tape(&mut self) -> Option<Tape> {
        if let Some(tape) = self.tape.take().filter(|tape| tape.last < TAPE) {
            return Some(tape);
        }
        let url = self.url("/sessions?");
        let Answer::Said(200, said) = self.client.ask(&Method::POST, &url, &[]) else {
            return None;
        };
        let said: serde_json::Value = serde_json::from_slice(&said).ok()?;
        self.tapes += 1;
        let (key, session) =
            (format!("tape-{}-{}", self.name, self.tapes), said["session"].to_string());
        Some(Tape { key, session, last: 0, length: 0 })
    }

    /// Adds the next number to the tape, and asks until it knows that it is there. It need not come
    /// to know while the attack ends.
    fn add(&mut self) {
        let Some(Tape { key, session, last, length }) = self.tape() else { return };
        let number = last + 1;
        let (more, length) = (added(number), length + added(number).len() as u64);
        // Now and then it says that it does not know what it has been told.
        let mut again = u32::from(self.dice.happens(150));
        loop {
            let url = self.url(&format!("/kv/{key}?"));
            let (number, received) = (number.to_string(), last.to_string());
            let headers =
                [("kv-session", &session[..]), ("kv-number", &number), ("kv-received", &received)];
            let answer = self.client.ask_with(&Method::POST, &url, &headers, more.as_bytes());
            match &answer {
                Answer::Said(200, said) => {
                    let said: serde_json::Value = serde_json::from_slice(said).unwrap_or_default();
                    if said["length"].as_u64() != Some(length) {
                        let what = format!("{key} has not got every number once");
                        self.scene.fault(what, format!("with {number}: {said}, not {length}"));
                        return;
                    }
                    if again == 0 {
                        break;
                    }
                    again -= 1;
                }
                Answer::Said(code @ (400 | 409 | 410), said) => {
                    let said = String::from_utf8_lossy(said);
                    let what = format!("the session of {key} is not what it was");
                    self.scene.fault(what, format!("number {number}: {code} {said}"));
                    return;
                }
                answer => {
                    let is_unknown = !answer.is_refused();
                    let count = if is_unknown { Count::Unknown } else { Count::Refused };
                    self.scene.tally.add(count, 1);
                    sleep(AFTER_REFUSAL);
                }
            }
            self.scene.tally.add(Count::Again, 1);
            if self.scene.is_over() {
                return;
            }
        }
        self.scene.tally.acknowledged();
        self.scene.tally.add(Count::Taped, 1);
        _ = self.told.send(Seen::Listed { key: key.clone(), value: number });
        self.tape = Some(Tape { key, session, last: number, length });
    }

    fn use_a_key(&mut self, epoch: u64) {
        let key = format!("{epoch}-{}", self.dice.below(KEYS));
        let used = self.used.entry(key.clone()).or_default();
        *used += 1;
        if *used > OFTEN {
            return;
        }
        if used == &1 {
            self.used.retain(|used, _| used.starts_with(&format!("{epoch}-")));
        }
        let begun = Instant::now();
        let (action, is_known) = if self.dice.happens(500) {
            let value = self.value();
            let url = self.url(&format!("/kv/{key}?"));
            let text = text_of(value, &mut self.dice);
            let answer = self.client.ask(&Method::PUT, &url, text.as_bytes());
            let Some(is_known) = self.counted(&answer) else { return };
            (Action::Write(value), is_known)
        } else {
            let Some(found) = self.read(&key) else { return };
            (Action::Read(found), true)
        };
        let ended = is_known.then(Instant::now);
        let operation = Operation { action, begun, ended };
        _ = self.told.send(Seen::Did { epoch, key, operation });
    }

    fn read(&mut self, key: &str) -> Option<Value> {
        let by_lease = self.dice.happens(500);
        let how = if by_lease { "lease" } else { "index" };
        let url = self.url(&format!("/kv/{key}?consistency={how}&"));
        let found = found(&self.client.ask(&Method::GET, &url, &[]));
        let count = match (found, by_lease) {
            (None, _) => Count::Refused,
            (_, true) => Count::ReadLease,
            (_, false) => Count::ReadIndex,
        };
        self.scene.tally.add(count, 1);
        found
    }

    /// Whether a write is done: yes, unknown (`false`), or certainly not.
    fn counted(&self, answer: &Answer) -> Option<bool> {
        let tally = &self.scene.tally;
        if answer.is_refused() {
            tally.add(Count::Refused, 1);
            sleep(AFTER_REFUSAL);
            return None;
        }
        let is_done = answer.code() == 200;
        if is_done {
            tally.acknowledged();
        } else {
            tally.add(Count::Unknown, 1);
        }
        Some(is_done)
    }
}

/// What a read found, if it found out.
pub fn found(answer: &Answer) -> Option<Value> {
    match answer {
        Answer::Said(200, text) => Some(Some(value_of(text))),
        Answer::Said(404, _) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{added, found, last_on, text_of, value_of};
    use crate::client::Answer;
    use crate::dice::Dice;

    #[test]
    fn a_tape_has_every_number_once_and_in_order() {
        let of = |numbers: &[u64]| {
            let tape: String = numbers.iter().map(|number| added(*number)).collect();
            last_on(tape.as_bytes())
        };
        assert_eq!((of(&[]), of(&[1, 2, 3])), (Some(0), Some(3)));
        for wrong in [&[1, 2, 2][..], &[1, 3], &[2, 1], &[1, 2, 1]] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        assert_eq!(last_on(b" 1 2  3"), None);
    }

    #[test]
    fn a_value_comes_back_from_its_text_and_any_other_text_is_nobodys() {
        let mut dice = Dice::new(1);
        for value in 0..100 {
            assert_eq!(value_of(text_of(value << 40, &mut dice).as_bytes()), value << 40);
        }
        assert_eq!(value_of(b"torn"), u64::MAX);
        assert_eq!(found(&Answer::Said(200, b"7 ..".to_vec())), Some(Some(7)));
        assert_eq!(found(&Answer::Said(404, Vec::new())), Some(None));
        assert_eq!(found(&Answer::Said(503, Vec::new())), None);
        assert_eq!(found(&Answer::Unknown), None);
    }
}
