//! The address book: what the log says of the members besides who they are.
//!
//! A membership is in force as soon as it stands in the log, committed or not. So the book follows
//! the log as well, and not the state machine: whoever has the entry that makes a node a member has
//! the one that says how to reach it, which stands before it.

use crate::driver::frame::{BoundLog, Payload};
use crate::membership::Membership;
use crate::payload::Content;
use crate::types::{LogIndex, NodeId};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

/// What the log says of each node: the newest command that
/// [`describes`](crate::driver::Payload::describes) it.
///
/// A membership that is applied strikes out whoever does not belong to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Book<P> {
    /// After everything that is applied.
    applied: BTreeMap<NodeId, P>,
    /// What the log says after that, in its order.
    log: VecDeque<(LogIndex, Line<P>)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Line<P> {
    Describes(NodeId, P),
    Members(Box<Membership>),
}

impl<P> Default for Book<P> {
    fn default() -> Self {
        Self { applied: BTreeMap::new(), log: VecDeque::new() }
    }
}

impl<P: Payload> Book<P> {
    /// What a snapshot says, and nothing after it.
    pub fn of(described: impl IntoIterator<Item = P>) -> Self {
        let applied = described.into_iter().filter_map(|of| Some((of.describes()?, of))).collect();
        Self { applied, log: VecDeque::new() }
    }

    /// Follows a write: what it drops is taken back, what it appends is known.
    pub fn write(&mut self, log: &BoundLog<P>) {
        let first = if log.restart_after.is_some() { LogIndex::ZERO } else { log.first };
        while self.log.back().is_some_and(|(index, _)| *index >= first) {
            self.log.pop_back();
        }
        for entry in &log.entries {
            let line = match &entry.content {
                Content::Command(of) => of.describes().map(|id| Line::Describes(id, of.clone())),
                Content::Membership(members) => Some(Line::Members(members.clone())),
            };
            self.log.extend(line.map(|line| (entry.position.index, line)));
        }
    }

    /// Everything up to here is applied.
    pub fn applied(&mut self, through: LogIndex) {
        while self.log.front().is_some_and(|(index, _)| *index <= through)
            && let Some((_, line)) = self.log.pop_front()
        {
            match line {
                Line::Describes(id, of) => _ = self.applied.insert(id, of),
                Line::Members(members) => self.applied.retain(|id, _| members.contains(*id)),
            }
        }
    }

    /// How to reach this node: the newest that the log says of it, committed or not. Whoever leaves
    /// is known until that is applied.
    pub fn get(&self, node: NodeId) -> Option<&P> {
        let described = self.log.iter().rev().find_map(|(_, line)| match line {
            Line::Describes(id, of) if *id == node => Some(of),
            Line::Describes(..) | Line::Members(_) => None,
        });
        described.or_else(|| self.applied.get(&node))
    }

    /// What a snapshot of everything that is applied has to keep.
    pub fn snapshot(&self) -> impl Iterator<Item = &P> {
        self.applied.values()
    }

    /// The first of these that will not be in the book when everything in the log is applied.
    pub fn lacks(&self, nodes: impl IntoIterator<Item = NodeId>) -> Option<NodeId> {
        nodes.into_iter().find(|node| {
            let last_word = self.log.iter().rev().find_map(|(_, line)| match line {
                Line::Describes(id, _) => (id == node).then_some(true),
                Line::Members(members) => (!members.contains(*node)).then_some(false),
            });
            !last_word.unwrap_or_else(|| self.applied.contains_key(node))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Book;
    use crate::driver::frame::{BoundLog, Entry, Payload};
    use crate::membership::Membership;
    use crate::payload::Content;
    use crate::types::{LogIndex, LogPosition, NodeId, Term};
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    /// Says that this node is at this place.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct At(u64, char);

    impl Payload for At {
        fn bytes(&self) -> u64 {
            2
        }

        fn describes(&self) -> Option<NodeId> {
            (self.0 > 0).then_some(NodeId(self.0))
        }
    }

    fn members(ids: &[u64]) -> Content<At> {
        let ids = ids.iter().copied().map(NodeId);
        Content::Membership(Box::new(Membership::of_voters(ids).expect("valid")))
    }

    fn write(book: &mut Book<At>, first: u64, contents: Vec<Content<At>>) {
        let position = |index| LogPosition::new(Term(1), LogIndex(index));
        let entry = |(index, content)| Entry { position: position(index), content };
        let entries = (first..).zip(contents).map(entry).collect();
        book.write(&BoundLog { restart_after: None, first: LogIndex(first), entries });
    }

    fn known(book: &Book<At>) -> Vec<At> {
        (1..9).filter_map(|id| book.get(NodeId(id)).copied()).collect()
    }

    #[test]
    fn the_newest_that_the_log_says_holds_and_what_is_dropped_is_taken_back() {
        let mut book = Book::of([At(1, 'a'), At(2, 'a'), At(0, 'x')]);
        let tell = [At(1, 'b'), At(0, 'x'), At(3, 'b'), At(1, 'c')].map(Content::Command);
        write(&mut book, 8, tell.to_vec());
        assert_eq!(known(&book), [At(1, 'c'), At(2, 'a'), At(3, 'b')]);
        book.applied(LogIndex(8));
        write(&mut book, 10, [Content::Command(At(2, 'd'))].to_vec());
        assert_eq!(known(&book), [At(1, 'b'), At(2, 'd')]);
        assert_eq!(book.snapshot().copied().collect::<Vec<_>>(), [At(1, 'b'), At(2, 'a')]);
        let restart_after = Some(LogPosition::new(Term(1), LogIndex(12)));
        let (first, entries) = (LogIndex(13), Vec::new());
        book.write(&BoundLog { restart_after, first, entries });
        assert_eq!(known(&book), [At(1, 'b'), At(2, 'a')]);
    }

    #[test]
    fn who_is_no_member_is_struck_out_when_that_is_applied_and_counts_for_no_change_before() {
        let mut book = Book::of([At(1, 'a'), At(2, 'a')]);
        let log = [Content::Command(At(3, 'b')), members(&[1, 4]), Content::Command(At(4, 'b'))];
        write(&mut book, 5, log.to_vec());
        assert_eq!(known(&book), [At(1, 'a'), At(2, 'a'), At(3, 'b'), At(4, 'b')]);
        let lacks = |book: &Book<At>, ids: &[u64]| book.lacks(ids.iter().copied().map(NodeId));
        assert_eq!(lacks(&book, &[1, 4]), None);
        for gone in [2, 3] {
            assert_eq!(lacks(&book, &[4, gone, 9]), Some(NodeId(gone)));
        }
        book.applied(LogIndex(7));
        assert_eq!(known(&book), [At(1, 'a'), At(4, 'b')]);
        assert_eq!((lacks(&book, &[1, 4]), lacks(&book, &[2])), (None, Some(NodeId(2))));
    }
}
