//! Directed links that delay, lose, duplicate and reorder messages, and that can be cut.

use crate::host::packet::{Packet, Payload};
use crate::plan::act::{Act, LinkAct, MessageAct};
use crate::plan::choice::{Choices, Question, nanos};
use crate::plan::profile::LinkProfile;
use crate::plan::record::DropReason;
use crate::plan::setup::Setup;
use crate::plan::topology::Topology;
use crate::world::past::Past;
use raft_core::{Envelope, Instant, MessageKind, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a link does to a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passage {
    /// It arrives then, and perhaps once more.
    Arrives(Instant, Option<Instant>),
    /// It does not.
    Lost(DropReason),
}

/// One direction between two nodes.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
struct Link {
    profile: LinkProfile,
    cut: bool,
    /// How often it was cut so far.
    cuts: u64,
    /// Since when it flaps, and how long it is cut or works at a time.
    flaps: Option<(Instant, Duration)>,
    lost_kinds: BTreeSet<MessageKind>,
    /// Whether it was set to another profile than that of the start.
    is_set: bool,
}

/// Every link of a world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// What was sent, if it is to be given to somebody again.
    past: Option<Past>,
}

/// What must get through between a leader and a follower.
const NEEDED: [MessageKind; 2] = [MessageKind::AppendEntries, MessageKind::AppendEntriesResponse];

impl Network {
    /// The links of a setup, all of them whole.
    pub fn new(setup: &Setup) -> Self {
        let ids = || setup.nodes.iter().map(|node| node.id);
        let pairs = ids().flat_map(|from| ids().map(move |to| (from, to)));
        let link = |pair| {
            let profile = setup.links.get(&pair).copied().unwrap_or(setup.link);
            (pair, Link { profile, ..Link::default() })
        };
        let links = pairs.filter(|(from, to)| from != to).map(link).collect();
        let hostile = |(_, fault): &_| matches!(fault, Act::Message(MessageAct::Hostile { .. }));
        let past = setup.timeline.iter().any(hostile).then(Past::default);
        Self { links, past }
    }

    /// Sends a message: says what becomes of it, and when it is to arrive.
    pub fn send(&self, envelope: &Envelope, now: Instant, choices: &mut Choices) -> Passage {
        let Some(link) = self.links.get(&(envelope.from, envelope.to)) else {
            return Passage::Lost(DropReason::Cut);
        };
        let LinkProfile { min_delay, max_delay, loss_ppm, duplicate_ppm } = link.profile;
        if link.is_cut(now) {
            return Passage::Lost(DropReason::Cut);
        }
        if link.lost_kinds.contains(&envelope.message.kind()) {
            return Passage::Lost(DropReason::Kind);
        }
        if choices.chance(Question::Loss, loss_ppm) {
            return Passage::Lost(DropReason::Loss);
        }
        let doubled = choices.chance(Question::Duplicate, duplicate_ppm);
        let mut arrival =
            || now.saturating_add(choices.duration(Question::Delay, min_delay, max_delay));
        let first = arrival();
        Passage::Arrives(first, doubled.then(arrival))
    }

    /// What travels.
    pub fn packet(&self, envelope: Envelope, payload: Payload, now: Instant) -> Packet {
        let link = self.links.get(&(envelope.from, envelope.to));
        let cuts = link.map_or(0, |link| link.cuts(now));
        Packet { envelope, payload, cuts }
    }

    /// What was sent so far, or some of it; `None` unless the setup has somebody who sends it
    /// again.
    pub(super) fn past(&self) -> Option<impl Iterator<Item = &Packet>> {
        self.past.as_ref().map(Past::kept)
    }

    /// A packet leaves: it may be sent again by somebody else.
    pub(super) fn leaves(&mut self, packet: &Packet) {
        if let Some(past) = &mut self.past {
            past.keep(packet);
        }
    }

    /// Whether a packet really arrives: not if the link was cut meanwhile.
    pub fn arrives(&self, packet: &Packet, now: Instant) -> bool {
        self.links
            .get(&(packet.envelope.from, packet.envelope.to))
            .is_some_and(|link| !link.is_cut(now) && link.cuts(now) == packet.cuts)
    }

    /// Whether both directions between two nodes are whole, and let appends and answers through.
    pub fn joins(&self, a: NodeId, b: NodeId, now: Instant) -> bool {
        let whole = |from, to| {
            self.links.get(&(from, to)).is_some_and(|link| {
                !link.is_cut(now) && !NEEDED.iter().any(|kind| link.lost_kinds.contains(kind))
            })
        };
        a == b || whole(a, b) && whole(b, a)
    }

    /// Whether every link is whole, and lets everything through.
    pub fn is_whole(&self, now: Instant) -> bool {
        self.links.values().all(|link| !link.is_cut(now) && link.lost_kinds.is_empty())
    }

    /// Whether entries and their answers get through between two nodes, if not always: a link may
    /// flap, or lose something by chance.
    pub fn may_reach(&self, a: NodeId, b: NodeId) -> bool {
        let may = |from, to| {
            let gone = |link: &Link| link.cut || NEEDED.iter().any(|k| link.lost_kinds.contains(k));
            self.links.get(&(from, to)).is_some_and(|link| !gone(link))
        };
        a == b || may(a, b) && may(b, a)
    }

    /// Whether both directions between two nodes are whole all the time, and lose nothing.
    pub fn is_clear(&self, a: NodeId, b: NodeId, now: Instant) -> bool {
        let clear = |from, to| {
            self.links.get(&(from, to)).is_some_and(|link| {
                let lossless = link.lost_kinds.is_empty() && link.profile.loss_ppm == 0;
                lossless && link.flaps.is_none() && !link.is_cut(now)
            })
        };
        a == b || clear(a, b) && clear(b, a)
    }

    /// How long a message takes at most from `a` to `b`; `None` if both ways are not clear.
    pub fn longest_delay(&self, a: NodeId, b: NodeId, now: Instant) -> Option<Duration> {
        if a == b {
            return Some(Duration::ZERO);
        }
        self.links.get(&(a, b)).filter(|_| self.is_clear(a, b, now)).map(|l| l.profile.max_delay)
    }

    /// Whether a link loses messages by chance, or takes more than a tenth of T.
    pub fn hampers(&self, timeout: Duration) -> bool {
        let profiles = || self.links.values().map(|link| link.profile);
        profiles().any(|link| link.loss_ppm > 0 || link.max_delay * 10 > timeout)
    }

    /// Whether each link works exactly if the way back does.
    pub fn is_symmetric(&self, now: Instant) -> bool {
        let works = |pair| self.links.get(&pair).is_some_and(|link| !link.is_cut(now));
        self.links.keys().all(|(a, b)| works((*a, *b)) == works((*b, *a))) && !self.flaps()
    }

    /// Whether a link is cut again and again.
    pub fn flaps(&self) -> bool {
        self.links.values().any(|link| link.flaps.is_some())
    }

    /// Whether a link loses messages by their kind.
    pub fn loses_kinds(&self) -> bool {
        self.links.values().any(|link| !link.lost_kinds.is_empty())
    }

    /// Does something to links; `leader` is who can commit.
    pub fn act(&mut self, act: &LinkAct, leader: Option<NodeId>, now: Instant) {
        match *act {
            LinkAct::Cut { from, to } => self.change(from, to, Link::cut),
            LinkAct::Heal { from, to } => self.change(from, to, |link| link.heal(now)),
            LinkAct::HealAll => {
                for link in self.links.values_mut() {
                    link.heal(now);
                    link.lost_kinds.clear();
                }
            }
            LinkAct::Isolate { node } => {
                for ((from, to), link) in &mut self.links {
                    if *from == node || *to == node {
                        link.cut();
                    }
                }
            }
            LinkAct::Reach { ref shape } => self.reach(shape, leader, now),
            LinkAct::Flap { from, to, period } => self.change(from, to, |link| {
                link.heal(now);
                link.flaps = Some((now, period));
            }),
            LinkAct::SetLink { from, to, profile } => self.change(from, to, |link| {
                link.profile = profile;
                link.is_set = true;
            }),
            LinkAct::DropKind { from, to, kind } => self.change(from, to, |link| {
                link.lost_kinds.insert(kind);
            }),
            LinkAct::PassKind { from, to, kind } => self.change(from, to, |link| {
                link.lost_kinds.remove(&kind);
            }),
        }
    }

    /// What is wrong with each link, in the words of a picture.
    pub(crate) fn troubles(&self) -> impl Iterator<Item = (NodeId, NodeId, &'static str)> {
        self.links.iter().flat_map(|((from, to), link)| {
            link.troubles().map(|trouble| (*from, *to, trouble)).collect::<Vec<_>>()
        })
    }

    /// Makes links whole, and cuts others, as a shape says.
    fn reach(&mut self, shape: &Topology, leader: Option<NodeId>, now: Instant) {
        for ((from, to), link) in &mut self.links {
            match shape.joins(*from, *to, leader) {
                Some(true) => link.heal(now),
                Some(false) => link.cut(),
                None => {}
            }
        }
    }

    fn change(&mut self, from: NodeId, to: NodeId, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(&(from, to)) {
            change(link);
        }
    }
}

impl Link {
    /// What is wrong with it, in the words of a picture.
    fn troubles(&self) -> impl Iterator<Item = &'static str> {
        let cut = self.cut.then_some("cut");
        let flaps = self.flaps.is_some().then_some("flaps");
        // Nothing says how it was before.
        let set = self.is_set.then_some("slow or lossy");
        let lost = self.lost_kinds.iter().map(|kind| kind.name());
        cut.into_iter().chain(flaps).chain(set).chain(lost)
    }

    fn cut(&mut self) {
        self.cut = true;
        self.cuts += 1;
    }

    fn heal(&mut self, now: Instant) {
        self.cuts = self.cuts(now);
        self.cut = false;
        self.flaps = None;
    }

    fn is_cut(&self, now: Instant) -> bool {
        self.cut || self.flapped(now).is_some_and(|times| times % 2 == 1)
    }

    fn cuts(&self, now: Instant) -> u64 {
        self.cuts + self.flapped(now).map_or(0, |times| times.div_ceil(2))
    }

    /// How often it has changed since it flaps; the first change cuts it.
    fn flapped(&self, now: Instant) -> Option<u64> {
        let (since, period) = self.flaps?;
        Some(1 + nanos(now.saturating_since(since)) / nanos(period).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, Passage};
    use crate::host::packet::Payload;
    use crate::plan::act::LinkAct;
    use crate::plan::choice::Choices;
    use crate::plan::profile::LinkProfile;
    use crate::plan::record::DropReason;
    use crate::plan::setup::Setup;
    use crate::plan::topology::{Topology, Whom};
    use raft_core::{
        Envelope, Instant, LogPosition, Message, MessageKind, NodeId, PreVote, RequestVote, Round,
        Term,
    };
    use std::time::Duration;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const NOW: Instant = Instant::ZERO;

    fn envelope(message: Message) -> Envelope {
        Envelope { from: A, to: B, term: Term(1), message }
    }

    fn vote() -> Envelope {
        envelope(Message::RequestVote(RequestVote { last: LogPosition::ZERO, permit: None }))
    }

    fn act(network: &mut Network, act: &LinkAct) {
        network.act(act, None, NOW);
    }

    fn passage(network: &Network, envelope: &Envelope) -> Passage {
        network.send(envelope, Instant::ZERO, &mut Choices::seeded(1))
    }

    #[test]
    fn links_are_directed() {
        let mut network = Network::new(&Setup::of_voters(3));
        act(&mut network, &LinkAct::Cut { from: A, to: B });
        assert_eq!(passage(&network, &vote()), Passage::Lost(DropReason::Cut));
        let back = Envelope { from: B, to: A, ..vote() };
        assert!(matches!(passage(&network, &back), Passage::Arrives(..)));
        assert!(!network.joins(A, B, NOW) && network.joins(A, NodeId(3), NOW));
        act(&mut network, &LinkAct::Heal { from: A, to: B });
        assert!(network.joins(A, B, NOW));
    }

    #[test]
    fn a_cut_takes_what_is_on_its_way_even_if_it_is_healed_in_time() {
        let mut network = Network::new(&Setup::of_voters(2));
        let packet = network.packet(vote(), Payload::default(), NOW);
        assert!(network.arrives(&packet, NOW));
        act(&mut network, &LinkAct::Isolate { node: B });
        assert!(!network.arrives(&packet, NOW));
        act(&mut network, &LinkAct::HealAll);
        assert!(!network.arrives(&packet, NOW));
        assert!(network.arrives(&network.packet(vote(), Payload::default(), NOW), NOW));
    }

    #[test]
    fn a_flapping_link_is_cut_first_and_takes_what_is_on_its_way_each_time() {
        let mut network = Network::new(&Setup::of_voters(2));
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let period = Duration::from_millis(10);
        network.act(&LinkAct::Flap { from: A, to: B, period }, None, at(100));
        let joined = [100, 109, 110, 119, 120, 130].map(|millis| network.joins(A, B, at(millis)));
        assert_eq!(joined, [false, false, true, true, false, true]);
        let packet = network.packet(vote(), Payload::default(), at(112));
        assert!(network.arrives(&packet, at(119)));
        assert!(!network.arrives(&packet, at(120)) && !network.arrives(&packet, at(135)));
        let packet = network.packet(vote(), Payload::default(), at(132));
        network.act(&LinkAct::Heal { from: A, to: B }, None, at(136));
        assert!(network.arrives(&packet, at(500)), "it was not cut since");
    }

    #[test]
    fn a_shape_cuts_and_heals() {
        let mut network = Network::new(&Setup::of_voters(4));
        act(&mut network, &LinkAct::Isolate { node: A });
        let order = [1, 2, 3, 4].map(NodeId).to_vec();
        act(&mut network, &LinkAct::Reach { shape: Topology::Chain(order) });
        assert!(network.joins(A, B, NOW) && !network.joins(A, NodeId(3), NOW));
        let shape = Topology::Deaf(Whom::Leader);
        network.act(&LinkAct::Reach { shape }, Some(A), NOW);
        assert!(!network.joins(A, B, NOW) && network.joins(B, NodeId(3), NOW));
    }

    #[test]
    fn one_kind_can_be_lost() {
        let mut network = Network::new(&Setup::of_voters(2));
        let kind = MessageKind::RequestVote;
        act(&mut network, &LinkAct::DropKind { from: A, to: B, kind });
        let question =
            envelope(Message::PreVote(PreVote { round: Round(1), last: LogPosition::ZERO }));
        assert!(matches!(passage(&network, &question), Passage::Arrives(..)));
        assert_eq!(passage(&network, &vote()), Passage::Lost(DropReason::Kind));
        act(&mut network, &LinkAct::PassKind { from: A, to: B, kind });
        assert!(matches!(passage(&network, &vote()), Passage::Arrives(..)));
    }

    #[test]
    fn loss_duplication_and_delay_follow_the_profile() {
        let mut setup = Setup::of_voters(2);
        let (min_delay, max_delay) = (Duration::from_micros(10), Duration::from_micros(20));
        let profile = LinkProfile { min_delay, max_delay, loss_ppm: 0, duplicate_ppm: 1_000_000 };
        setup.links.insert((A, B), profile);
        let mut network = Network::new(&setup);
        let Passage::Arrives(first, Some(again)) = passage(&network, &vote()) else {
            panic!("not lost, and doubled");
        };
        let range =
            Instant::ZERO.saturating_add(min_delay)..=Instant::ZERO.saturating_add(max_delay);
        assert!(range.contains(&first) && range.contains(&again));
        let profile = LinkProfile { loss_ppm: 1_000_000, ..profile };
        act(&mut network, &LinkAct::SetLink { from: A, to: B, profile });
        assert_eq!(passage(&network, &vote()), Passage::Lost(DropReason::Loss));
    }
}
