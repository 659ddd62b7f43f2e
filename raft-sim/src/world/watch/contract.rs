//! The world as the contract of `docs/LIVENESS.md` sees it, moment by moment. Whether its premises
//! hold is read off disks, links, clocks and logs.

use crate::checker::contract::{
    Bounds, Contract, Moment, Places, Promised, Standing, is_constrained,
};
use crate::host::log::Command;
use crate::plan::act::{Act, ClockAct};
use crate::world::host::{Host, Process};
use crate::world::network::Network;
use crate::world::watch::fact::{Fact, Stepped};
use crate::world::watch::links::Links;
use crate::world::watch::scene::Scene;
use raft_core::{Config, Instant, LogIndex, NodeId, Protection, RoleKind, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// T is at least so many round trips, or nothing is promised.
const ROUND_TRIPS: u32 = 5;

/// Shows the contract each moment at which something changed that it is about.
#[derive(Clone, Default, Debug)]
pub(crate) struct Premises {
    contract: Contract,
    /// Whether something has changed since the last look.
    is_due: bool,
    /// Until when the clock of a node that has jumped stands still for it.
    jumped: BTreeMap<NodeId, Instant>,
    /// Whether a node has forgotten what it promised.
    is_wiped: bool,
    /// The links; `None` if something was done to them since they were looked at.
    links: Option<Links>,
    /// The last moment that was shown, for its memory.
    moment: Moment,
}

impl Premises {
    pub(crate) const fn contract(&self) -> &Contract {
        &self.contract
    }

    /// A node was stepped.
    pub(super) fn note_step(&mut self, step: &Stepped<'_>) {
        let seen = |status: &Status| {
            let Status { role, term, last, installing, transfers_to, .. } = *status;
            (role, term, last, installing, transfers_to, status.membership_changes)
        };
        let committed = step.before.commit_index != step.after.commit_index;
        let leads = step.after.role == RoleKind::Leader;
        self.is_due |= seen(step.before) != seen(step.after) || committed && leads;
    }

    /// Anything else happened, or is about to.
    pub(super) fn note(&mut self, scene: Scene<'_>, fact: &Fact<'_>) {
        match *fact {
            Fact::Started { .. } | Fact::Crashed { .. } => self.is_due = true,
            Fact::Wiped { .. } => self.is_wiped = true,
            Fact::Act { act } => {
                self.is_due = true;
                self.links = None;
                if let Act::Clock(act) = act {
                    self.note_clock(scene.now, act);
                }
            }
            _ => {}
        }
    }

    /// Forward a clock has jumped at once; back, it stands still until it has caught up, which
    /// takes longer if it is slow.
    fn note_clock(&mut self, now: Instant, act: &ClockAct) {
        let Some((node, behind)) = act.jump() else { return };
        let until = self.jumped.entry(node).or_insert(now);
        *until = (*until).max(now).saturating_add(behind + behind / 50);
    }

    /// Looks, after every event.
    ///
    /// # Errors
    ///
    /// What is not as the contract says.
    pub(super) fn look(&mut self, scene: Scene<'_>, network: &Network) -> Result<(), String> {
        let over = self.contract.due().is_some_and(|due| scene.now > due);
        if !(self.is_due || over) {
            return Ok(());
        }
        self.is_due = false;
        let links = self.links.take().unwrap_or_else(|| Links::of(scene, network));
        let mut moment = std::mem::take(&mut self.moment);
        moment.now = scene.now;
        moment.promised = self.promised(scene, &links);
        moment.nodes.clear();
        // Where nothing is promised nobody asks how the nodes are.
        if moment.promised.is_some() {
            moment.nodes.extend(self.nodes(scene, &links));
        }
        let seen = self.contract.see(&moment, &|group| bounds(scene, &links, group));
        (self.links, self.moment) = (Some(links), moment);
        seen
    }

    /// Whether nobody can win now because of the logs alone.
    pub(crate) fn is_constrained(&self, scene: Scene<'_>, network: &Network) -> bool {
        let links = Links::of(scene, network);
        let (now, promised) = (scene.now, self.promised(scene, &links));
        is_constrained(&Moment { now, promised, nodes: self.nodes(scene, &links).collect() })
    }

    fn promised(&self, scene: Scene<'_>, links: &Links) -> Option<Promised> {
        let is_fit = !self.is_wiped && scene.hosts.count() <= Places::MOST && !links.loses_kinds;
        if is_fit { promised(scene, links) } else { None }
    }

    fn nodes(&self, scene: Scene<'_>, links: &Links) -> impl Iterator<Item = Standing> {
        scene.hosts.iter().enumerate().map(move |(place, host)| {
            let places = |ids: &[NodeId]| -> Places {
                ids.iter().filter_map(|id| scene.hosts.place(*id)).collect()
            };
            let membership = host.membership();
            let process = host.process.as_ref();
            let status = process.map(|process| &process.status);
            let disk = host.disk.stored();
            Standing {
                id: host.id(),
                works: self.works(scene, host),
                runs: host.runs(),
                joined: links.joined(place),
                reached: links.reached(place),
                may_campaign: process.is_some() && host.may_campaign(),
                last: host.last(),
                voters: places(membership.voters()),
                outgoing: places(membership.outgoing()),
                role: status.map_or(RoleKind::Follower, |status| status.role),
                term: status.map_or(disk.hard_state.current_term, |status| status.term),
                leads: process.is_some_and(leads),
                is_idle: status.is_some_and(|status| status.commit_index == status.last.index),
                is_asked: status.is_some_and(|status| status.transfers_to.is_some())
                    || !membership.voters().contains(&host.id()),
            }
        })
    }

    /// Whether a node does what the premises ask of the group.
    fn works(&self, scene: Scene<'_>, host: &Host) -> bool {
        let jumps = self.jumped.get(&host.id()).is_some_and(|until| scene.now <= *until);
        let Some(process) = host.process.as_ref().filter(|_| host.runs() && !jumps) else {
            return false;
        };
        let config = process.node().config();
        let lag = scene.setup.lag.reporting(scene.now);
        !host.crash_in_step
            && host.disk.works_within(config.disk_timeout, lag, scene.now)
            && host.clock.drift_ppm() <= config.clock_drift_ppm
            && process.status.installing.is_none()
    }
}

/// What is promised to the cluster: by the levels and timeouts of its nodes, and by its links.
fn promised(scene: Scene<'_>, links: &Links) -> Option<Promised> {
    let level = |config: &Config| (config.protection, config.election_timeout);
    let first = with_config(scene, scene.hosts.iter().next()?, level);
    let each = |see: &dyn Fn(&Config) -> bool| {
        scene.hosts.iter().all(|host| with_config(scene, host, see))
    };
    if each(&|config| config.protection == Protection::Full) {
        return Some(Promised::Lasting);
    }
    let alike = each(&|config| level(config) == first);
    (alike && links.is_symmetric).then_some(Promised::Some)
}

/// The configuration of a node: that of its life, or the one that it will start with.
fn with_config<T>(scene: Scene<'_>, host: &Host, see: impl Fn(&Config) -> T) -> T {
    match host.process.as_ref() {
        Some(process) => see(process.node().config()),
        None => see(&host.next_config(scene.setup)),
    }
}

/// Whether a node leads and has committed an entry of its own term.
fn leads(process: &Process) -> bool {
    let Status { role, term, commit_index, .. } = process.status;
    role == RoleKind::Leader
        && process.log.position(commit_index).is_some_and(|position| position.term == term)
}

/// R + L, and S, for a group; `None` where T is too short for its links.
fn bounds(scene: Scene<'_>, links: &Links, group: Places) -> Option<Bounds> {
    let timeouts =
        scene.hosts.iter().map(|host| with_config(scene, host, |config| config.election_timeout));
    let (mut longest, mut shortest) = (Duration::ZERO, Duration::MAX);
    for timeout in timeouts {
        (longest, shortest) = (longest.max(timeout), shortest.min(timeout));
    }
    let promised = scene.hosts.iter().map(|host| host.disk.stored().hard_state.promised);
    let longest = promised.fold(longest, Duration::max);
    let members = || scene.hosts.iter().enumerate().filter(|(place, _)| group.has(*place));
    let write = members().map(|(_, host)| host.disk.profile().max_latency).max()?;
    let write = write + scene.setup.lag.reporting(scene.now);
    let pairs = group.iter().flat_map(|from| group.iter().map(move |to| (from, to)));
    let delay = pairs.filter_map(|(from, to)| links.longest_delay(from, to)).max();
    let trip = (delay? + scene.setup.build_delay + scene.setup.gathering) * 2;
    if trip * ROUND_TRIPS > shortest {
        return None;
    }
    let level = level(scene, group, trip + write);
    Some(Bounds { round: longest + write, level, is_slow: write > longest / 4 })
}

/// S: each message of entries takes a round trip and a write, one after the other, and once more
/// where it is not known yet how far two logs match; a snapshot takes as long as its sender waits
/// for news of it, and then another goes.
fn level(scene: Scene<'_>, group: Places, trip: Duration) -> Duration {
    let members = || scene.hosts.iter().enumerate().filter(|(place, _)| group.has(*place));
    let processes = || members().filter_map(|(_, host)| host.process.as_ref());
    let Some(first) = processes().max_by_key(|process| process.log.last()) else { return trip };
    let lag = processes()
        .map(|process| first.log.last().index.get() - matches_up_to(first, process).get());
    let each = processes().map(|process| process.node().config().max_entries_per_message).min();
    // One entry leaves however large it is.
    let frame = (scene.setup.driver.settings(0, 0).frame_bytes / Command::WEIGHT).max(1);
    let messages = lag.max().unwrap_or(0).div_ceil(each.unwrap_or(1).min(frame)) + 2;
    let messages = u32::try_from(messages).unwrap_or(u32::MAX);
    let snapshots = scene.setup.snapshots.every > 0
        || processes().any(|process| process.log.start().index > LogIndex::ZERO);
    let timeout = processes().map(|process| process.node().config().snapshot_timeout).max();
    let snapshot = timeout.filter(|_| snapshots).map_or(Duration::ZERO, |timeout| timeout * 2);
    trip.saturating_mul(messages.saturating_mul(2)).saturating_add(snapshot)
}

/// Up to where two logs surely match.
fn matches_up_to(a: &Process, b: &Process) -> LogIndex {
    let start = a.log.start().index.max(b.log.start().index);
    let end = a.log.last().index.min(b.log.last().index);
    let (mut low, mut high) = (start.get().min(end.get()), end.get() + 1);
    while low + 1 < high {
        let middle = low.midpoint(high);
        let at = |process: &Process| process.log.position(LogIndex(middle));
        *(if at(a).is_some() && at(a) == at(b) { &mut low } else { &mut high }) = middle;
    }
    LogIndex(low)
}

#[cfg(test)]
mod tests {
    use crate::host::log::Command;
    use crate::plan::act::{Act, ClockAct, DiskAct, LinkAct, ProcessAct, RequestAct};
    use crate::plan::choice::Choices;
    use crate::plan::profile::{DiskProfile, LinkProfile};
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::world::World;
    use raft_core::{Instant, MessageKind, NodeId, Protection};
    use std::time::Duration;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    /// Three nodes after seven seconds, to which these were done in the third.
    fn world(setup: &Setup, acts: &[Act]) -> World {
        let mut setup = setup.clone();
        let then = Instant::from_nanos(3_000_000_000);
        setup.timeline = acts.iter().map(|act| (then, act.clone())).collect();
        let mut world = World::new(&setup, Choices::seeded(1)).expect("sense");
        let until = Instant::from_nanos(7_000_000_000);
        assert_eq!(world.run_until(until, &mut Nobody), Ok(()));
        world
    }

    /// Whether the premises hold then, and who is of the group.
    fn group(acts: &[Act]) -> (bool, [bool; 3]) {
        let world = world(&Setup::of_voters(3), acts);
        (world.contract().holds(), [0, 1, 2].map(|place| world.contract().has(place)))
    }

    #[test]
    fn who_does_not_run_well_is_none_of_the_group() {
        assert!(group(&[]).1[0]);
        let slow = DiskProfile { min_latency: Duration::ZERO, max_latency: Duration::from_secs(2) };
        for act in [
            Act::Process(ProcessAct::Crash { node: A }),
            Act::Process(ProcessAct::Pause { node: A }),
            Act::Disk(DiskAct::HangDisk { node: A }),
            Act::Disk(DiskAct::FillDisk { node: A, room: 9 }),
            Act::Disk(DiskAct::SetDisk { node: A, profile: slow }),
            Act::Clock(ClockAct::SetClock { node: A, ppm: 1_001 }),
            Act::Clock(ClockAct::JumpClock { node: A, millis: -9_000 }),
            Act::Clock(ClockAct::StepBack { node: A, back: 9_000 }),
        ] {
            assert_eq!(group(std::slice::from_ref(&act)), (true, [false, true, true]), "{act:?}");
        }
        let steady = Act::Clock(ClockAct::SetClock { node: A, ppm: -1_000 });
        assert!(group(&[steady]).1[0]);
    }

    #[test]
    fn a_link_joins_if_both_ways_are_whole_and_lose_nothing() {
        let both = |act: &dyn Fn(NodeId, NodeId) -> Act| {
            group(&[act(A, B), act(B, NodeId(3)), act(NodeId(3), A)]).0
        };
        let lossy = LinkProfile { loss_ppm: 1, ..LinkProfile::default() };
        let period = Duration::from_millis(300);
        assert!(!both(&|from, to| Act::Link(LinkAct::Cut { from, to })));
        assert!(!both(&|from, to| Act::Link(LinkAct::Flap { from, to, period })));
        assert!(!both(&|from, to| Act::Link(LinkAct::SetLink { from, to, profile: lossy })));
        let profile = LinkProfile { duplicate_ppm: 1, ..lossy };
        let profile = LinkProfile { loss_ppm: 0, ..profile };
        assert!(both(&|from, to| Act::Link(LinkAct::SetLink { from, to, profile })));
        let lost = LinkAct::DropKind { from: A, to: B, kind: MessageKind::PreVote };
        assert!(!group(&[Act::Link(lost)]).0, "nothing is promised where kinds are lost");
    }

    #[test]
    fn nothing_is_promised_beside_one_that_forgot_what_it_promised() {
        let wiped =
            [Act::Process(ProcessAct::Crash { node: A }), Act::Disk(DiskAct::Wipe { node: A })];
        assert!(!group(&wiped).0);
    }

    #[test]
    fn t_is_five_round_trips_and_lower_levels_need_one_level_and_links_alike_both_ways() {
        let holds = |change: &dyn Fn(&mut Setup), acts: &[Act]| {
            let mut setup = Setup::of_voters(3);
            change(&mut setup);
            let world = world(&setup, acts);
            (world.contract().holds(), world.contract().lasts())
        };
        assert_eq!(
            holds(&|setup| setup.build_delay = Duration::from_millis(95), &[]),
            (true, true)
        );
        assert_eq!(
            holds(&|setup| setup.build_delay = Duration::from_millis(96), &[]),
            (false, true)
        );
        let plain = |setup: &mut Setup| setup.protection = Protection::Plain;
        assert_eq!(holds(&plain, &[]), (true, false));
        let cut = Act::Link(LinkAct::Cut { from: A, to: B });
        assert_eq!(holds(&plain, std::slice::from_ref(&cut)), (false, false));
        assert_eq!(holds(&|_| {}, &[cut]), (true, true));
        let other = |setup: &mut Setup| {
            plain(setup);
            setup.nodes[0].election_timeout = Some(Duration::from_millis(1_100));
        };
        assert_eq!(holds(&other, &[]), (false, false));
        let mixed = |setup: &mut Setup| setup.nodes[0].protection = Some(Protection::PreVote);
        assert_eq!(holds(&mixed, &[]), (false, false));
    }

    #[test]
    fn a_quorum_is_level_after_as_many_messages_as_frames_are_small() {
        let millis = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let due = |frame_bytes| {
            let mut setup = Setup::of_voters(3);
            setup.driver.frame_bytes = frame_bytes;
            let propose = RequestAct::Propose { node: A, count: 300 };
            setup.timeline = vec![
                (millis(0), Act::Request(RequestAct::Campaign { node: A })),
                (millis(1_000), Act::Link(LinkAct::Isolate { node: NodeId(3) })),
                (millis(1_100), Act::Request(propose)),
                (millis(6_000), Act::Link(LinkAct::HealAll)),
                (millis(6_000), Act::Process(ProcessAct::Crash { node: A })),
            ];
            let mut world = World::new(&setup, Choices::seeded(1)).expect("sense");
            assert_eq!(world.run_until(millis(6_001), &mut Nobody), Ok(()));
            (world.contract().due().expect("nobody leads"), setup.link.max_delay * 2)
        };
        let ((wide, _), (narrow, trip)) = (due(None), due(Some(Command::WEIGHT)));
        // S2 has 300 entries that S3 lacks. Each takes a message, and all that is counted twice.
        assert!(narrow.saturating_since(wide) >= trip * 290 * 2, "{wide:?} {narrow:?}");
    }
}
