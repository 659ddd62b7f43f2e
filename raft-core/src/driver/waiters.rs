//! Who waits: for proposals and for reads.

use crate::action::Fate;
use crate::driver::boundary::{Answer, Caller, Commit, Refusal, Unknown};
use crate::driver::frame::Entry;
use crate::invariants::{Broken, holds};
use crate::types::{Instant, LIMIT, LogIndex, LogPosition, Term, Token};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What is answered to whom.
pub type Answers = Vec<(Token, Answer)>;

/// Moments at which somebody loses patience.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Deadlines<K>(BTreeSet<(Instant, K)>);

impl<K: Ord + Copy> Deadlines<K> {
    fn put(&mut self, until: Instant, key: K) {
        if until < Instant::MAX {
            self.0.insert((until, key));
        }
    }

    fn remove(&mut self, until: Instant, key: K) {
        self.0.remove(&(until, key));
    }

    fn next(&self) -> Option<Instant> {
        self.0.first().map(|(until, _)| *until)
    }

    fn due(&self, now: Instant) -> Option<K> {
        self.0.first().filter(|(until, _)| *until <= now).map(|(_, key)| *key)
    }
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

/// Who waits for a proposal: by the index *and* the term of its first command.
///
/// Whoever is told by the index only may be told that a stranger's command is his own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "UncheckedProposals", into = "UncheckedProposals"))]
pub struct Proposals {
    waiting: BTreeMap<(LogIndex, Term), Proposal>,
    deadlines: Deadlines<(LogIndex, Term)>,
    /// The term of the last entry that is known to be committed.
    committed: Term,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Proposal {
    token: Token,
    /// How many commands.
    of: u64,
    /// How many of them were applied.
    applied: u64,
    until: Instant,
}

impl Proposals {
    /// A proposal of `of` commands stands in the log from `first` on.
    pub fn accepted(&mut self, token: Token, first: LogPosition, of: u64, until: Instant) {
        let key = (first.index, first.term);
        self.waiting.insert(key, Proposal { token, of, applied: 0, until });
        self.deadlines.put(until, key);
    }

    /// Names the caller of each of these entries, which are committed and handed to the state
    /// machine after everything before them; who has lost goes to `answers`.
    pub fn claim<P>(&mut self, entries: Vec<Entry<P>>, answers: &mut Answers) -> Vec<Commit<P>> {
        let mut commit = |entry: Entry<P>| {
            self.later_term(entry.position.term, answers);
            Commit { caller: self.caller(entry.position, answers), entry }
        };
        entries.into_iter().map(&mut commit).collect()
    }

    /// Whose command is committed here. Of all others who wait for this index none is any more.
    fn caller(&mut self, position: LogPosition, answers: &mut Answers) -> Option<Caller> {
        while let Some(mut first) = self.waiting.first_entry()
            && first.key().0 <= position.index
        {
            let (start, term) = *first.key();
            let (nth, proposal) = (position.index.since(start), first.get_mut());
            let Proposal { token, of, .. } = *proposal;
            if term == position.term && nth < of {
                proposal.applied = nth + 1;
                if proposal.applied == of {
                    self.remove((start, term));
                }
                return Some(Caller { token, nth, of });
            }
            let lost = self.remove((start, term));
            answers.push((token, Answer::Lost { applied: lost.applied }));
        }
        None
    }

    /// A snapshot of everything up to this position has taken the place of the log.
    pub fn installed(&mut self, position: LogPosition, answers: &mut Answers) {
        let passed = self.waiting.range(..=(position.index, Term(u64::MAX)));
        for key in passed.map(|(key, _)| *key).collect::<Vec<_>>() {
            answers.push(self.remove(key).unknown(Unknown::Installed));
        }
        self.later_term(position.term, answers);
    }

    /// This node leads `term`, or nobody: what it accepted in another term has an open fate, unless
    /// `fate` knows it. What is decided is answered when it is applied.
    pub fn leads(
        &mut self,
        term: Option<Term>,
        fate: impl Fn(LogPosition) -> Fate,
        answers: &mut Answers,
    ) {
        let is_open = |(key, proposal): (&(LogIndex, Term), &Proposal)| {
            let last = LogPosition::new(key.1, key.0.plus(proposal.of - 1));
            let open = Some(key.1) != term && matches!(fate(last), Fate::Open | Fate::Unknown);
            open.then_some(*key)
        };
        for key in self.waiting.iter().filter_map(is_open).collect::<Vec<_>>() {
            answers.push(self.remove(key).unknown(Unknown::LeadershipLost));
        }
    }

    /// Answers whoever will wait no longer.
    pub fn expire(&mut self, now: Instant, answers: &mut Answers) {
        while let Some(key) = self.deadlines.due(now) {
            answers.push(self.remove(key).unknown(Unknown::TimedOut));
        }
    }

    /// When somebody will wait no longer.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// An entry of this term is committed: entries of earlier terms that are not will never be, for
    /// terms in a log do not decrease.
    fn later_term(&mut self, term: Term, answers: &mut Answers) {
        if term <= self.committed {
            return;
        }
        self.committed = term;
        let earlier = self.waiting.keys().copied().filter(|(_, of)| *of < term);
        for key in earlier.collect::<Vec<_>>() {
            let proposal = self.remove(key);
            answers.push((proposal.token, Answer::Lost { applied: proposal.applied }));
        }
    }

    fn remove(&mut self, key: (LogIndex, Term)) -> Proposal {
        let proposal = self.waiting.remove(&key).expect("it waits");
        self.deadlines.remove(proposal.until, key);
        proposal
    }
}

impl Proposal {
    const fn unknown(self, cause: Unknown) -> (Token, Answer) {
        (self.token, Answer::Unknown { cause, applied: self.applied })
    }
}

/// Who waits for a read: until the node has confirmed it, and until its index is applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "UncheckedReads", into = "UncheckedReads"))]
pub struct Reads {
    open: BTreeMap<Token, Read>,
    confirmed: BTreeSet<(LogIndex, Token)>,
    deadlines: Deadlines<Token>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Read {
    /// What has to be applied; `None` before the node has said it.
    index: Option<LogIndex>,
    until: Instant,
    /// The caller was told that his time is over. The token is his until the node has answered, or
    /// that answer would be taken for the one to a later read of the same name.
    abandoned: bool,
}

impl Reads {
    /// The node is asked.
    pub fn asked(&mut self, token: Token, until: Instant) {
        self.open.insert(token, Read { index: None, until, abandoned: false });
        self.deadlines.put(until, token);
    }

    /// The node says which index has to be applied first.
    pub fn confirmed(&mut self, token: Token, index: LogIndex) {
        match self.open.get_mut(&token) {
            Some(read) if !read.abandoned => {
                read.index = Some(index);
                self.confirmed.insert((index, token));
            }
            Some(_) => _ = self.remove(token),
            None => {}
        }
    }

    /// The node refuses. Whether somebody waits for that.
    pub fn refused(&mut self, token: Token) -> bool {
        self.remove(token).is_some_and(|read| !read.abandoned)
    }

    /// The state machine has applied everything up to here, or was replaced by that.
    pub fn applied(&mut self, through: LogIndex, answers: &mut Answers) {
        while let Some((index, token)) = self.confirmed.first().copied()
            && index <= through
        {
            self.remove(token);
            answers.push((token, Answer::Read { index }));
        }
    }

    /// Answers whoever will wait no longer.
    pub fn expire(&mut self, now: Instant, answers: &mut Answers) {
        while let Some(token) = self.deadlines.due(now) {
            if let Some(read) = self.remove(token)
                && read.index.is_none()
            {
                self.open.insert(token, Read { abandoned: true, ..read });
            }
            answers.push((token, Answer::Refused(Refusal::TimedOut)));
        }
    }

    /// When somebody will wait no longer.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Whether this one waits, or the node has still to answer it.
    pub fn is_open(&self, token: Token) -> bool {
        self.open.contains_key(&token)
    }

    fn remove(&mut self, token: Token) -> Option<Read> {
        let read = self.open.remove(&token)?;
        self.deadlines.remove(read.until, token);
        if let Some(index) = read.index {
            self.confirmed.remove(&(index, token));
        }
        Some(read)
    }
}

/// Proposals as a dump holds them. Who waits till when, and for what, follows from it.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct UncheckedProposals {
    waiting: Vec<((LogIndex, Term), Proposal)>,
    committed: Term,
}

impl From<Proposals> for UncheckedProposals {
    fn from(proposals: Proposals) -> Self {
        let Proposals { waiting, committed, .. } = proposals;
        Self { waiting: waiting.into_iter().collect(), committed }
    }
}

impl TryFrom<UncheckedProposals> for Proposals {
    type Error = Broken;

    fn try_from(
        UncheckedProposals { waiting, committed }: UncheckedProposals,
    ) -> Result<Self, Broken> {
        let mut read = Self { committed, ..Self::default() };
        for (key, proposal) in waiting {
            let Proposal { of, applied, until, .. } = proposal;
            let numbers = applied < of && of <= LIMIT && key.0.get() <= LIMIT;
            holds(numbers, "a proposal waits for some of its commands")?;
            read.waiting.insert(key, proposal);
            read.deadlines.put(until, key);
        }
        Ok(read)
    }
}

#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
struct UncheckedReads(BTreeMap<Token, Read>);

impl From<Reads> for UncheckedReads {
    fn from(reads: Reads) -> Self {
        Self(reads.open)
    }
}

impl From<UncheckedReads> for Reads {
    fn from(UncheckedReads(open): UncheckedReads) -> Self {
        let mut read = Self { open, ..Self::default() };
        for (token, Read { index, until, abandoned }) in &read.open {
            read.confirmed.extend(index.map(|index| (index, *token)));
            if !abandoned {
                read.deadlines.put(*until, *token);
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::{Answers, Proposals, Reads};
    use crate::action::Fate;
    use crate::driver::boundary::{Answer, Caller, Commit, Refusal, Unknown};
    use crate::driver::frame::Entry;
    use crate::payload::Content;
    use crate::types::{Instant, LogIndex, LogPosition, Term, Token};
    use alloc::vec;
    use alloc::vec::Vec;

    const NEVER: Instant = Instant::MAX;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    /// These entries are committed: whose they are, and who is answered otherwise.
    fn commit(
        proposals: &mut Proposals,
        entries: &[(u64, u64)],
    ) -> (Vec<Option<(u64, u64)>>, Answers) {
        let entry = |(term, index): &(u64, u64)| Entry {
            position: at(*term, *index),
            content: Content::Command('x'),
        };
        let mut answers = Answers::new();
        let commits = proposals.claim(entries.iter().map(entry).collect(), &mut answers);
        let caller = |commit: &Commit<char>| {
            commit.caller.map(|Caller { token, nth, .. }| (token.get(), nth))
        };
        (commits.iter().map(caller).collect(), answers)
    }

    fn of(list: &[(u64, u64, u64, u64)]) -> Proposals {
        let mut proposals = Proposals::default();
        for (token, term, first, count) in list {
            proposals.accepted(Token(*token), at(*term, *first), *count, NEVER);
        }
        proposals
    }

    const fn lost(token: u64, applied: u64) -> (Token, Answer) {
        (Token(token), Answer::Lost { applied })
    }

    #[test]
    fn a_caller_is_named_at_each_of_his_entries_in_however_many_pieces_they_come() {
        let mut proposals = of(&[(1, 1, 2, 2), (2, 1, 4, 3)]);
        assert_eq!(commit(&mut proposals, &[(1, 1), (1, 2)]), (vec![None, Some((1, 0))], vec![]));
        let more = commit(&mut proposals, &[(1, 3), (1, 4), (1, 5)]);
        assert_eq!(more, (vec![Some((1, 1)), Some((2, 0)), Some((2, 1))], vec![]));
        assert_eq!(proposals.len(), 1);
        assert_eq!(commit(&mut proposals, &[(1, 6)]), (vec![Some((2, 2))], vec![]));
        assert!(proposals.is_empty());
    }

    #[test]
    fn the_entry_of_another_term_is_somebody_elses() {
        let mut proposals = of(&[(1, 1, 2, 1), (2, 1, 3, 3), (3, 1, 9, 1)]);
        let mixed = commit(&mut proposals, &[(1, 2), (1, 3), (2, 4), (2, 5)]);
        assert_eq!(mixed.0, [Some((1, 0)), Some((2, 0)), None, None]);
        assert_eq!(mixed.1, [lost(2, 1), lost(3, 0)], "the third cannot come after a later term");
        assert!(proposals.is_empty());
    }

    #[test]
    fn whoever_waits_with_a_later_term_waits_on() {
        let mut proposals = of(&[(1, 5, 4, 1)]);
        assert_eq!(commit(&mut proposals, &[(4, 3)]), (vec![None], vec![]));
        assert_eq!(commit(&mut proposals, &[(5, 4)]), (vec![Some((1, 0))], vec![]));
    }

    #[test]
    fn at_the_loss_of_leadership_only_what_is_open_is_unknown() {
        let mut proposals = of(&[(1, 1, 2, 1), (2, 1, 3, 1), (3, 1, 4, 2), (4, 2, 7, 1)]);
        let fate = |position: LogPosition| match position.index.get() {
            2 => Fate::Committed,
            3 => Fate::Lost,
            _ => Fate::Open,
        };
        let mut answers = Answers::new();
        proposals.leads(Some(Term(2)), fate, &mut answers);
        let cause = Unknown::LeadershipLost;
        assert_eq!(answers, [(Token(3), Answer::Unknown { cause, applied: 0 })]);
        let told = commit(&mut proposals, &[(1, 2), (2, 3)]);
        assert_eq!(told, (vec![Some((1, 0)), None], vec![lost(2, 0)]));
        assert_eq!(commit(&mut proposals, &[(2, 7)]).0, [Some((4, 0))]);
    }

    #[test]
    fn a_snapshot_that_passes_the_position_leaves_it_unknown() {
        let mut proposals = of(&[(1, 3, 2, 1), (2, 3, 3, 4), (3, 3, 8, 1), (4, 2, 9, 1)]);
        let mut answers = Answers::new();
        proposals.installed(at(3, 4), &mut answers);
        let unknown = Answer::Unknown { cause: Unknown::Installed, applied: 0 };
        assert_eq!(answers, [(Token(1), unknown), (Token(2), unknown), lost(4, 0)]);
        assert_eq!(commit(&mut proposals, &[(3, 8)]).0, [Some((3, 0))]);
    }

    #[test]
    fn a_caller_whose_time_is_over_is_told_how_far_it_went() {
        let mut proposals = Proposals::default();
        let until = Instant::from_nanos(5);
        proposals.accepted(Token(1), at(1, 1), 2, until);
        proposals.accepted(Token(2), at(1, 3), 1, NEVER);
        assert_eq!(proposals.deadline(), Some(until));
        commit(&mut proposals, &[(1, 1)]);
        let mut answers = Answers::new();
        proposals.expire(Instant::from_nanos(4), &mut answers);
        assert_eq!(answers, []);
        proposals.expire(until, &mut answers);
        let cause = Unknown::TimedOut;
        assert_eq!(answers, [(Token(1), Answer::Unknown { cause, applied: 1 })]);
        assert_eq!((proposals.deadline(), proposals.len()), (None, 1));
    }

    #[test]
    fn a_read_waits_for_the_node_and_for_its_index() {
        let mut reads = Reads::default();
        for token in 1..4 {
            reads.asked(Token(token), NEVER);
        }
        reads.confirmed(Token(2), LogIndex(7));
        reads.confirmed(Token(1), LogIndex(5));
        assert!(reads.refused(Token(3)) && !reads.refused(Token(3)));
        let mut answers = Answers::new();
        reads.applied(LogIndex(4), &mut answers);
        assert_eq!(answers, []);
        reads.applied(LogIndex(6), &mut answers);
        assert_eq!(answers, [(Token(1), Answer::Read { index: LogIndex(5) })]);
        assert!(reads.is_open(Token(2)) && !reads.is_open(Token(1)));
    }

    /// Otherwise the answer to the old read would be given to the new one, with an index from
    /// before it was asked.
    #[test]
    fn the_token_of_a_read_that_gave_up_is_in_use_until_the_node_has_answered() {
        let mut reads = Reads::default();
        let until = Instant::from_nanos(5);
        reads.asked(Token(1), until);
        let mut answers = Answers::new();
        reads.expire(until, &mut answers);
        assert_eq!(answers, [(Token(1), Answer::Refused(Refusal::TimedOut))]);
        assert!(reads.is_open(Token(1)) && reads.deadline().is_none());
        reads.confirmed(Token(1), LogIndex(1));
        reads.applied(LogIndex(9), &mut answers);
        assert_eq!((answers.len(), reads.is_open(Token(1))), (1, false));
        reads.asked(Token(2), until);
        reads.confirmed(Token(2), LogIndex(3));
        reads.expire(until, &mut answers);
        assert!(!reads.is_open(Token(2)), "the node has answered");
    }
}
