//! The timeline's sentences: `isolate S2`, `cut S1,S2 <-> S4`, `drop append_entries S1 -> *`.

use crate::plan::change::Change;
use crate::plan::damage::DamageTarget;
use crate::plan::fault::Fault;
use crate::plan::kinds::{Hostile, MessageKind};
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::topology::{Shape, Whom};
use crate::scenario::text::Word;
use raft_core::{Consistency, Membership, MembershipError, NodeId};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// A sentence that cannot be read: which of its bytes, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

type ByNode = fn(NodeId) -> Fault;

const NODE_VERBS: [(&str, ByNode); 14] = [
    ("crash", |node| Fault::Crash { node }),
    ("crash-in-step", |node| Fault::CrashInStep { node }),
    ("restart", |node| Fault::Restart { node }),
    ("pause", |node| Fault::Pause { node }),
    ("resume", |node| Fault::Resume { node }),
    ("hang-disk", |node| Fault::HangDisk { node }),
    ("release-disk", |node| Fault::ReleaseDisk { node }),
    ("free-disk", |node| Fault::FreeDisk { node }),
    ("destroy", |node| Fault::Destroy { node }),
    ("campaign", |node| Fault::Campaign { node }),
    ("wipe", |node| Fault::Wipe { node }),
    ("snapshot", |node| Fault::TakeSnapshot { node }),
    ("read", |node| Fault::Read { node, consistency: Consistency::ReadIndex }),
    ("lease-read", |node| Fault::Read { node, consistency: Consistency::Lease }),
];

const VERBS: &str = "one of isolate, deafen, mute, split, bridge, ring, chain, only, cut, heal, \
                     flap, drop, pass, set, crash, crash-in-step, restart, \
                     pause, resume, hang-disk, release-disk, set-disk, fill-disk, free-disk, \
                     damage, destroy, wipe, hostile, clock, jump, campaign, propose, \
                     read, lease-read, snapshot, unreachable, transfer, reach, add, promote, \
                     demote, remove, replace";

/// What stands beside a sentence: what a link or a disk is set to.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside {
    pub(super) link: Option<LinkProfile>,
    pub(super) disk: Option<DiskProfile>,
}

/// What a sentence of the timeline does.
pub(super) fn read(
    sentence: &str,
    nodes: &[NodeId],
    beside: Beside,
) -> Result<Vec<Fault>, Mistake> {
    let mut words = Words { sentence, at: 0 };
    let (verb, verb_span) = words.next(VERBS)?;
    if beside.link.is_some() && verb != "set" {
        let message = "`delay`, `loss_ppm` and `duplicate_ppm` go with `set` only".to_owned();
        return Err(Mistake { span: verb_span, message });
    }
    if beside.disk.is_some() && verb != "set-disk" {
        let message = "`latency` goes with `set-disk` only".to_owned();
        return Err(Mistake { span: verb_span, message });
    }
    let faults = match verb {
        "cut" => links(&mut words, nodes, |from, to| Fault::Cut { from, to })?,
        "heal" if words.rest() == "all" => {
            words.next("all")?;
            vec![Fault::HealAll]
        }
        "heal" => links(&mut words, nodes, |from, to| Fault::Heal { from, to })?,
        "flap" => {
            const WANTED: &str =
                "how long the links are cut at a time, as in `flap 300ms S1 <-> S2`";
            let (word, span) = words.next(WANTED)?;
            let period = <Duration as Word>::read(word).filter(|period| !period.is_zero());
            let period = period.ok_or_else(|| expected(WANTED, word, span))?;
            links(&mut words, nodes, |from, to| Fault::Flap { from, to, period })?
        }
        "isolate" | "deafen" | "mute" => aimed(verb, &mut words, nodes)?,
        "split" | "bridge" | "ring" | "chain" | "only" => {
            vec![Fault::Reach { shape: shape(verb, &mut words, nodes)? }]
        }
        "drop" => {
            let kind = words.kind()?;
            links(&mut words, nodes, |from, to| Fault::DropKind { from, to, kind })?
        }
        "pass" => {
            let kind = words.kind()?;
            links(&mut words, nodes, |from, to| Fault::PassKind { from, to, kind })?
        }
        "set" => {
            let missing = || "expected `delay = \"…\"` beside a sentence with `set`".to_owned();
            let profile =
                beside.link.ok_or_else(|| Mistake { span: verb_span, message: missing() })?;
            links(&mut words, nodes, |from, to| Fault::SetLink { from, to, profile })?
        }
        "set-disk" | "fill-disk" | "damage" | "hostile" => {
            at_nodes(verb, &verb_span, &mut words, nodes, beside)?
        }
        "propose" => {
            let count = words.count()?;
            let group = words.group(nodes)?;
            group.into_iter().map(|node| Fault::Propose { node, count }).collect()
        }
        "clock" => {
            const WANTED: &str = "millionths, fast or slow, as in `clock -500 S1`";
            let ppm = words.number(WANTED)?;
            words.group(nodes)?.into_iter().map(|node| Fault::SetClock { node, ppm }).collect()
        }
        "jump" => {
            const WANTED: &str = "milliseconds, forward or back, as in `jump -500 S1`";
            let millis = words.number(WANTED)?;
            words.group(nodes)?.into_iter().map(|node| Fault::JumpClock { node, millis }).collect()
        }
        "unreachable" => {
            let peers = words.group(nodes)?;
            let node = words.asked(nodes)?.ok_or_else(|| words.missing("`at S1`: who is told"))?;
            peers.into_iter().map(|peer| Fault::Unreachable { node, peer }).collect()
        }
        "transfer" => {
            let to = if words.take("to") { Some(words.node(nodes)?) } else { None };
            vec![Fault::Transfer { node: words.asked(nodes)?, to }]
        }
        "reach" | "add" | "promote" | "demote" | "remove" | "replace" => {
            let change = change(verb, &mut words, nodes)?;
            vec![Fault::ChangeMembership { node: words.asked(nodes)?, change }]
        }
        verb => {
            let known = NODE_VERBS.iter().find(|(name, _)| *name == verb);
            let (_, fault) = known.ok_or_else(|| expected(VERBS, verb, verb_span))?;
            words.group(nodes)?.into_iter().map(fault).collect()
        }
    };
    words.end().map(|()| faults)
}

/// What is said of nodes with a word more.
fn at_nodes(
    verb: &str,
    verb_span: &Range<usize>,
    words: &mut Words<'_>,
    nodes: &[NodeId],
    beside: Beside,
) -> Result<Vec<Fault>, Mistake> {
    let fault: Box<dyn Fn(NodeId) -> Fault> = match verb {
        "set-disk" => {
            let message =
                || "expected `latency = \"…\"` beside a sentence with `set-disk`".to_owned();
            let missing = || Mistake { span: verb_span.clone(), message: message() };
            let profile = beside.disk.ok_or_else(missing)?;
            Box::new(move |node| Fault::SetDisk { node, profile })
        }
        "fill-disk" => {
            let room =
                words.number("for how many records there is room, as in `fill-disk 0 S1`")?;
            Box::new(move |node| Fault::FillDisk { node, room })
        }
        "damage" => {
            const PARTS: [(&str, DamageTarget); 4] = [
                ("entry", DamageTarget::Entry),
                ("hard_state", DamageTarget::HardState),
                ("snapshot", DamageTarget::Snapshot),
                ("everything", DamageTarget::Everything),
            ];
            const WANTED: &str = "what is damaged: entry, hard_state, snapshot or everything";
            let part = words.one_of(&PARTS, WANTED)?;
            Box::new(move |node| Fault::Damage { node, part })
        }
        _ => {
            let kinds = Hostile::ALL.map(|(what, name)| (name, what));
            let wanted = format!("what message: {}", kinds.map(|(name, _)| name).join(", "));
            let what = words.one_of(&kinds, &wanted)?;
            Box::new(move |node| Fault::Hostile { node, what })
        }
    };
    Ok(words.group(nodes)?.into_iter().map(fault).collect())
}

/// What an operator wants of a membership: `reach S1,S2 with S3`, `add S4`, `replace S1 S4`.
fn change(verb: &str, words: &mut Words<'_>, nodes: &[NodeId]) -> Result<Change, Mistake> {
    Ok(match verb {
        "add" => Change::AddLearner(words.node(nodes)?),
        "promote" => Change::Promote(words.node(nodes)?),
        "demote" => Change::Demote(words.node(nodes)?),
        "remove" => Change::Remove(words.node(nodes)?),
        "replace" => Change::Replace { old: words.node(nodes)?, new: words.node(nodes)? },
        _ => Change::To(words.membership(nodes)?),
    })
}

/// What cuts some nodes off, or whoever leads: `isolate S1`, `deafen leader`.
fn aimed(verb: &str, words: &mut Words<'_>, nodes: &[NodeId]) -> Result<Vec<Fault>, Mistake> {
    let whom = if words.take("leader") {
        vec![Whom::Leader]
    } else {
        words.group(nodes)?.into_iter().map(Whom::Node).collect()
    };
    let fault = |whom| match (verb, whom) {
        ("isolate", Whom::Node(node)) => Fault::Isolate { node },
        ("isolate", Whom::Leader) => Fault::Reach { shape: Shape::Isolated(whom) },
        ("deafen", _) => Fault::Reach { shape: Shape::Deaf(whom) },
        _ => Fault::Reach { shape: Shape::Mute(whom) },
    };
    Ok(whom.into_iter().map(fault).collect())
}

/// Who reaches whom: `split S1 S2,S3`, `bridge S3 S1,S2 S4,S5`, `ring S1,S2,S3`, `chain S1,S2,S3`,
/// `only S1 <-> S2 and S2 -> S3`.
fn shape(verb: &str, words: &mut Words<'_>, nodes: &[NodeId]) -> Result<Shape, Mistake> {
    Ok(match verb {
        "ring" => Shape::Ring(words.group(nodes)?),
        "chain" => Shape::Chain(words.group(nodes)?),
        "bridge" => {
            let over = words.node(nodes)?;
            Shape::Bridge { over, halves: [words.part(nodes)?, words.part(nodes)?] }
        }
        "split" => {
            let mut groups = vec![words.part(nodes)?, words.part(nodes)?];
            while !words.rest().is_empty() {
                groups.push(words.part(nodes)?);
            }
            Shape::Split(groups)
        }
        _ if words.take("-") => Shape::Only(BTreeSet::new()),
        _ => {
            let mut links: BTreeSet<_> =
                links(words, nodes, |from, to| (from, to))?.into_iter().collect();
            while words.take("and") {
                links.extend(self::links(words, nodes, |from, to| (from, to))?);
            }
            Shape::Only(links)
        }
    })
}

/// The membership of `S1,S2 with S3`, or `nobody`.
pub(super) fn membership(text: &str, nodes: &[NodeId]) -> Result<Membership, Mistake> {
    let mut words = Words { sentence: text, at: 0 };
    if words.take("nobody") {
        words.end().map(|()| Membership::empty())
    } else {
        let membership = words.membership(nodes)?;
        words.end().map(|()| membership)
    }
}

/// The directed links of `S1 -> S2`, `S1 <-> S2,S3` or `* -> S1`.
pub(super) fn pairs(text: &str, nodes: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, Mistake> {
    let mut words = Words { sentence: text, at: 0 };
    let links = links(&mut words, nodes, |from, to| (from, to))?;
    words.end().map(|()| links)
}

/// The nodes of `S1`, `S1,S2` or `*`.
pub(super) fn group(text: &str, nodes: &[NodeId]) -> Result<Vec<NodeId>, Mistake> {
    let mut words = Words { sentence: text, at: 0 };
    let group = words.group(nodes)?;
    match words.next("the end") {
        Ok((word, span)) => Err(expected("nodes joined by commas, without spaces", word, span)),
        Err(_) => Ok(group),
    }
}

/// A fault for each directed link of `S1 -> S2`, `S1 <-> S2,S3` or `* -> S1`.
fn links<T>(
    words: &mut Words<'_>,
    nodes: &[NodeId],
    fault: impl Fn(NodeId, NodeId) -> T,
) -> Result<Vec<T>, Mistake> {
    const ARROW: &str = "an arrow: `->` for one way, `<->` for both";
    let start = words.at;
    let from = words.group(nodes)?;
    let (arrow, span) = words.next(ARROW)?;
    let both = match arrow {
        "->" => false,
        "<->" => true,
        _ => return Err(expected(ARROW, arrow, span)),
    };
    let to = words.group(nodes)?;
    let pairs = || from.iter().flat_map(|from| to.iter().map(|to| (*from, *to)));
    let forth = pairs();
    let back = pairs().filter(|_| both).map(|(from, to)| (to, from));
    let mut links: Vec<_> = forth.chain(back).filter(|(from, to)| from != to).collect();
    links.sort_unstable();
    links.dedup();
    if links.is_empty() {
        let message = "expected a link between two nodes".to_owned();
        return Err(Mistake { span: start..words.at, message });
    }
    Ok(links.into_iter().map(|(from, to)| fault(from, to)).collect())
}

struct Words<'a> {
    sentence: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a str {
        self.sentence[self.at..].trim()
    }

    fn next(&mut self, wanted: &str) -> Result<(&'a str, Range<usize>), Mistake> {
        let rest = &self.sentence[self.at..];
        let start = self.at + (rest.len() - rest.trim_start().len());
        let rest = &self.sentence[start..];
        let end = start + rest.find(char::is_whitespace).unwrap_or(rest.len());
        if start == end {
            let message = format!("expected {wanted}, found the end of the sentence");
            return Err(Mistake { span: start..end, message });
        }
        self.at = end;
        Ok((&self.sentence[start..end], start..end))
    }

    /// A group that may be empty: `-`.
    fn part(&mut self, nodes: &[NodeId]) -> Result<Vec<NodeId>, Mistake> {
        if self.take("-") { Ok(Vec::new()) } else { self.group(nodes) }
    }

    fn group(&mut self, nodes: &[NodeId]) -> Result<Vec<NodeId>, Mistake> {
        let wanted = known(nodes);
        let (word, span) = self.next(&wanted)?;
        if word == "*" {
            return Ok(nodes.to_vec());
        }
        let mut start = span.start;
        let mut group = Vec::new();
        for part in word.split(',') {
            let node = NodeId::read(part).filter(|node| nodes.contains(node));
            let mistake = || expected(&wanted, part, start..start + part.len());
            group.push(node.ok_or_else(mistake)?);
            start += part.len() + 1;
        }
        Ok(group)
    }

    /// Refuses whatever follows.
    fn end(&mut self) -> Result<(), Mistake> {
        match self.next("the end") {
            Ok((word, span)) => Err(expected("the end of the sentence", word, span)),
            Err(_) => Ok(()),
        }
    }

    /// `S1,S2` or `S1,S2 with S3`.
    fn membership(&mut self, nodes: &[NodeId]) -> Result<Membership, Mistake> {
        let start = self.at;
        let voters = self.group(nodes)?;
        let learners = if self.take("with") { self.group(nodes)? } else { Vec::new() };
        let mistake = |error: MembershipError| {
            let message = format!("expected a membership that makes sense: {error}");
            Mistake { span: start..self.at, message }
        };
        Membership::new(voters, [], learners).map_err(mistake)
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, word: &str) -> bool {
        let mut ahead = Self { ..*self };
        let is_next = ahead.next(word).is_ok_and(|(next, _)| next == word);
        if is_next {
            self.at = ahead.at;
        }
        is_next
    }

    fn node(&mut self, nodes: &[NodeId]) -> Result<NodeId, Mistake> {
        let start = self.at;
        match self.group(nodes)?[..] {
            [node] => Ok(node),
            _ => Err(Mistake { span: start..self.at, message: "expected one node".to_owned() }),
        }
    }

    /// Whom the operator asks: `at S1`, or nobody in particular.
    fn asked(&mut self, nodes: &[NodeId]) -> Result<Option<NodeId>, Mistake> {
        if self.take("at") { self.node(nodes).map(Some) } else { Ok(None) }
    }

    fn missing(&self, wanted: &str) -> Mistake {
        Mistake { span: self.at..self.at, message: format!("expected {wanted}") }
    }

    fn number<T: std::str::FromStr>(&mut self, wanted: &str) -> Result<T, Mistake> {
        let (word, span) = self.next(wanted)?;
        word.parse().map_err(|_| expected(wanted, word, span))
    }

    fn one_of<T: Copy>(&mut self, among: &[(&str, T)], wanted: &str) -> Result<T, Mistake> {
        let (word, span) = self.next(wanted)?;
        let found = among.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value).ok_or_else(|| expected(wanted, word, span))
    }

    fn kind(&mut self) -> Result<MessageKind, Mistake> {
        let names = MessageKind::ALL.map(MessageKind::name).join(", ");
        let wanted = format!("a kind of message: {names}");
        let (word, span) = self.next(&wanted)?;
        MessageKind::named(word).ok_or_else(|| expected(&wanted, word, span))
    }

    fn count(&mut self) -> Result<u64, Mistake> {
        const WANTED: &str = "the number of commands, as in `propose 3 S1`";
        let (word, span) = self.next(WANTED)?;
        u64::read(word).filter(|count| *count > 0).ok_or_else(|| expected(WANTED, word, span))
    }
}

fn known(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| format!("{node:?}")).collect();
    format!("nodes of the cluster ({}), or * for all of them", names.join(", "))
}

fn expected(wanted: &str, found: &str, span: Range<usize>) -> Mistake {
    Mistake { span, message: format!("expected {wanted}, found `{found}`") }
}

#[cfg(test)]
mod tests {
    use super::{Beside, Mistake};
    use crate::plan::change::Change;
    use crate::plan::damage::DamageTarget;
    use crate::plan::fault::Fault;
    use crate::plan::kinds::{Hostile, MessageKind};
    use raft_core::{Membership, NodeId};

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn read(sentence: &str, nodes: &[NodeId]) -> Result<Vec<Fault>, Mistake> {
        super::read(sentence, nodes, Beside::default())
    }

    fn cuts(sentence: &str) -> Vec<(u64, u64)> {
        let faults = read(sentence, &NODES).expect("a sentence");
        let link = |fault: &Fault| match fault {
            Fault::Cut { from, to } => (from.get(), to.get()),
            other => panic!("not a cut: {other:?}"),
        };
        faults.iter().map(link).collect()
    }

    #[test]
    fn patterns_of_links_are_directed() {
        assert_eq!(cuts("cut S1 -> S2"), [(1, 2)]);
        assert_eq!(cuts("cut S1 <-> S2"), [(1, 2), (2, 1)]);
        assert_eq!(cuts("cut * -> S1"), [(2, 1), (3, 1)]);
        assert_eq!(cuts("cut S1,S2 <-> S3"), [(1, 3), (2, 3), (3, 1), (3, 2)]);
        assert_eq!(cuts("cut * <-> *").len(), 6);
    }

    #[test]
    fn verbs_of_nodes_take_groups() {
        let faults = read("crash S1,S3", &NODES).expect("a sentence");
        assert_eq!(faults, [1, 3].map(|n| Fault::Crash { node: NodeId(n) }));
        let faults = read("propose 2 S1", &NODES).expect("a sentence");
        assert_eq!(faults, [Fault::Propose { node: NodeId(1), count: 2 }]);
        let faults = read("drop append_entries S1 -> S2", &NODES).expect("a sentence");
        let (from, to, kind) = (NodeId(1), NodeId(2), MessageKind::AppendEntries);
        assert_eq!(faults, [Fault::DropKind { from, to, kind }]);
        assert_eq!(read("heal all", &NODES).expect("a sentence"), [Fault::HealAll]);
    }

    #[test]
    fn an_operator_asks_a_node_or_whoever_leads() {
        let one = |sentence| match &read(sentence, &NODES).expect("a sentence")[..] {
            [fault] => fault.clone(),
            other => panic!("not one fault: {other:?}"),
        };
        let [a, b, c] = NODES;
        let change = |node, change| Fault::ChangeMembership { node, change };
        let voters = Membership::new([a, b], [], [c]).expect("valid");
        assert_eq!(one("reach S1,S2 with S3"), change(None, Change::To(voters)));
        assert_eq!(one("add S3 at S1"), change(Some(a), Change::AddLearner(c)));
        assert_eq!(one("replace S1 S3"), change(None, Change::Replace { old: a, new: c }));
        assert_eq!(one("transfer"), Fault::Transfer { node: None, to: None });
        assert_eq!(one("transfer to S2 at S1"), Fault::Transfer { node: Some(a), to: Some(b) });
        assert_eq!(one("unreachable S2 at S1"), Fault::Unreachable { node: a, peer: b });
        assert_eq!(one("clock -500 S2"), Fault::SetClock { node: b, ppm: -500 });
        assert_eq!(one("fill-disk 3 S2"), Fault::FillDisk { node: b, room: 3 });
        assert_eq!(one("damage entry S2"), Fault::Damage { node: b, part: DamageTarget::Entry });
        let what = Hostile::Replayed;
        assert_eq!(one("hostile replayed S2"), Fault::Hostile { node: b, what });
        assert_eq!(one("jump 700 S2"), Fault::JumpClock { node: b, millis: 700 });
    }

    #[test]
    fn who_reaches_whom_has_names() {
        let said = |sentence| match &read(sentence, &NODES).expect("a sentence")[..] {
            [Fault::Reach { shape }] => shape.to_string(),
            other => panic!("not one shape: {other:?}"),
        };
        for sentence in [
            "isolate leader",
            "deafen leader",
            "deafen S2",
            "mute S3",
            "split S1 S2,S3",
            "bridge S2 S1 S3",
            "ring S3,S1,S2",
            "chain S3,S1,S2",
            "only S1 -> S2 and S2 -> S3",
        ] {
            assert_eq!(said(sentence), sentence);
        }
        assert_eq!(
            said("only S1 <-> S2,S3"),
            "only S1 -> S2 and S1 -> S3 and S2 -> S1 and S3 -> S1"
        );
        let flap = read("flap 300ms S1 -> S2", &NODES).expect("a sentence");
        let period = std::time::Duration::from_millis(300);
        assert_eq!(flap, [Fault::Flap { from: NodeId(1), to: NodeId(2), period }]);
    }

    #[test]
    fn a_mistake_names_the_word_and_what_was_expected() {
        let cases = [
            ("", 0..0, "expected one of isolate, deafen"),
            ("sever S1", 0..5, "expected one of isolate, deafen"),
            ("flap 3 S1 -> S2", 5..6, "expected how long the links are cut"),
            ("split S1,S2", 11..11, "expected nodes of the cluster"),
            ("isolate S7", 8..10, "expected nodes of the cluster (S1, S2, S3)"),
            ("isolate S1,S9", 11..13, "found `S9`"),
            ("cut S1", 6..6, "expected an arrow"),
            ("cut S1 - S2", 7..8, "expected an arrow"),
            ("cut S1 -> S1", 3..12, "a link between two nodes"),
            ("cut S1 -> S2 S3", 13..15, "expected the end"),
            ("drop votes S1 -> S2", 5..10, "expected a kind of message: pre_vote,"),
            ("propose S1", 8..10, "expected the number of commands"),
            ("set S1 -> S2", 0..3, "expected `delay"),
            ("set-disk S1", 0..8, "expected `latency"),
            ("fill-disk S1", 10..12, "expected for how many records"),
            ("damage all S1", 7..10, "expected what is damaged"),
            ("hostile nice S1", 8..12, "expected what message: replayed,"),
            ("clock fast S1", 6..10, "expected millionths"),
            ("unreachable S2", 14..14, "expected `at S1`"),
            ("reach S1 with S1", 5..16, "expected a membership that makes sense"),
            ("transfer to S1,S2", 11..17, "expected one node"),
        ];
        for (sentence, at, part) in cases {
            let Mistake { span, message } = read(sentence, &NODES).expect_err(sentence);
            assert_eq!(span, at, "{sentence}: {message}");
            assert!(message.contains(part), "{sentence}: {message}");
        }
    }
}
