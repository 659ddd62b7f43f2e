//! A dump of a node that is read back is the node, or is refused. Whatever was done to the dump,
//! what is read keeps all invariants, and no input makes it panic.

#![cfg(feature = "serde")]

mod common;

use common::{S2, S3, Setup, Solo, T, at, joint, ms, says, voters};
use raft_core::types::LIMIT;
use raft_core::{
    Action, Consistency, Envelope, Input, InstallSnapshot, Instant, LogIndex, Membership, Message,
    Node, NodeId, Outcome, Protection, ReadIndexResponse, Snapshot, Term, Token, Verdict,
};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Nodes in every role, with as much in every list as can be.
fn nodes() -> Vec<(&'static str, Node)> {
    let members = || voters(&[1, 2, 3]);
    let read = |token| Input::Read { token: Token(token), consistency: Consistency::ReadIndex };
    let mut follower = Setup::of(members()).log(&[1, 1, 2]).slow_disk().start();
    let _ = follower.hears(S2, 2, says::appends(1, at(2, 3), &[2, 2]));
    let _ = follower.persist();
    let _ = follower.step_all([read(1), read(2)]);
    let _ = follower.step(read(3));
    let _ = follower.hears(S2, 2, says::appends(2, at(2, 5), &[2]));
    let mut asking = Setup::of(members()).log(&[1, 1]).start();
    let _ = asking.step(Input::Campaign);
    let mut candidate =
        Setup::of(members()).log(&[1, 1]).protection(Protection::Plain).slow_disk().start();
    let _ = candidate.step(Input::Campaign);
    let mut voter = Setup::of(members()).log(&[1, 1]).slow_disk().start();
    let _ = voter.hears(S3, 4, says::request_vote(at(1, 2)));
    let mut leader = Solo::leader_of(3);
    let _ = leader.propose(3);
    let _ = leader.step(read(1));
    let _ = leader.step(read(2));
    let target = joint(&[1, 2, 3], &[], &[4]);
    let _ = leader.step(Input::ChangeMembership { token: Token(4), target });
    let mut handing = Solo::leader_of(3);
    let _ = handing.propose(2);
    let _ = handing.step(Input::TransferLeadership { token: Token(5), to: Some(S2) });
    let mut compacted = Solo::leader_of(3);
    let _ = compacted.propose(4);
    let _ = compacted.hears(S2, 1, says::matched(5, None));
    let _ = compacted.step(Input::SnapshotTaken { position: at(1, 4) });
    let _ = compacted.hears(S3, 1, says::mismatched(at(1, 5), &[], None));
    let mut installing = Setup::of(members()).log(&[1, 1]).start();
    let snapshot = Snapshot { position: at(2, 7), membership: members() };
    let _ = installing.hears(S2, 2, Message::InstallSnapshot(InstallSnapshot { snapshot }));
    let restarting = Setup::of(members()).log(&[1, 1, 4]).snapshot(at(3, 2)).start();
    let fresh = Setup::of(Membership::empty()).start();
    [
        ("follower", follower),
        ("pre-candidate", asking),
        ("candidate", candidate),
        ("voter", voter),
        ("leader", leader),
        ("leader that hands over", handing),
        ("leader with a snapshot", compacted),
        ("installing", installing),
        ("restarting", restarting),
        ("fresh", fresh),
    ]
    .map(|(name, solo)| (name, solo.node))
    .to_vec()
}

/// Every value that differs from `value` in one number, or lacks one element of a list.
fn mutations(
    value: &Value,
    found: &mut Vec<(String, Value)>,
    path: &str,
    of: &dyn Fn(Value) -> Value,
) {
    match value {
        Value::Number(number) => {
            let n = number.as_u64().expect("no number is negative or broken");
            let others = [
                0,
                1,
                n.wrapping_sub(1),
                n.wrapping_add(1),
                LIMIT,
                LIMIT + 1,
                u64::MAX - 1,
                u64::MAX,
            ];
            found.extend(others.into_iter().map(|m| (format!("{path} = {m}"), of(m.into()))));
        }
        Value::Bool(is) => found.push((format!("{path} = {}", !is), of((!is).into()))),
        Value::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                let path = format!("{path}[{nth}]");
                let put = |value: Value| {
                    let mut items = items.clone();
                    items[nth] = value;
                    of(Value::Array(items))
                };
                mutations(item, found, &path, &put);
                let mut items = items.clone();
                items.remove(nth);
                found.push((format!("{path} is gone"), of(Value::Array(items))));
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let put = |value: Value| {
                    let mut fields = fields.clone();
                    fields[name] = value;
                    of(Value::Object(fields))
                };
                mutations(field, found, &format!("{path}.{name}"), &put);
                if !field.is_null() {
                    found.push((format!("{path}.{name} = null"), of_null(&put)));
                }
            }
        }
        Value::Null => found.push((format!("{path} = 1"), of(1.into()))),
        Value::String(_) => {}
    }
}

fn of_null(put: &dyn Fn(Value) -> Value) -> Value {
    put(Value::Null)
}

/// What a peer says that agrees.
fn answer(asked: &Envelope) -> Option<Input> {
    let message = match &asked.message {
        Message::PreVote(m) => says::pre_vote_answer(m.round, Verdict::Granted),
        Message::RequestVote(_) => says::vote(Verdict::Granted),
        Message::AppendEntries(m) => says::matched(m.last_position().index.get(), says::echo(m)),
        Message::ReadIndex(m) => {
            Message::ReadIndexResponse(ReadIndexResponse { id: m.id, index: Some(LogIndex(1)) })
        }
        _ => return None,
    };
    Some(Envelope { from: asked.to, to: asked.from, term: asked.term, message }.into())
}

/// Whatever may come to a node: time, requests, reports, words of peers.
fn goes_on(node: &mut Node) {
    let (id, mut next) = (node.config().id, Vec::new());
    let mut now = Instant::ZERO.saturating_add(ms(1));
    let mut step = |node: &mut Node, now: Instant, input: Input| {
        next.push(input);
        // What it asks is answered, once: its writes are done, and its peers say yes.
        for _ in 0..3 {
            let mut actions = Vec::new();
            node.step_all(next.drain(..), now, &mut actions);
            next.extend(actions.into_iter().filter_map(|action| match action {
                Action::Persist(write) => Some(Input::Persisted { ticket: write.ticket }),
                Action::Send(envelope) => answer(&envelope),
                _ => None,
            }));
        }
        next.clear();
        node.check().expect("invariants hold");
    };
    for round in 0..4 {
        let status = node.status();
        let (term, last) = (status.term.get(), status.last);
        let said = |from, term: u64, message| {
            Input::Message(Envelope { from, to: id, term: Term(term), message })
        };
        step(node, now, Input::Propose { token: Token(1), count: 2 });
        step(node, now, Input::Read { token: Token(2), consistency: Consistency::Lease });
        step(
            node,
            now,
            Input::SnapshotTaken {
                position: raft_core::LogPosition { index: status.last_applied, ..last },
            },
        );
        if let Some(position) = status.installing {
            let outcome = if round == 0 { Outcome::Failed } else { Outcome::Done };
            step(node, now, Input::SnapshotInstalled { position, outcome });
        }
        for peer in [S2, S3, NodeId(4)] {
            for message in [
                says::pre_vote_answer(raft_core::Round(u64::from(round == 1)), Verdict::Granted),
                says::vote(Verdict::Granted),
                says::matched(last.index.get(), None),
                says::mismatched(last, &[], None),
                Message::ReadIndex(raft_core::ReadIndex { id: raft_core::Round(1) }),
            ] {
                step(node, now, said(peer, term, message));
            }
            step(node, now, Input::PeerUnreachable { peer });
            let _ = node.peers().count();
        }
        for (from, term) in [(S2, term), (S3, term.saturating_add(1))] {
            let entries = says::append(9, last, &[term]);
            let commit = LogIndex(last.index.get().saturating_add(1));
            let append = raft_core::AppendEntries { commit, ..entries };
            step(node, now, said(from, term, says::request_vote(last)));
            step(node, now, said(from, term, Message::AppendEntries(append)));
            step(node, now, said(from, term, Message::TimeoutNow));
        }
        step(node, now, Input::Campaign);
        now = node.deadline().unwrap_or(now).max(now).saturating_add(T);
        step(node, now, Input::Wake);
        let _ = (node.fate(last), node.snapshot_at(status.last_applied));
        now = now.saturating_add(10 * T);
        step(node, now, Input::Wake);
    }
}

#[test]
fn what_is_written_is_read_back() {
    for (name, node) in nodes() {
        let text = serde_json::to_string(&node).expect("it can be written");
        let back: Node =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(back, node, "{name}");
    }
}

#[test]
fn a_corrupt_dump_is_refused_or_is_a_node_that_nothing_makes_panic() {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut refused, mut read, mut failed) = (0, 0, Vec::new());
    for (name, node) in nodes() {
        let value = serde_json::to_value(&node).expect("it can be written");
        let mut all = Vec::new();
        mutations(&value, &mut all, name, &|value| value);
        for (what, mutation) in all {
            let run = || match serde_json::from_value::<Node>(mutation) {
                Err(_) => false,
                Ok(mut node) => {
                    assert_eq!(node.check(), Ok(()));
                    goes_on(&mut node);
                    true
                }
            };
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(false) => refused += 1,
                Ok(true) => read += 1,
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
                        (*panic.downcast_ref::<&str>().unwrap_or(&"?")).to_string()
                    });
                    failed.push(format!("{what}: {text}"));
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), refused + read, failed.join("\n"));
    assert!(refused > 1000 && read > 100, "{refused} refused, {read} read");
}

/// The first of the [`nodes`] of this name, with `change` made to its dump, and why it is refused.
fn refusal_of(name: &str, change: impl Fn(&mut Value)) -> String {
    let node = nodes().into_iter().find(|(of, _)| *of == name).expect("there is one").1;
    let mut dump = serde_json::to_value(&node).expect("it can be written");
    change(&mut dump);
    serde_json::from_value::<Node>(dump).expect_err("it cannot be").to_string()
}

/// Nobody but the role that has a deadline takes it back: it would be due for ever.
#[test]
fn a_dump_with_a_deadline_of_another_role_is_refused() {
    let (read, read_repeat, disk) = (4, 5, 7);
    for (name, deadline, why) in [
        ("follower", disk, "only leaders step aside"),
        ("pre-candidate", disk, "only leaders step aside"),
        ("pre-candidate", read, "who campaigns has no reads"),
        ("candidate", read, "who campaigns has no reads"),
        ("candidate", read_repeat, "only followers ask their leader"),
        ("leader", read_repeat, "only followers ask their leader"),
    ] {
        let refusal = refusal_of(name, |dump| {
            let at = &mut dump["core"]["timers"][deadline];
            assert!(at.is_null(), "{name} has no deadline {deadline}");
            *at = 1.into();
        });
        assert!(refusal.contains(why), "{name}: {refusal}");
    }
}

#[test]
fn a_dump_that_is_wrong_about_whether_the_node_is_a_voter_is_refused() {
    for (name, is_voter) in [("follower", true), ("leader", true), ("fresh", false)] {
        let refusal = refusal_of(name, |dump| {
            assert_eq!(dump["core"]["is_voter"], is_voter, "{name}");
            dump["core"]["is_voter"] = (!is_voter).into();
        });
        assert!(refusal.contains("a node knows whether it is a voter"), "{name}: {refusal}");
    }
}
