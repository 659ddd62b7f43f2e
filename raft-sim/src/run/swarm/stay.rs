//! Readers that stay where they are: at a leader whom another deposes, and at nodes of either half
//! of a membership that changes.

use crate::plan::act::any::Act;
use crate::plan::act::{LinkAct, RequestAct, Target};
use crate::plan::change::MembershipChange;
use crate::plan::choice::Question;
use crate::plan::setup::Setup;
use crate::plan::topology::{Topology, Whom};
use crate::run::swarm::draw::Draw;
use crate::run::swarm::storm::Kinds;
use raft_core::{Consistency, Membership, NodeId};
use std::time::Duration;

/// When a read comes, after the beginning, and how.
type Reads = Vec<(Duration, Consistency)>;

impl Draw<'_> {
    /// In a fifth of the runs, besides the other faults.
    pub(super) fn stayers(&mut self, setup: &mut Setup, kinds: Kinds) {
        if !self.one_in(5) {
            return;
        }
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let timeout = setup.election_timeout;
        self.one_by_one(Question::StormStayers, 1500, timeout * 4, |draw, at| {
            let reads = draw.reads(timeout, !kinds.jumps);
            let acts = if ids.len() > 1 && draw.one_in(2) {
                draw.either_half(&ids, &reads)
            } else {
                draw.deposed(&reads)
            };
            let acts = acts.into_iter().map(|(after, act)| (at.saturating_add(after), act));
            setup.timeline.extend(acts);
            setup.timeline.push((at.saturating_add(timeout * 4), Act::Link(LinkAct::HealAll)));
        });
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    /// Eight reads for each T, for 4T. Where clocks jump none is by lease.
    fn reads(&mut self, timeout: Duration, leases: bool) -> Reads {
        let lease_each = self.below(3);
        let of = |nth: u64| {
            let by_lease = leases && lease_each > 0 && nth.is_multiple_of(lease_each);
            if by_lease { Consistency::Lease } else { Consistency::ReadIndex }
        };
        (1..32).map(|nth| (timeout / 8 * nth, of(u64::from(nth)))).collect()
    }

    /// A leader is cut off, one way or both, and asked on.
    fn deposed(&mut self, reads: &Reads) -> Vec<(Duration, Act)> {
        let shape = self.one_of(&[Topology::Isolated, Topology::Deaf, Topology::Mute]);
        let shape = shape(Whom::Leader);
        let read = |target, consistency| {
            let read = |node| Act::Request(RequestAct::Read { node, consistency });
            Act::aimed(target, Duration::ZERO, read)
        };
        let mut acts = vec![
            (Duration::ZERO, read(Target::Leader, Consistency::ReadIndex)),
            (Duration::ZERO, Act::Link(LinkAct::Reach { shape })),
        ];
        for (after, consistency) in reads {
            acts.push((*after, read(Target::Struck, *consistency)));
        }
        acts
    }

    /// Some nodes are to be the only voters, and are cut off from the others while that is on its
    /// way; somebody reads on both sides.
    fn either_half(&mut self, ids: &[NodeId], reads: &Reads) -> Vec<(Duration, Act)> {
        let order = self.shuffled(ids);
        let last = u64::try_from(ids.len()).expect("a few nodes") - 1;
        let (new, old) = order.split_at(1 + self.index(last));
        let Ok(target) = Membership::new(new.iter().copied(), [], old.iter().copied()) else {
            return Vec::new();
        };
        let change = MembershipChange::To(target);
        let mut acts = vec![(
            Duration::ZERO,
            Act::Request(RequestAct::ChangeMembership { node: None, change }),
        )];
        let shape = Topology::Split(vec![new.to_vec(), old.to_vec()]);
        acts.push((self.millis(0, 30), Act::Link(LinkAct::Reach { shape })));
        let readers = [self.one_of(new), self.one_of(old)];
        for ((after, consistency), nth) in reads.iter().zip(0..) {
            let (node, consistency) = (readers[nth % 2], *consistency);
            acts.push((*after, Act::Request(RequestAct::Read { node, consistency })));
        }
        acts
    }
}
