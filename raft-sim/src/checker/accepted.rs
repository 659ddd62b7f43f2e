//! Commands and memberships are answered in the call that brings them, and what a leader accepts
//! stands in its log, where it says: the commands all of them, the membership as it was asked for
//! (paper, 5.3: "If command received from client: append entry to local log").

use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use raft_core::payload::Content;
use raft_core::{Action, Input, LogIndex, LogPosition, Membership, RoleKind, Status, Token};

#[derive(Clone, Default, Debug)]
pub(super) struct Accepted {
    judged: u64,
}

impl Checker for Accepted {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let whole = sight.step().filter(|_| sight.is_whole());
        let Some((before, after)) = whole else { return Ok(()) };
        for input in sight.inputs() {
            let (name, asked, target) = match input {
                Input::Propose { token, count } => (*token, *count, None),
                Input::ChangeMembership { token, target } => (*token, 1, Some(target)),
                _ => continue,
            };
            self.answered(sight, [before, after], (name, asked, target))?;
        }
        Ok(())
    }
}

impl Accepted {
    /// So many entries were asked for under this name; the membership, if it is one.
    fn answered(
        &mut self,
        sight: &Sight<'_>,
        [before, after]: [&Status; 2],
        (name, asked, target): (Token, u64, Option<&Membership>),
    ) -> Result<(), String> {
        self.judged += 1;
        let id = sight.node.id;
        let mut answers = sight.actions().iter().filter_map(|action| match action {
            Action::Accepted { token, first, count } if *token == name => {
                Some(Some((*first, *count)))
            }
            Action::Rejected { token, .. } if *token == name => Some(None),
            _ => None,
        });
        let Some(answer) = answers.next() else {
            return Err(format!("{id:?} does not answer {name:?} in the call that brings it"));
        };
        let Some((first, count)) = answer else { return Ok(()) };
        if first.term < before.term || first.term > after.term {
            return Err(format!("{id:?} accepts {name:?} at {first}, and is in {}", after.term));
        }
        if after.role != RoleKind::Leader || after.term != first.term {
            // Something later in the same call has deposed it, and may have dropped them.
            return Ok(());
        }
        let stands = (0..count).all(|nth| holds(sight, first, nth, target));
        if count == asked && stands {
            return Ok(());
        }
        let what = target.map_or(format!("{asked} commands"), |target| format!("{target:?}"));
        Err(format!("{id:?} accepts {what} at {count} positions from {first}, and its log has not"))
    }
}

/// Whether that stands there which was asked for.
fn holds(
    sight: &Sight<'_>,
    first: LogPosition,
    nth: u64,
    target: Option<&Membership>,
) -> bool {
    let found = sight.node.log.get(LogIndex(first.index.get().saturating_add(nth)));
    found.is_some_and(|entry| {
        let is_it = match (&entry.content, target) {
            (Content::Command(_), None) => true,
            (Content::Membership(there), Some(target)) => {
                there.voters() == target.voters() && there.learners() == target.learners()
            }
            _ => false,
        };
        entry.term == first.term && is_it
    })
}

#[cfg(test)]
mod tests {
    use super::Accepted;
    use crate::checker::fixture::{Cluster, position, refused};
    use crate::host::log::Entry;
    use raft_core::payload::Content;
    use raft_core::{Action, Input, LogPosition, Membership, NodeId, RejectReason, Term, Token};

    const NAME: Token = Token(7);

    /// S1 leads term 2 with commands of these terms, and then a membership of S1 and S2.
    fn leader(terms: &[u64]) -> Cluster {
        let mut cluster = Cluster::of(3);
        let node = cluster.node(1).leads(2).fill(terms);
        let members = Box::new(members(&[1, 2]));
        node.log.push(Entry { term: Term(2), content: Content::Membership(members) });
        cluster
    }

    fn members(ids: &[u64]) -> Membership {
        Membership::of_voters(ids.iter().copied().map(NodeId)).expect("voters")
    }

    fn says(asked: Input, said: &[Action]) -> Result<(), String> {
        leader(&[1, 2, 2]).takes(&mut Accepted::default(), 1, &[asked], said)
    }

    fn accepts(index: u64, count: u64) -> [Action; 1] {
        [Action::Accepted { token: NAME, first: position(2, index), count }]
    }

    #[test]
    fn commands_that_are_accepted_stand_where_it_is_said() {
        let propose = |count| Input::Propose { token: NAME, count };
        says(propose(2), &accepts(2, 2)).expect("they do");
        let rejected = Action::Rejected { token: NAME, reason: RejectReason::LogFull };
        says(propose(2), &[rejected]).expect("it is an answer");
        refused(says(propose(2), &[]), "S1 does not answer #7 in the call");
        for (index, count) in [(1, 2), (3, 2), (2, 1)] {
            refused(says(propose(2), &accepts(index, count)), "and its log has not");
        }
        let first = LogPosition::ZERO;
        let elsewhere = Action::Accepted { token: NAME, first, count: 2 };
        refused(says(propose(2), &[elsewhere]), "S1 accepts #7 at 0/0, and is in ");
        let first = position(3, 2);
        let later = Action::Accepted { token: NAME, first, count: 2 };
        refused(says(propose(2), &[later]), "S1 accepts #7 at 3/2, and is in ");
    }

    #[test]
    fn a_membership_that_is_accepted_is_the_one_that_was_asked_for() {
        let change = |ids| Input::ChangeMembership { token: NAME, target: members(ids) };
        says(change(&[1, 2]), &accepts(4, 1)).expect("it stands there");
        refused(says(change(&[1, 3]), &accepts(4, 1)), "and its log has not");
        refused(says(change(&[1, 2]), &accepts(3, 1)), "and its log has not");
    }
}
