//! The branches of the core that matter and that are seldom taken, as they are seen from outside:
//! in what a node is given, says and hands out.

use crate::checker::coverage::Coverage;
use crate::host::log::Entry;
use crate::world::host::Process;
use crate::world::watch::fact::{Fact, Stepped};
use crate::world::watch::scene::Scene;
use raft_core::payload::Content;
use raft_core::{
    Action, AppendOutcome, Consistency, Envelope, IgnoreReason, Input, Instant, LogIndex, LogWrite,
    Membership, Message, NodeId, Permit, RejectReason, RoleKind, Round, Source, Ticket, Token,
    Verdict, Write,
};
use std::collections::BTreeMap;

/// What has to be remembered for that.
#[derive(Clone, Default, Debug)]
pub(super) struct Branches {
    lives: BTreeMap<NodeId, Life>,
}

/// One life of a node.
#[derive(Clone, Default, Debug)]
struct Life {
    /// Whether it has heard a leader.
    has_heard: bool,
    /// What it installs.
    is_installing: bool,
    /// What it read off its clock at its last step.
    clock: Instant,
    /// The newest round that it has sent, and the one by which its clock had last gone back.
    newest: Round,
    untimed: Option<Round>,
    /// The membership before its last step, where that was joint.
    joint: Option<Halves>,
    /// The newest write that its disk has completed, and when.
    written: Option<(Ticket, Instant)>,
    /// Who said that it would vote for this node, in a round.
    would_vote: (Round, Vec<NodeId>),
}

/// The halves of a joint membership.
#[derive(Clone, Copy, Debug)]
enum Halves {
    /// Each majority of the one has a node of each majority of the other.
    Meet,
    /// There are majorities without a common node.
    Apart,
}

impl Halves {
    fn of(membership: &Membership) -> Option<Self> {
        if !membership.is_joint() {
            return None;
        }
        let majority = |half: &[NodeId]| half.len() / 2 + 1;
        let least = majority(membership.voters()) + majority(membership.outgoing());
        let fit = membership.all_voters().count() >= least;
        Some(if fit { Self::Apart } else { Self::Meet })
    }
}

impl Branches {
    /// Counts what happened in a step.
    pub(super) fn of_step(&mut self, seen: &mut Coverage, scene: Scene<'_>, step: &Stepped<'_>) {
        let Some(host) = scene.host(step.node) else { return };
        let life = self.lives.entry(step.node).or_default();
        let local = host.local(scene.now);
        if local < life.clock {
            life.untimed = Some(life.newest);
            seen.steps_back_leading += u64::from(step.before.role == RoleKind::Leader);
        }
        life.clock = local;
        of_roles(seen, life, step);
        if let Some(process) = scene.process(step.node) {
            of_commit(seen, life, step, process);
        }
        seen.calls_of_two_leaders += u64::from(is_of_two_leaders(step));
        for input in step.inputs {
            match input {
                Input::Message(envelope) => life.of_message(seen, step, envelope),
                Input::Read { token, consistency: Consistency::Lease } => {
                    seen.reads_leased += u64::from(is_leased(step, *token));
                }
                _ => {}
            }
        }
        for action in step.actions {
            life.of_action(seen, step, action);
        }
        life.is_installing = step.after.installing.is_some();
        life.joint = Halves::of(host.membership());
    }

    /// Counts any other fact.
    pub(super) fn of_fact(&mut self, seen: &mut Coverage, scene: Scene<'_>, fact: &Fact<'_>) {
        match *fact {
            Fact::Started { node, .. } => {
                let joint = scene.host(node).and_then(|host| Halves::of(host.membership()));
                self.lives.insert(node, Life { joint, ..Life::default() });
            }
            Fact::Crashed { node, .. } => {
                let life = self.lives.remove(&node);
                seen.installs_cut += u64::from(life.is_some_and(|life| life.is_installing));
            }
            Fact::Written { node, ticket } => {
                self.lives.entry(node).or_default().written = Some((ticket, scene.now));
            }
            Fact::Given { node, inputs } => {
                let completed = inputs.iter().filter_map(|input| match input {
                    Input::Persisted { ticket } => Some(*ticket),
                    _ => None,
                });
                if let (Some(newest), Some(life)) = (completed.max(), self.lives.get(&node))
                    && let Some((written, at)) = life.written
                {
                    seen.completions_late += u64::from(written == newest && at < scene.now);
                    seen.completions_behind += u64::from(written > newest);
                }
            }
            Fact::CarriesOut { node, action: Action::Persist(Write { log: Some(log), .. }) } => {
                let undone = scene.process(node).is_some_and(|process| undoes(process, log));
                seen.memberships_undone += u64::from(undone);
            }
            _ => {}
        }
    }
}

/// Whether entries of two leaders come in one call, and both are of a term that counts.
fn is_of_two_leaders(step: &Stepped<'_>) -> bool {
    let mut terms = step.inputs.iter().filter_map(|input| match input {
        Input::Message(Envelope { term, message: Message::AppendEntries(m), .. }) => {
            (*term >= step.before.term && m.entries.count() > 0).then_some(*term)
        }
        _ => None,
    });
    terms.next().is_some_and(|first| terms.any(|term| term > first))
}

/// Roles that are won and given up.
fn of_roles(seen: &mut Coverage, life: &Life, step: &Stepped<'_>) {
    let (before, after) = (step.before, step.after);
    let same_term = before.term == after.term;
    if after.role == RoleKind::Leader && (before.role != RoleKind::Leader || !same_term) {
        seen.elected_late += u64::from(same_term && before.role == RoleKind::PreCandidate);
        seen.elections_joint += u64::from(life.joint.is_some());
        seen.elections_apart += u64::from(matches!(life.joint, Some(Halves::Apart)));
    }
    let resigns = before.role == RoleKind::Leader && after.role == RoleKind::Follower && same_term;
    if resigns && step.inputs.contains(&Input::Wake) {
        let permits = |action: &Action| match action {
            Action::Send(envelope) => envelope.message == Message::TimeoutNow,
            _ => false,
        };
        if step.actions.iter().any(permits) {
            seen.leaders_with_hung_disks += 1;
        } else if before.transfers_to.is_none() {
            seen.leaders_without_quorum += 1;
        }
    }
}

/// What a leader comes to count as committed.
fn of_commit(seen: &mut Coverage, life: &Life, step: &Stepped<'_>, process: &Process) {
    let (before, after) = (step.before, step.after);
    if after.role != RoleKind::Leader || before.commit_index == after.commit_index {
        return;
    }
    let first = process.log.position(LogIndex(before.commit_index.get() + 1));
    seen.commits_of_before += u64::from(first.is_some_and(|first| first.term < after.term));
    seen.commits_before_own_disk += u64::from(after.durable.index < after.commit_index);
    seen.commits_joint += u64::from(life.joint.is_some());
    seen.commits_apart += u64::from(matches!(life.joint, Some(Halves::Apart)));
}

/// Whether a read is answered in the step that asked for it, by a leader.
fn is_leased(step: &Stepped<'_>, token: Token) -> bool {
    let ready = |action: &Action| match action {
        Action::ReadReady { token: other, .. } => *other == token,
        _ => false,
    };
    step.after.lease_until.is_some() && step.actions.iter().any(ready)
}

/// Whether a write, which is not made yet, drops a membership.
fn undoes(process: &Process, log: &LogWrite) -> bool {
    let is_membership = |entry: &Entry| matches!(entry.content, Content::Membership(_));
    log.restart_after.is_none()
        && log.first <= process.log.last().index
        && process.log.from(log.first).any(|(_, entry)| is_membership(entry))
}

impl Life {
    /// A message that came in.
    fn of_message(&mut self, seen: &mut Coverage, step: &Stepped<'_>, envelope: &Envelope) {
        let (before, after) = (step.before, step.after);
        let (from, term) = (envelope.from, envelope.term);
        match &envelope.message {
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
                let now = term == before.term;
                let is_late = now && before.role == RoleKind::PreCandidate;
                seen.votes_late += u64::from(is_late && !is_ignored(step, from, None));
                seen.votes_after_winning += u64::from(now && before.role == RoleKind::Leader);
            }
            Message::PreVoteResponse(m) => {
                let (round, yes) = &mut self.would_vote;
                if *round != m.round {
                    (*round, *yes) = (m.round, Vec::new());
                }
                if m.verdict == Verdict::Granted {
                    yes.push(from);
                } else if yes.contains(&from) && before.role == RoleKind::PreCandidate {
                    seen.pre_votes_taken_back += 1;
                }
            }
            Message::RequestVote(m) => {
                let votes = (before.term, before.voted_for) != (after.term, after.voted_for)
                    && after.voted_for == Some(from);
                let knows = |p: Permit| before.leader == Some(p.leader) && p.term == before.term;
                seen.votes_by_permit += u64::from(votes && m.permit.is_some_and(knows));
            }
            Message::AppendEntries(_) => self.has_heard |= term >= before.term,
            Message::InstallSnapshot(_) => {
                self.has_heard |= term >= before.term;
                if is_ignored(step, from, None) || term < after.term {
                    return;
                }
                let none = before.installing.is_none() && after.installing.is_none();
                seen.installs_needless += u64::from(none);
            }
            Message::AppendEntriesResponse(m) => {
                let is_late = is_ignored(step, from, Some(IgnoreReason::Stale));
                seen.answers_late += u64::from(is_late);
                if let (Some(echo), Some(untimed)) = (m.echo, self.untimed) {
                    let counts = term == after.term && after.role == RoleKind::Leader && !is_late;
                    seen.rounds_untimed += u64::from(counts && echo.round <= untimed);
                }
            }
            _ => {}
        }
    }

    /// What is handed out.
    fn of_action(&mut self, seen: &mut Coverage, step: &Stepped<'_>, action: &Action) {
        match action {
            Action::Send(envelope) => self.of_sent(seen, step, envelope),
            Action::Persist(Write { log: Some(log), .. }) => {
                seen.logs_dropped += u64::from(log.restart_after.is_some());
                for chunk in log.chunks.iter() {
                    let Source::Inputs { first, last, skip } = chunk.source else { continue };
                    seen.chunks_joined += u64::from(first < last);
                    seen.chunks_skipping += u64::from(skip > 0);
                    seen.chunks_joined_skipping += u64::from(first < last && skip > 0);
                }
            }
            Action::Ignored { reason, .. } => match reason {
                IgnoreReason::UnknownPeer => seen.peers_unknown += 1,
                IgnoreReason::UnknownVoter => seen.voters_unknown += 1,
                _ => {}
            },
            Action::Rejected { reason: RejectReason::TimedOut, .. } => seen.reads_timed_out += 1,
            _ => {}
        }
    }

    fn of_sent(&mut self, seen: &mut Coverage, step: &Stepped<'_>, envelope: &Envelope) {
        let completes = |input: &Input| matches!(input, Input::Persisted { .. });
        let refuses = |verdict: Verdict| verdict == Verdict::LeaderAlive && !self.has_heard;
        match &envelope.message {
            Message::RequestVote(m) => {
                seen.permits_used += u64::from(m.permit.is_some());
                seen.held_for_disk += u64::from(step.inputs.iter().all(completes));
            }
            Message::RequestVoteResponse(m) => {
                seen.held_for_disk += u64::from(step.inputs.iter().all(completes));
                seen.promises_kept += u64::from(refuses(m.verdict));
            }
            Message::PreVoteResponse(m) => seen.promises_kept += u64::from(refuses(m.verdict)),
            Message::AppendEntries(m) => {
                self.newest = m.probe.map_or(self.newest, |probe| probe.round.max(self.newest));
            }
            Message::AppendEntriesResponse(m) => match m.outcome {
                AppendOutcome::StaleTerm => seen.leaders_told += 1,
                AppendOutcome::Installing => seen.refused_installing += 1,
                AppendOutcome::Matched { .. } | AppendOutcome::Mismatched { .. } => {}
            },
            Message::ReadIndex(_) => {
                seen.questions_repeated += u64::from(step.inputs.contains(&Input::Wake));
            }
            Message::ReadIndexResponse(m) => {
                *(if m.index.is_some() { &mut seen.reads_led } else { &mut seen.reads_misled }) +=
                    1;
            }
            _ => {}
        }
    }
}

/// Whether what this peer said was refused, for this reason, or for any.
fn is_ignored(step: &Stepped<'_>, peer: NodeId, why: Option<IgnoreReason>) -> bool {
    step.actions.iter().any(|action| match action {
        Action::Ignored { from, reason } => {
            *from == Some(peer) && why.is_none_or(|why| why == *reason)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::Halves;
    use crate::plan::act::{Act, ClockAct, DiskAct, LinkAct, ProcessAct, RequestAct, Target};
    use crate::plan::change::MembershipChange;
    use crate::plan::choice::Choices;
    use crate::plan::profile::{DiskProfile, LinkProfile};
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::world::World;
    use raft_core::{Consistency, Instant, Membership, NodeId};
    use std::collections::BTreeMap;
    use std::time::Duration;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    /// What ten seconds of three nodes have, of which S1 leads, if nothing is done but this.
    fn counts(acts: &[(u64, Act)]) -> BTreeMap<&'static str, u64> {
        let mut setup = Setup::of_voters(3);
        let delay = Duration::from_millis(60);
        setup.link = LinkProfile { min_delay: delay, max_delay: delay, ..LinkProfile::default() };
        let latency = Duration::from_millis(5);
        setup.disk = DiskProfile { min_latency: latency, max_latency: latency };
        let campaign = (100, Act::Request(RequestAct::Campaign { node: A }));
        let acts = std::iter::once(&campaign).chain(acts);
        let at = |millis| Instant::from_nanos(millis * 1_000_000);
        setup.timeline = acts.map(|(millis, act)| (at(*millis), act.clone())).collect();
        let mut world = World::new(&setup, Choices::seeded(1)).expect("sense");
        assert_eq!(world.run_until(at(10_000), &mut Nobody), Ok(()));
        world.outcome(Ok(())).coverage.counts().into_iter().collect()
    }

    fn crash(node: NodeId) -> Act {
        Act::Process(ProcessAct::Crash { node })
    }

    fn restart(node: NodeId) -> Act {
        Act::Process(ProcessAct::Restart { node })
    }

    fn propose(node: NodeId, count: u64) -> Act {
        Act::Request(RequestAct::Propose { node, count })
    }

    #[test]
    fn each_branch_is_counted_where_it_is_taken() {
        /// What is done, and what is counted then.
        type Case<'a> = (Vec<(u64, Act)>, &'a [&'a str]);

        let read = |node, consistency| Act::Request(RequestAct::Read { node, consistency });
        let lease = read(A, Consistency::Lease);
        let transfer = Act::Request(RequestAct::Transfer { node: None, to: Some(B) });
        let change = MembershipChange::Demote(C);
        let change = Act::Request(RequestAct::ChangeMembership { node: None, change });
        let cases: Vec<Case<'_>> = vec![
            (vec![(3_000, transfer)], &["permits_used", "votes_by_permit"]),
            (
                vec![(3_000, Act::Clock(ClockAct::StepBack { node: A, back: 300 }))],
                &["steps_back_leading", "rounds_untimed"],
            ),
            (vec![(3_000, Act::Link(LinkAct::Isolate { node: A }))], &["leaders_without_quorum"]),
            (vec![(3_000, change)], &["commits_joint"]),
            (vec![(3_000, lease)], &["reads_leased"]),
            (vec![(3_000, read(B, Consistency::ReadIndex))], &["reads_led"]),
            (vec![(3_000, crash(A)), (3_000, crash(B)), (3_800, restart(B))], &["promises_kept"]),
            (
                vec![(3_000, Act::Disk(DiskAct::HangDisk { node: A })), (3_001, propose(A, 1))],
                &["leaders_with_hung_disks"],
            ),
            (
                vec![
                    (2_000, crash(C)),
                    (2_100, propose(A, 3)),
                    (3_000, Act::Request(RequestAct::TakeSnapshot { node: A })),
                    (4_000, Act::aimed(Target::Installing, Duration::from_secs(5), crash)),
                    (4_000, restart(C)),
                ],
                &["installs_cut"],
            ),
        ];
        let quiet = counts(&[]);
        for (acts, names) in cases {
            let seen = counts(&acts);
            for name in names {
                assert_eq!(quiet[name], 0, "{name}");
                assert!(seen[name] > 0, "{name} after {acts:?}");
            }
        }
    }
    #[test]
    fn halves_are_apart_where_majorities_of_them_have_nobody_in_common() {
        let of = |voters: &[u64], outgoing: &[u64]| {
            let ids = |half: &[u64]| half.iter().copied().map(NodeId).collect::<Vec<_>>();
            let joint = Membership::new(ids(voters), ids(outgoing), []).expect("members");
            Halves::of(&joint).map(|halves| matches!(halves, Halves::Apart))
        };
        assert_eq!(of(&[1, 2, 3], &[]), None);
        assert_eq!(of(&[1, 2, 3], &[1, 2]), Some(false));
        assert_eq!(of(&[1, 2, 4], &[1, 2, 3]), Some(true));
        assert_eq!(of(&[1], &[2]), Some(true));
        assert_eq!(of(&[1, 2, 3, 4], &[1, 2, 3]), Some(false));
    }
}
