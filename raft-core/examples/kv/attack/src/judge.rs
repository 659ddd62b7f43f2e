//! Gathers what clients saw, and judges it: while the attack runs, and all of it at the end.

use crate::client::{Answer, Client};
use crate::dice::Dice;
use crate::history::{Action, Operation, is_linearizable};
use crate::lock;
use crate::scene::Scene;
use crate::tally::Count;
use crate::workload::{CLIENTS, LONGEST_PATIENCE, Seen, found, is_tape, last_on};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// What clients saw.
#[derive(Debug, Default)]
pub struct Judge {
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    histories: BTreeMap<String, History>,
    /// What was acknowledged, in this order.
    ledger: Vec<(String, u64)>,
    /// The last number of each tape that was.
    tapes: BTreeMap<String, u64>,
    /// In which epoch each client is.
    epochs: BTreeMap<u64, u64>,
}

#[derive(Debug, Default)]
struct History {
    epoch: u64,
    is_judged: bool,
    operations: Vec<Operation>,
}

impl Judge {
    /// Hears the clients until the last one has ended; judges a key when nobody uses it any more.
    pub fn hear(&self, scene: &Scene, seed: u64, clients: &Receiver<Seen>) {
        let (client, mut dice) = (Client::new(LONGEST_PATIENCE), Dice::beside(seed, 2000));
        let mut judged = Instant::now();
        loop {
            match clients.recv_timeout(Duration::from_millis(100)) {
                Ok(what) => self.take(what),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !scene.is_over() && judged.elapsed() > Duration::from_millis(300) {
                judged = Instant::now();
                self.judge_the_left(scene, &client, &mut dice);
            }
        }
    }

    fn take(&self, seen: Seen) {
        let mut records = lock(&self.records);
        match seen {
            Seen::Did { epoch, key, operation } => {
                let history = records.histories.entry(key).or_default();
                history.epoch = epoch;
                history.operations.push(operation);
            }
            Seen::Left { client, epoch } => _ = records.epochs.insert(client, epoch),
            Seen::Listed { key, value } if is_tape(&key) => {
                _ = records.tapes.insert(key, value);
            }
            Seen::Listed { key, value } => records.ledger.push((key, value)),
        }
    }

    /// The keys that every client has left and that are not judged yet.
    fn left(&self) -> Vec<String> {
        let records = lock(&self.records);
        if (records.epochs.len() as u64) < CLIENTS {
            return Vec::new();
        }
        let least = records.epochs.values().min().copied().unwrap_or(0);
        let is_left = |history: &History| !history.is_judged && history.epoch < least;
        let left = records.histories.iter().filter(|(_, history)| is_left(history));
        left.map(|(key, _)| key.clone()).take(6).collect()
    }

    /// Judges the keys that were left, after one more read.
    fn judge_the_left(&self, scene: &Scene, client: &Client, dice: &mut Dice) {
        for key in self.left() {
            let read = dice.pick(&scene.up()).and_then(|id| read_at(scene, client, id, &key));
            let operations = {
                let mut records = lock(&self.records);
                let history = records.histories.get_mut(&key).expect("nobody removes one");
                history.is_judged = true;
                history.operations.extend(read);
                history.operations.clone()
            };
            scene.tally.add(Count::Judged, 1);
            judge(scene, &key, &operations);
        }
    }

    /// Entries of the ledger: the newest, and some of all; and some tapes.
    pub fn sample(&self, newest: usize, of_all: usize, dice: &mut Dice) -> Vec<(String, u64)> {
        let records = lock(&self.records);
        let ledger = &records.ledger;
        let mut sample = ledger[ledger.len().saturating_sub(newest)..].to_vec();
        for _ in 0..of_all.min(ledger.len()) {
            let nth = usize::try_from(dice.below(ledger.len() as u64)).unwrap_or(0);
            sample.push(ledger[nth].clone());
        }
        let mut tapes: Vec<_> = records.tapes.clone().into_iter().collect();
        dice.shuffle(&mut tapes);
        sample.extend(tapes.into_iter().take(of_all));
        sample
    }

    /// Judges all, with what is found at each of these nodes now. Nothing is written any more.
    pub fn judge_all(&self, scene: &Scene, members: &[u64]) {
        let records = &mut *lock(&self.records);
        let mut work: Vec<_> = records.histories.iter_mut().collect();
        let share = work.len().div_ceil(4).max(1);
        thread::scope(|scope| {
            for part in work.chunks_mut(share) {
                scope.spawn(move || {
                    let client = Client::new(LONGEST_PATIENCE);
                    for (key, history) in part {
                        for id in members {
                            // Between two times a leader may be elected.
                            let read = (0..3).find_map(|nth| {
                                thread::sleep(Duration::from_secs(nth));
                                read_at(scene, &client, *id, key)
                            });
                            if read.is_none() {
                                let what = format!("node {id} does not say what {key} is");
                                scene.fault(what, "three times in the calm".into());
                                return;
                            }
                            history.operations.extend(read);
                        }
                        scene.tally.add(Count::JudgedAtEnd, 1);
                        judge(scene, key, &history.operations);
                    }
                });
            }
        });
    }

    /// The whole ledger, and every tape.
    pub fn ledger(&self) -> Vec<(String, u64)> {
        let records = lock(&self.records);
        records.ledger.iter().cloned().chain(records.tapes.clone()).collect()
    }
}

/// Looks for these entries of the ledger in the state machine of a node, which has applied what was
/// acknowledged. Whether it has answered for all of them.
pub fn look_up(scene: &Scene, client: &Client, id: u64, entries: &[(String, u64)]) -> bool {
    for (key, value) in entries {
        let url = scene.url(id, &format!("/kv/{key}?consistency=stale"));
        let answer = client.ask(&Method::GET, &url, &[]);
        if let Answer::Said(200, tape) = &answer
            && is_tape(key)
        {
            if last_on(tape).is_none_or(|last| last < *value) {
                let what = format!("{key} has not got every number once");
                let tape = String::from_utf8_lossy(tape);
                scene.fault(what, format!("up to {value} at node {id}: {tape}"));
                return false;
            }
            scene.tally.add(Count::Found, 1);
            continue;
        }
        match found(&answer) {
            Some(Some(found)) if found == *value => scene.tally.add(Count::Found, 1),
            Some(found) => {
                let what = format!("lost: {key} was acknowledged, and node {id} does not have it");
                scene.fault(what, format!("acknowledged: {value}; found: {found:?}"));
                return false;
            }
            None => return false,
        }
    }
    true
}

/// A linearizable read; nothing if the node cannot answer now.
fn read_at(scene: &Scene, client: &Client, id: u64, key: &str) -> Option<Operation> {
    let begun = Instant::now();
    let url = scene.url(id, &format!("/kv/{key}?timeout_ms=2000"));
    let found = found(&client.ask(&Method::GET, &url, &[]))?;
    Some(Operation { action: Action::Read(found), begun, ended: Some(Instant::now()) })
}

fn judge(scene: &Scene, key: &str, operations: &[Operation]) {
    if !is_linearizable(operations) {
        let what = format!("the history of key {key} has no order");
        scene.fault(what, told(operations, scene.begun));
    }
}

/// A history, for people: in the order in which operations began.
pub fn told(operations: &[Operation], start: Instant) -> String {
    let mut sorted: Vec<_> = operations.iter().collect();
    sorted.sort_by_key(|operation| operation.begun);
    let mut text = String::from("      from ms      to ms\n");
    for Operation { action, begun, ended } in sorted {
        let micros = |at: Instant| at.saturating_duration_since(start).as_micros();
        let millis = |at: Instant| format!("{}.{:03}", micros(at) / 1000, micros(at) % 1000);
        let end = ended.map_or("unknown".into(), millis);
        let value = |value: u64| format!("{} (client {})", value, value >> 40);
        let what = match action {
            Action::Write(written) => format!("writes {}", value(*written)),
            Action::Read(Some(found)) => format!("finds  {}", value(*found)),
            Action::Read(None) => "finds  nothing".into(),
        };
        writeln!(text, "{:>13} {end:>10}  {what}", millis(*begun)).expect("it is memory");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Judge, told};
    use crate::dice::Dice;
    use crate::history::{Action, Operation};
    use crate::scene::Scene;
    use crate::tally::Count;
    use crate::workload::{CLIENTS, Seen};
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    fn did(action: Action, from: u64, to: Option<u64>) -> Operation {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        Operation { action, begun: at(from), ended: to.map(at) }
    }

    #[test]
    fn a_history_without_an_order_is_a_fault_that_names_the_key_and_shows_it() {
        let (scene, judge, (seen, heard)) = (Scene::new([].into()), Judge::default(), channel());
        let say = |key: &str, operation| {
            let did = Seen::Did { epoch: 0, key: key.into(), operation };
            seen.send(did).expect("it is heard");
        };
        say("0-1", did(Action::Write(5), 0, Some(1)));
        say("0-1", did(Action::Read(Some(5)), 2, Some(3)));
        say("0-2", did(Action::Write(1 << 40 | 7), 0, Some(1)));
        say("0-2", did(Action::Read(None), 20, Some(30)));
        drop(seen);
        judge.hear(&scene, 1, &heard);
        judge.judge_all(&scene, &[]);
        let faults = scene.faults();
        assert_eq!(scene.tally.of(Count::JudgedAtEnd), 2);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].what.contains("0-2"), "{}", faults[0].what);
        let lines: Vec<_> = faults[0].evidence.lines().collect();
        assert!(lines[1].contains("writes 1099511627783 (client 1)"), "{lines:?}");
        assert!(lines[2].contains("finds  nothing") && scene.is_over(), "{lines:?}");
    }

    #[test]
    fn a_key_is_left_when_the_last_client_has_said_all_that_it_did_there() {
        let (judge, (seen, heard)) = (Judge::default(), channel());
        let operation = did(Action::Write(5), 0, Some(1));
        seen.send(Seen::Did { epoch: 3, key: "3-0".into(), operation }).expect("it is heard");
        for client in 1..CLIENTS {
            seen.send(Seen::Left { client, epoch: 9 }).expect("it is heard");
        }
        let hear = |more: Seen| {
            seen.send(more).expect("it is heard");
            while let Ok(seen) = heard.try_recv() {
                judge.take(seen);
            }
            judge.left()
        };
        assert_eq!(hear(Seen::Left { client: CLIENTS, epoch: 3 }), [""; 0], "it is still there");
        assert_eq!(hear(Seen::Left { client: CLIENTS, epoch: 4 }), ["3-0"]);
    }

    #[test]
    fn of_a_tape_the_last_number_is_looked_for_and_of_the_ledger_everything() {
        let (judge, mut dice) = (Judge::default(), Dice::new(1));
        for (key, value) in [("ledger-1-3", 3), ("tape-1-1", 1), ("tape-1-1", 2)] {
            judge.take(Seen::Listed { key: key.into(), value });
        }
        let all = [("ledger-1-3".to_string(), 3), ("tape-1-1".to_string(), 2)];
        assert_eq!(judge.ledger(), all);
        assert!(judge.sample(1, 1, &mut dice).contains(&all[1]));
    }

    #[test]
    fn what_is_unknown_is_told_as_unknown() {
        let text = told(&[did(Action::Write(3), 4, None)], Instant::now());
        assert!(text.contains("unknown  writes 3 (client 0)"), "{text}");
    }
}
