//! What lasts: faults of links and hosts, leases and promises, writes on their way, who can commit.
use crate::plan::act::any::Act;
use crate::plan::act::{DiskAct, ProcessAct};
use crate::plan::record::{Event, Record};
use crate::plan::setup::Setup;
use crate::view::picture::rows::{Band, BandKind};
use crate::world::Network;
use raft_core::{Instant, Message, MessageKind, NodeId, Round, Ticket};
use std::collections::{BTreeMap, BTreeSet};

/// A directed link.
type Link = (NodeId, NodeId);

/// What is wrong with a link.
type Wrong = (NodeId, NodeId, &'static str);

/// Collects bands in the order of the records.
pub(super) struct Bands {
    nodes: Vec<NodeId>,
    /// The links, as what is done to them leaves them.
    network: Network,
    done: Vec<Band>,
    /// Bands of nodes that have begun; until when they last if nothing prolongs or ends them.
    open: BTreeMap<(usize, BandKind), (Instant, Instant)>,
    /// Links with which something is wrong, since when.
    wrong: BTreeMap<Wrong, Instant>,
    /// Links with which something was wrong, and when.
    were_wrong: BTreeMap<(Instant, Instant, &'static str), Vec<Link>>,
    writes: BTreeMap<usize, BTreeSet<Ticket>>,
    /// When the probes left that a promise may answer.
    probes: BTreeMap<(NodeId, NodeId, Round), Instant>,
    /// Who can commit, or that nobody can, since when.
    service: (Option<NodeId>, Instant),
}

impl Bands {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut bands = Self {
            nodes: setup.nodes.iter().map(|node| node.id).collect(),
            network: Network::new(setup),
            done: Vec::new(),
            open: BTreeMap::new(),
            wrong: BTreeMap::new(),
            were_wrong: BTreeMap::new(),
            writes: BTreeMap::new(),
            probes: BTreeMap::new(),
            service: (None, Instant::ZERO),
        };
        for (lane, _) in setup.nodes.iter().enumerate() {
            bands.begin(lane, BandKind::Down, Instant::ZERO);
        }
        bands
    }

    pub(super) fn see(&mut self, record: &Record) {
        let now = record.time;
        match &record.event {
            Event::Fault { fault } => self.act(fault, now),
            Event::Service { leader } => self.service(*leader, now),
            _ => {}
        }
        let Some(lane) = record.node.and_then(|node| self.lane(node)) else { return };
        self.of_node(lane, record);
        match record.state.and_then(|state| state.lease_until).filter(|until| *until > now) {
            Some(until) => self.prolong(lane, BandKind::Lease, now, until),
            None => self.end(lane, BandKind::Lease, now),
        }
    }

    /// All of them, in the order of their beginnings; none is longer than the run.
    pub(super) fn finish(mut self, end: Instant) -> Vec<Band> {
        self.service(None, end);
        for ((lane, kind), (from, until)) in std::mem::take(&mut self.open) {
            self.push(Some(lane), kind, from, until, String::new());
        }
        for wrong in self.wrong.keys().copied().collect::<Vec<_>>() {
            self.right(wrong, end);
        }
        for ((from, until, what), links) in std::mem::take(&mut self.were_wrong) {
            let what = match MessageKind::named(what) {
                Some(kind) => format!("loses {}", kind.name()),
                None => what.to_owned(),
            };
            let text = format!("{what} {}", self.name(&links));
            self.push(None, BandKind::Link, from, until, text);
        }
        self.done.retain(|band| band.from < end);
        for band in &mut self.done {
            band.until = band.until.min(end);
        }
        self.done.sort_by_key(|band| (band.from, band.kind, band.lane));
        self.done
    }

    fn of_node(&mut self, lane: usize, record: &Record) {
        let now = record.time;
        match &record.event {
            Event::Init { .. } | Event::Restart { .. } => {
                self.end(lane, BandKind::Down, now);
                self.end(lane, BandKind::Paused, now);
            }
            Event::Crash { .. } => {
                self.writes.remove(&lane);
                self.end(lane, BandKind::Writing, now);
                self.end(lane, BandKind::Paused, now);
                self.begin(lane, BandKind::Down, now);
            }
            Event::Persist { write } => {
                self.writes.entry(lane).or_default().insert(write.ticket);
                self.begin(lane, BandKind::Writing, now);
            }
            Event::PersistDone { ticket } => {
                let writes = self.writes.entry(lane).or_default();
                writes.retain(|write| write > ticket);
                if writes.is_empty() {
                    self.end(lane, BandKind::Writing, now);
                }
            }
            Event::Send { message, .. } => match &message.message {
                Message::AppendEntries(append) => {
                    if let Some(probe) = append.probe {
                        let link = (message.from, message.to, probe.round);
                        self.probes.entry(link).or_insert(now);
                    }
                }
                Message::AppendEntriesResponse(answer) => {
                    let Some(echo) = answer.echo.filter(|echo| !echo.promised.is_zero()) else {
                        return;
                    };
                    let probe = (message.to, message.from, echo.round);
                    let Some(sent) = self.probes.get(&probe) else { return };
                    let until = sent.saturating_add(echo.promised);
                    self.prolong(lane, BandKind::Promise, now, until);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn act(&mut self, act: &Act, now: Instant) {
        if let Act::Link(act) = act {
            self.network.act(act, self.service.0, now);
            let troubles: BTreeSet<Wrong> = self.network.troubles().collect();
            let over = |wrong: &&Wrong| !troubles.contains(wrong);
            for wrong in self.wrong.keys().filter(over).copied().collect::<Vec<_>>() {
                self.right(wrong, now);
            }
            for wrong in troubles {
                self.wrong.entry(wrong).or_insert(now);
            }
        }
        let Some((node, begins, lasts)) = lasts(act) else { return };
        let lane = self.lane(node).unwrap_or_default();
        if begins { self.begin(lane, lasts, now) } else { self.end(lane, lasts, now) }
    }

    fn service(&mut self, leader: Option<NodeId>, now: Instant) {
        let (before, since) = std::mem::replace(&mut self.service, (leader, now));
        let (kind, text) = match before {
            Some(leader) => (BandKind::Service, format!("{leader:?} can commit")),
            None => (BandKind::Silence, "nobody can commit".to_owned()),
        };
        self.push(before.and_then(|leader| self.lane(leader)), kind, since, now, text);
    }

    fn right(&mut self, wrong: Wrong, now: Instant) {
        if let Some(since) = self.wrong.remove(&wrong) {
            let (from, to, what) = wrong;
            self.were_wrong.entry((since, now, what)).or_default().push((from, to));
        }
    }

    /// Directed links in a few words.
    fn name(&self, links: &[Link]) -> String {
        let has = |from: NodeId, to: NodeId| links.contains(&(from, to));
        let others = |node: NodeId| self.nodes.iter().copied().filter(move |other| *other != node);
        let alone = self.nodes.iter().copied().find(|node| {
            links.len() == 2 * others(*node).count()
                && others(*node).all(|other| has(*node, other) && has(other, *node))
        });
        if let Some(alone) = alone.filter(|_| self.nodes.len() > 2) {
            return format!("{alone:?} ↔ everybody");
        }
        let texts = links.iter().filter(|(from, to)| from < to || !has(*to, *from));
        let text = |(from, to): &Link| {
            let arrow = if has(*to, *from) { '↔' } else { '→' };
            format!("{from:?} {arrow} {to:?}")
        };
        texts.map(text).collect::<Vec<_>>().join(", ")
    }

    fn lane(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|id| *id == node)
    }

    fn begin(&mut self, lane: usize, kind: BandKind, now: Instant) {
        self.open.entry((lane, kind)).or_insert((now, Instant::MAX));
    }

    /// It lasts until then at least; it begins now if it is over or has not begun.
    fn prolong(&mut self, lane: usize, kind: BandKind, now: Instant, until: Instant) {
        let (from, before) = self.open.get(&(lane, kind)).copied().unwrap_or((now, now));
        let (from, until) = if before < now {
            self.push(Some(lane), kind, from, before, String::new());
            (now, until)
        } else {
            (from, until.max(before))
        };
        self.open.insert((lane, kind), (from, until));
    }

    fn end(&mut self, lane: usize, kind: BandKind, now: Instant) {
        if let Some((from, until)) = self.open.remove(&(lane, kind)) {
            self.push(Some(lane), kind, from, until.min(now), String::new());
        }
    }

    fn push(
        &mut self,
        lane: Option<usize>,
        kind: BandKind,
        from: Instant,
        until: Instant,
        text: String,
    ) {
        if from < until {
            self.done.push(Band { lane, kind, from, until, text });
        }
    }
}

/// The node whose trouble an act begins, or ends, and what lasts then.
const fn lasts(act: &Act) -> Option<(NodeId, bool, BandKind)> {
    Some(match act {
        Act::Process(ProcessAct::Pause { node }) => (*node, true, BandKind::Paused),
        Act::Process(ProcessAct::Resume { node }) => (*node, false, BandKind::Paused),
        Act::Disk(DiskAct::HangDisk { node }) => (*node, true, BandKind::HungDisk),
        Act::Disk(DiskAct::ReleaseDisk { node }) => (*node, false, BandKind::HungDisk),
        _ => return None,
    })
}
