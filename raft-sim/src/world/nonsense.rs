//! Messages that cannot be: some whoever gets them in whatever state, others beside what the one
//! who gets them knows.
//!
//! Those of a later term are what an honest node might send but for one thing, for which they must
//! be refused: another leader of the node's own term is refused as such, whatever else it says.

use crate::host::log::Log;
use crate::plan::choice::{Choices, Question};
use raft_core::payload::Content;
use raft_core::types::LIMIT;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Entries, Envelope, InstallSnapshot,
    Instant, LogIndex, LogPosition, Membership, Message, NodeId, Permit, PreVote, Probe, ReadIndex,
    ReadIndexResponse, RequestVote, Round, Run, Snapshot, Status, Term, TermSpan,
};
use std::time::Duration;

/// A node that does not exist.
pub(super) const STRANGER: NodeId = NodeId(1 << 40);

/// How much later the term is of what is refused for one thing: above as many terms as a refusal
/// could name.
const LATER: u64 = 200;

/// A message that cannot be, whoever gets it in whatever state.
pub(super) fn nonsense(choices: &mut Choices, status: &Status) -> Envelope {
    let (to, count) = (status.id, u64::try_from(WRONG.len()).expect("a few"));
    match choices.below(Question::Nonsense, 2 * count).checked_sub(count) {
        None => of_this_term(choices, status),
        Some(nth) => {
            let term = Term(status.term.get().saturating_add(LATER));
            let message = WRONG[usize::try_from(nth).expect("a few")](term);
            Envelope { from: STRANGER, to, term, message }
        }
    }
}

/// One that mostly is of the node's own term.
fn of_this_term(choices: &mut Choices, status: &Status) -> Envelope {
    let to = status.id;
    let term = Term(status.term.get().max(1));
    let of = |message| Envelope { from: STRANGER, to, term, message };
    let append = |runs: &[Run]| append(LogPosition::ZERO, runs.iter().cloned());
    let run = |term: u64, count| Run::Commands { term: Term(term), count };
    let beyond = LogPosition::new(Term(term.get() + 1), LogIndex(1));
    match choices.below(Question::Hostile, 8) {
        0 => Envelope { term: Term(u64::MAX), ..of(Message::TimeoutNow) },
        1 => Envelope { from: to, ..of(Message::TimeoutNow) },
        2 => Envelope { term: Term::ZERO, ..of(Message::TimeoutNow) },
        3 => of(append(&[run(term.get() + 1, 1)])),
        4 => of(append(&[run(term.get(), LIMIT), run(term.get(), LIMIT)])),
        5 => of(install(LogPosition::new(term, LogIndex(1)), Membership::empty())),
        6 => of(Message::PreVote(PreVote { round: Round(1), last: beyond })),
        _ => {
            let outcome = AppendOutcome::Matched { match_index: LogIndex(u64::MAX) };
            let answer = AppendEntriesResponse { outcome, echo: None, seen: Some(Round(1)) };
            of(Message::AppendEntriesResponse(answer))
        }
    }
}

/// What cannot be in a message of this term, one thing each.
const WRONG: [fn(Term) -> Message; 16] = [
    too_many_runs,
    |term| append(at(term, 1), [commands(before(term), 1)]),
    |term| append(at(after(term), 1), []),
    |term| append(LogPosition::ZERO, [commands(term, 0)]),
    |term| append(LogPosition::ZERO, [members(term, Membership::empty())]),
    |term| {
        let (round, sent_at) = (Round(LIMIT + 1), Instant::ZERO);
        let probe = Some(Probe { round, sent_at, lease: Duration::ZERO });
        let (prev, entries, commit) = (at(term, 1), Entries::new(), LogIndex::ZERO);
        Message::AppendEntries(AppendEntries { prev, entries, commit, probe })
    },
    |term| {
        let permit = Some(Permit { leader: STRANGER, term });
        Message::RequestVote(RequestVote { last: LogPosition::ZERO, permit })
    },
    |term| Message::RequestVote(RequestVote { last: at(term, 1), permit: None }),
    |_| install(LogPosition::ZERO, of_strangers()),
    |_| rejects(LogPosition::ZERO, []),
    |term| rejects(at(term, 9), [span(term, 2, 1)]),
    |term| rejects(at(term, 9), [span(term, 2, 10)]),
    |term| rejects(at(term, 9), [span(before(term), 1, 2), span(term, 3, 4)]),
    |term| rejects(at(term, LATER), (1..=LATER).rev().map(|nth| span(Term(nth), nth, nth))),
    |_| Message::ReadIndex(ReadIndex { id: Round(LIMIT + 1) }),
    |_| {
        let (id, index) = (Round(1), Some(LogIndex(LIMIT + 1)));
        Message::ReadIndexResponse(ReadIndexResponse { id, index })
    },
];

/// A message that cannot be beside what this node knows: its log says something else where it is
/// settled, or where the same position would be the same log. None if the node knows too little.
pub(super) fn contradiction(choices: &mut Choices, status: &Status, log: &Log) -> Option<Envelope> {
    let count = u64::try_from(AGAINST.len()).expect("a few");
    let nth = usize::try_from(choices.below(Question::Nonsense, count)).expect("a few");
    let (is_settled, says) = AGAINST[nth];
    let last = if is_settled { status.commit_index } else { log.last().index };
    let held = last.get().checked_sub(log.start().index.get()).filter(|held| *held > 0)?;
    let index = LogIndex(last.get() - choices.below(Question::Nonsense, held));
    let term = Term(status.term.get().saturating_add(1));
    let committed = log.position(status.commit_index)?;
    let message = says(&Known { term, log, committed, index })?;
    Some(Envelope { from: STRANGER, to: status.id, term, message })
}

/// What a node knows, for a message of a later term that contradicts it.
struct Known<'a> {
    term: Term,
    log: &'a Log,
    /// The last position that is committed.
    committed: LogPosition,
    /// An index that the log holds, which the message is about.
    index: LogIndex,
}

/// What is said against what a node knows, if it knows enough.
type Says = fn(&Known<'_>) -> Option<Message>;

/// Whether it must be about what is committed, and what is said.
const AGAINST: [(bool, Says); 5] = [
    (false, |known| {
        let prev = known.log.position(before_index(known.index))?;
        let entry = known.log.get(known.index)?;
        let other = match entry.content {
            Content::Command(_) => members(entry.term, of_strangers()),
            Content::Membership(_) => commands(entry.term, 1),
        };
        Some(append(prev, [other]))
    }),
    (true, |known| {
        let prev = known.log.position(before_index(known.index))?;
        Some(append(prev, [commands(known.term, 1)]))
    }),
    (false, |known| Some(install(known.log.position(known.index)?, of_strangers()))),
    (false, |known| {
        let lower = before(known.committed.term);
        let beyond = known.log.last().index.get() + 1;
        (lower > Term::ZERO).then(|| install(at(lower, beyond), of_strangers()))
    }),
    (true, |known| Some(install(at(known.term, known.index.get()), of_strangers()))),
];

/// One run more than a message may have, and each could be.
fn too_many_runs(term: Term) -> Message {
    let pair = [commands(term, 1), members(term, of_strangers())];
    append(LogPosition::ZERO, pair.into_iter().cycle().take(AppendEntries::MAX_RUNS + 1))
}

fn append(prev: LogPosition, runs: impl IntoIterator<Item = Run>) -> Message {
    let (entries, commit) = (runs.into_iter().collect(), LogIndex::ZERO);
    Message::AppendEntries(AppendEntries { prev, entries, commit, probe: None })
}

fn install(position: LogPosition, membership: Membership) -> Message {
    Message::InstallSnapshot(InstallSnapshot { snapshot: Snapshot { position, membership } })
}

fn rejects(rejected: LogPosition, hint: impl IntoIterator<Item = TermSpan>) -> Message {
    let hint = hint.into_iter().collect();
    let outcome = AppendOutcome::Mismatched { rejected, hint };
    let answer = AppendEntriesResponse { outcome, echo: None, seen: Some(Round(1)) };
    Message::AppendEntriesResponse(answer)
}

const fn at(term: Term, index: u64) -> LogPosition {
    LogPosition::new(term, LogIndex(index))
}

const fn before(term: Term) -> Term {
    Term(term.get().saturating_sub(1))
}

const fn before_index(index: LogIndex) -> LogIndex {
    LogIndex(index.get() - 1)
}

const fn after(term: Term) -> Term {
    Term(term.get().saturating_add(1))
}

const fn commands(term: Term, count: u64) -> Run {
    Run::Commands { term, count }
}

fn members(term: Term, membership: Membership) -> Run {
    Run::Membership { term, membership: Box::new(membership) }
}

const fn span(term: Term, first: u64, last: u64) -> TermSpan {
    TermSpan { term, first: LogIndex(first), last: LogIndex(last) }
}

/// A membership that nobody here has.
fn of_strangers() -> Membership {
    Membership::of_voters([STRANGER]).expect("one voter")
}

#[cfg(test)]
mod tests {
    use super::{LATER, WRONG, contradiction, nonsense};
    use crate::host::log::Log;
    use crate::plan::choice::{Choice, Choices, Question};
    use raft_core::{
        Action, Config, Entries, Envelope, HardState, IgnoreReason, Input, Instant, LogIndex,
        Membership, Node, NodeId, Recovered, Run, Term,
    };

    /// A follower whose log are five commands of terms 1 and 3, two of them known to be committed.
    fn follower() -> (Node, Log) {
        let runs = [(1, 2), (3, 3)].map(|(term, count)| Run::Commands { term: Term(term), count });
        let entries: Entries = runs.into_iter().collect();
        let log = Log::invented(&entries);
        let hard_state = HardState { current_term: Term(3), ..HardState::default() };
        let members = Membership::of_voters([1, 2, 3].map(NodeId)).expect("three");
        let recovered = Recovered { hard_state, entries, ..Recovered::fresh(members) };
        let recovered = Recovered { applied: LogIndex(3), ..recovered };
        let node = Node::new(Config::new(NodeId(1), 1), recovered, Instant::ZERO);
        (node.expect("a start like any other"), log)
    }

    fn refusal(node: &mut Node, envelope: Envelope) -> Option<IgnoreReason> {
        let before = node.clone();
        let said = node.step(Input::Message(envelope), Instant::ZERO);
        match said[..] {
            [Action::Ignored { reason, .. }] if *node == before => Some(reason),
            _ => None,
        }
    }

    fn answered(answers: &[u64]) -> Choices {
        let question = Question::Nonsense;
        Choices::replayed(
            answers.iter().map(|answer| Choice { question, answer: *answer }).collect(),
        )
    }

    #[test]
    fn nonsense_of_a_later_term_is_refused_as_nonsense() {
        let count = u64::try_from(WRONG.len()).expect("a few");
        for nth in 0..count {
            let (mut node, _) = follower();
            let envelope = nonsense(&mut answered(&[count + nth]), &node.status());
            assert_eq!(envelope.term, Term(3 + LATER));
            let reason = refusal(&mut node, envelope.clone());
            assert!(
                matches!(reason, Some(IgnoreReason::Malformed | IgnoreReason::MalformedEntries(_))),
                "{envelope:?}: {reason:?}"
            );
        }
    }

    #[test]
    fn what_contradicts_the_log_is_refused_as_a_contradiction() {
        let mut kinds = 0;
        for (what, back) in (0..5).flat_map(|what| (0..5).map(move |back| (what, back))) {
            let (mut node, log) = follower();
            let told = contradiction(&mut answered(&[what, back]), &node.status(), &log);
            let envelope = told.expect("the log is long enough");
            assert_eq!(envelope.term, Term(4));
            kinds |= 1 << what;
            let reason = refusal(&mut node, envelope.clone());
            assert!(
                matches!(reason, Some(IgnoreReason::Contradiction { .. })),
                "{envelope:?}: {reason:?}"
            );
        }
        assert_eq!(kinds, 0b11111);
    }
}
