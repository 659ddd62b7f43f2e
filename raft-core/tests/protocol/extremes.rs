//! Every number of every message, at its extremes, at a node in every role: refused or taken, but
//! no panic, no broken invariant, and an election is possible after it.

#![cfg(feature = "serde")]

use crate::common::{S1, S2, S3, Setup, Solo, T, at, joint, ms, says, voters};
use proptest::prelude::*;
use raft_core::types::{LIMIT, TERM_REACH};
use raft_core::{
    Entries, Envelope, InstallSnapshot, Instant, LogIndex, Message, Permit, ReadIndex,
    ReadIndexResponse, RequestVote, RoleKind, Round, Run, Snapshot, Term, Verdict,
};
use serde_json::Value;

/// One message of each kind, with every option set.
fn samples() -> Vec<Message> {
    let echo = Some(raft_core::Echo { round: Round(3), sent_at: Instant::ZERO, promised: T });
    let members =
        Run::Membership { term: Term(1), membership: Box::new(joint(&[1, 2], &[3], &[4])) };
    let entries: Entries =
        [Run::Commands { term: Term(1), count: 2 }, members].into_iter().collect();
    let append = raft_core::AppendEntries { entries, ..says::append(3, at(1, 1), &[]) };
    let snapshot = Snapshot { position: at(1, 9), membership: joint(&[1, 2, 3], &[], &[4]) };
    let permit = Some(Permit { leader: S2, term: Term(1) });
    let mut all = vec![
        says::pre_vote(at(1, 1)),
        says::pre_vote_answer(Round(3), Verdict::StaleTerm),
        Message::RequestVote(RequestVote { last: at(1, 1), permit }),
        says::vote(Verdict::Granted),
        Message::AppendEntries(append),
        says::matched(1, echo),
        says::mismatched(at(1, 3), &[(1, 1, 2)], echo),
        says::stale_term(),
        Message::InstallSnapshot(InstallSnapshot { snapshot }),
        Message::TimeoutNow,
        Message::ReadIndex(ReadIndex { id: Round(3) }),
        Message::ReadIndexResponse(ReadIndexResponse { id: Round(3), index: Some(LogIndex(1)) }),
    ];
    let installing = raft_core::AppendOutcome::Installing;
    all.push(Message::AppendEntriesResponse(raft_core::AppendEntriesResponse {
        outcome: installing,
        echo,
        seen: Some(Round(3)),
    }));
    all
}

const EXTREMES: [u64; 12] = [
    0,
    1,
    2,
    TERM_REACH,
    TERM_REACH + 1,
    TERM_REACH + 2,
    LIMIT - 1,
    LIMIT,
    LIMIT + 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// The numbers of a value, in the order of its fields.
fn numbers(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Number(_) => vec![value],
        Value::Array(items) => items.iter_mut().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(numbers).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => Vec::new(),
    }
}

/// The envelope with some of its numbers replaced; `None` where a type refuses to be read so.
fn replaced(envelope: &Envelope, changes: &[(usize, u64)]) -> Option<Envelope> {
    let mut value = serde_json::to_value(envelope).expect("it can be written");
    let mut found = numbers(&mut value);
    for (nth, number) in changes {
        let count = found.len();
        *found[nth % count] = (*number).into();
    }
    serde_json::from_value(value).ok()
}

/// S1 in each role, in term 2 where it has one, and with another leader's snapshot under way.
fn in_every_role() -> Vec<Solo> {
    let members = || voters(&[1, 2, 3]);
    let mut follower = Setup::of(members()).log(&[1, 1]).start();
    let _ = follower.hears(S2, 2, says::hello(1));
    let mut reader = follower.clone();
    let token = raft_core::Token(9);
    let _ = reader
        .step(raft_core::Input::Read { token, consistency: raft_core::Consistency::ReadIndex });
    let mut asking = Setup::of(members()).log(&[1, 1]).term(2).start();
    let _ = asking.step(raft_core::Input::Campaign);
    let plain = raft_core::Protection::Plain;
    let mut candidate = Setup::of(members()).log(&[1, 1]).protection(plain).start();
    let _ = candidate.step(raft_core::Input::Campaign);
    let mut leader = Solo::leader_of(3);
    let _ = leader.propose(3);
    let mut installing = Setup::of(members()).log(&[1, 1]).start();
    let snapshot = Snapshot { position: at(2, 7), membership: members() };
    let _ = installing.hears(S2, 2, Message::InstallSnapshot(InstallSnapshot { snapshot }));
    let fresh = Setup::of(raft_core::Membership::empty()).start();
    let late = Setup::of(members()).log(&[1, 1]).term(LIMIT - TERM_REACH).start();
    let later = Setup::of(members()).log(&[1, 1]).term(u64::MAX - TERM_REACH - 1).start();
    vec![follower, reader, asking, candidate, leader, installing, fresh, late, later]
}

/// What comes after the message: time, a campaign, and the words of peers.
fn goes_on(mut node: Solo) {
    let term = |node: &Solo| node.term();
    let _ = node.pass(ms(1)).propose(2);
    for peer in [S2, S3] {
        let now = term(&node);
        let _ = node.hears(peer, now, says::hello(4));
        let _ = node.hears(peer, now, says::matched(1, None));
        let _ = node.hears(peer, now, says::request_vote(at(1, 1)));
        let _ = node.hears(peer, now.saturating_add(1), says::request_vote(at(1, 1)));
        let _ = node.hears(peer, now.saturating_add(1), says::appends(5, at(1, 1), &[1]));
        let _ = node.hears(peer, now.saturating_add(1), Message::TimeoutNow);
    }
    let _ = node.step(raft_core::Input::Campaign);
    for _ in 0..6 {
        if node.node.deadline().is_some() {
            let _ = node.time_out();
        }
        for peer in [S2, S3] {
            let now = term(&node);
            let _ = node.hears(peer, now, says::vote(Verdict::Granted));
        }
    }
}

/// Whether the node can still become a candidate, however the pre-vote goes.
fn stands(mut node: Solo) -> bool {
    for _ in 0..20 {
        if node.node.deadline().is_none() {
            return false;
        }
        let asks = node.time_out();
        if let Some(round) = asks.pre_vote_round() {
            let (now, granted) = (node.term(), Verdict::Granted);
            let _ = node.hears(S2, now, says::pre_vote_answer(round, granted));
            let _ = node.hears(S3, now, says::pre_vote_answer(round, granted));
        }
        if matches!(node.role(), RoleKind::Candidate | RoleKind::Leader) {
            return true;
        }
    }
    false
}

fn envelopes() -> impl Iterator<Item = Envelope> {
    let senders = samples().into_iter().flat_map(|message| {
        [1, 2, 3].map(|term| Envelope {
            from: S2,
            to: S1,
            term: Term(term),
            message: message.clone(),
        })
    });
    senders.collect::<Vec<_>>().into_iter()
}

fn count_of_numbers(envelope: &Envelope) -> usize {
    numbers(&mut serde_json::to_value(envelope).expect("it can be written")).len()
}

#[test]
fn every_number_of_every_message_is_refused_or_harmless_in_every_role() {
    for node in in_every_role() {
        for envelope in envelopes() {
            for nth in 0..count_of_numbers(&envelope) {
                for number in EXTREMES {
                    let Some(said) = replaced(&envelope, &[(nth, number)]) else { continue };
                    let mut node = node.clone();
                    let _ = node.step(said);
                    goes_on(node);
                }
            }
        }
    }
}

/// The log may be filled by whoever leads; but no number of one message takes the elections away.
#[test]
fn no_message_ends_all_elections() {
    let terms = [0, 1, 9, TERM_REACH, LIMIT - TERM_REACH, LIMIT - 1, LIMIT, 1 << 63];
    let messages = [
        says::hello(1),
        says::request_vote(says::START),
        says::pre_vote(says::START),
        says::vote(Verdict::StaleTerm),
        says::stale_term(),
        Message::TimeoutNow,
        Message::ReadIndex(ReadIndex { id: Round(3) }),
    ];
    for own in terms {
        for message in &messages {
            let far = [own + 1, own + TERM_REACH - 1, own + TERM_REACH, own + TERM_REACH + 1];
            for term in far.into_iter().chain(EXTREMES) {
                let mut node = Setup::of(voters(&[1, 2, 3])).term(own).start();
                let _ = node.hears(S2, term, message.clone());
                assert!(node.term() <= own.saturating_add(TERM_REACH + 1), "{own} {term}");
                assert!(stands(node), "{own} {term} {message:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn numbers_at_their_extremes_together_are_refused_or_harmless(
        role in any::<prop::sample::Index>(),
        said in prop::collection::vec((any::<prop::sample::Index>(),
            prop::collection::vec(
                (0_usize..40, prop::sample::select(EXTREMES.to_vec())), 0..4,
            )), 1..5),
    ) {
        let roles = in_every_role();
        let mut node = roles[role.index(roles.len())].clone();
        let all: Vec<_> = envelopes().collect();
        for (which, changes) in said {
            if let Some(envelope) = replaced(&all[which.index(all.len())], &changes) {
                let _ = node.step(envelope);
            }
        }
        goes_on(node);
    }
}
