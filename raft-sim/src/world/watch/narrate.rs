//! What happened inside one step, worked out from what is seen around it: the input, the actions,
//! and the state before and after. The core has no hooks.

use crate::plan::record::{EntryKind, Event, NodeState};
use raft_core::{Action, IgnoreReason, Input, LogPosition, LogWrite, Message, RoleKind, Source};

/// What is seen around a step.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) inputs: &'a [Input],
    pub(crate) actions: &'a [Action],
    pub(crate) before: NodeState,
    pub(crate) after: NodeState,
}

impl Step<'_> {
    /// What comes before the actions: what came, changes of role and term, of the log, of the
    /// commit.
    pub(crate) fn prologue(&self) -> Vec<(Event, NodeState)> {
        let mut events = Vec::new();
        self.inputs(&mut events);
        self.roles(&mut events);
        self.log(&mut events);
        if self.after.commit > self.before.commit {
            let state = NodeState { applied: self.before.applied, ..self.after };
            let (before, commit) = (self.before.commit, self.after.commit);
            events.push((Event::Commit { before, commit }, state));
        }
        events
    }

    /// In a step of one input its refusal is known; in one of several nobody can tell which it was,
    /// so that a refusal stands beside what came.
    fn inputs(&self, events: &mut Vec<(Event, NodeState)>) {
        let mut refusals = self.actions.iter().filter_map(|action| match action {
            Action::Ignored { reason, .. } => Some(*reason),
            _ => None,
        });
        let alone = if self.inputs.len() == 1 { refusals.next() } else { None };
        for input in self.inputs {
            let event = match input {
                Input::Message(message) => Some(match alone {
                    Some(reason) => Event::Ignored { message: Some(message.clone()), reason },
                    None => Event::Recv { message: message.clone() },
                }),
                Input::Propose { token, count } => {
                    Some(Event::Propose { token: *token, count: *count })
                }
                Input::Read { token, consistency } => {
                    Some(Event::ReadBegin { token: *token, consistency: *consistency })
                }
                Input::ChangeMembership { token, target } => {
                    Some(Event::Change { token: *token, target: target.clone() })
                }
                Input::TransferLeadership { token, to } => {
                    Some(Event::Transfer { token: *token, to: *to })
                }
                Input::Wake
                | Input::Persisted { .. }
                | Input::Campaign
                | Input::SnapshotTaken { .. }
                | Input::SnapshotSent { .. }
                | Input::SnapshotInstalled { .. }
                | Input::PeerUnreachable { .. }
                | Input::PeerPaused { .. }
                | Input::PeerResumed { .. } => alone.map(ignored),
            };
            events.extend(event.map(|event| (event, self.before)));
        }
        events.extend(refusals.map(|reason| (ignored(reason), self.before)));
    }

    /// Changes of role come before what they bring about: a leader is one before its first entry.
    fn roles(&self, events: &mut Vec<(Event, NodeState)>) {
        let (before, after) = (&self.before, &self.after);
        let quiet = NodeState {
            last: before.last,
            commit: before.commit,
            applied: before.applied,
            ..*after
        };
        let rose = after.term > before.term;
        let stood = |role| before.role == role && !rose;
        match after.role {
            RoleKind::Follower => {
                if rose && !self.has_term_of_its_own() {
                    events.push((Event::LearnTerm { before: before.term }, quiet));
                }
                if before.role != RoleKind::Follower {
                    events.push((Event::BecomeFollower { leader: after.leader }, quiet));
                } else if let Some(leader) = after.leader
                    && (rose || before.leader.is_none())
                {
                    events.push((Event::LearnLeader { leader }, quiet));
                }
            }
            RoleKind::PreCandidate => {
                let round = self.pre_vote_round();
                if !stood(RoleKind::PreCandidate) || round.is_some() {
                    events.push((Event::PreCandidate { round }, quiet));
                }
            }
            RoleKind::Candidate => {
                if !stood(RoleKind::Candidate) {
                    events.push((Event::BecomeCandidate, quiet));
                }
            }
            RoleKind::Leader => {
                if rose {
                    let state = NodeState { role: RoleKind::Candidate, leader: None, ..quiet };
                    events.push((Event::BecomeCandidate, state));
                }
                if !stood(RoleKind::Leader) {
                    events.push((Event::BecomeLeader, quiet));
                }
            }
        }
    }

    /// What was appended, as leader, or taken, as follower.
    fn log(&self, events: &mut Vec<(Event, NodeState)>) {
        let state =
            NodeState { commit: self.before.commit, applied: self.before.applied, ..self.after };
        for action in self.actions {
            let Action::Persist(write) = action else { continue };
            let Some(log) = &write.log else { continue };
            if self.after.role == RoleKind::Leader {
                events.extend(appended(log).map(|event| (event, state)));
            } else {
                let truncated_from = (log.first <= self.before.last.index).then_some(log.first);
                let count = log.chunks.iter().map(|chunk| chunk.count).sum();
                events.push((Event::Accept { truncated_from, first: log.first, count }, state));
            }
        }
    }

    /// Whether the term rose by a message of which everybody knows that it can raise it.
    fn has_term_of_its_own(&self) -> bool {
        self.inputs.iter().any(|input| match input {
            Input::Message(envelope) => {
                let message = &envelope.message;
                !matches!(message, Message::PreVote(_) | Message::PreVoteResponse(_))
            }
            _ => false,
        })
    }

    fn pre_vote_round(&self) -> Option<raft_core::Round> {
        self.actions.iter().find_map(|action| match action {
            Action::Send(envelope) => match &envelope.message {
                Message::PreVote(question) => Some(question.round),
                _ => None,
            },
            _ => None,
        })
    }
}

const fn ignored(reason: IgnoreReason) -> Event {
    Event::Ignored { message: None, reason }
}

/// A leader's write, chunk by chunk.
fn appended(log: &LogWrite) -> impl Iterator<Item = Event> {
    let mut index = log.first;
    log.chunks.iter().map(move |chunk| {
        let first = LogPosition::new(chunk.term, index);
        index.0 += chunk.count;
        let kind = match chunk.source {
            Source::Inputs { .. } => EntryKind::Command,
            Source::Membership(_) => EntryKind::Membership,
        };
        Event::Append { first, count: chunk.count, kind }
    })
}
