//! An act of any family: read, written, recorded, said and renamed by the tables of the families.

use crate::plan::act::aimed::{Aimed, SOMEBODY, Target, read_within, waits};
use crate::plan::act::clock::ClockAct;
use crate::plan::act::disk::DiskAct;
use crate::plan::act::link::LinkAct;
use crate::plan::act::message::MessageAct;
use crate::plan::act::part::{Beside, Described, Naming, Reading, Written};
use crate::plan::act::process::ProcessAct;
use crate::plan::act::request::RequestAct;
use crate::plan::choice::nanos;
use crate::plan::sentence::{Mistake, Sentence};
use crate::plan::text::quoted;
use crate::plan::topology::{Topology, Whom};
use raft_core::NodeId;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::time::Duration;

/// Something that is done to a cluster at a moment of a run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    /// To links.
    Link(LinkAct),
    /// With a message that nobody meant to send.
    Message(MessageAct),
    /// To a disk.
    Disk(DiskAct),
    /// To a process.
    Process(ProcessAct),
    /// To a clock.
    Clock(ClockAct),
    /// By the operator, or by the runtime of a node.
    Request(RequestAct),
    /// To a node that is found when the moment has come.
    Aimed(Aimed<Self>),
}

impl Act {
    /// What `act` does to a node, aimed: it waits so long for there to be such a node.
    pub fn aimed(target: Target, within: Duration, act: impl FnOnce(NodeId) -> Self) -> Self {
        Self::Aimed(Aimed { target, within, act: Box::new(act(SOMEBODY)) })
    }

    /// What an aimed act does, once its node is found.
    pub(crate) fn struck(aimed: &Aimed<Self>, node: NodeId) -> Self {
        let mut act = (*aimed.act).clone();
        for (_, part) in act.described_mut().parts_mut() {
            let found = part.rename(&|name| Some(if name == SOMEBODY { node } else { name }));
            assert!(found.is_some(), "nobody is gone");
        }
        act
    }

    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<NodeId> {
        let named = RefCell::new(Vec::new());
        // Whether something is left is another question: a ring of one node is none.
        let _ = self.renamed(&|node| {
            named.borrow_mut().push(node);
            Some(node)
        });
        named.into_inner()
    }

    /// What a sentence of a scenario file does: one act, or several where it names a group.
    pub(crate) fn read(
        sentence: &str,
        nodes: &[NodeId],
        beside: Beside,
    ) -> Result<Vec<Self>, Mistake> {
        let mut from = Sentence::new(sentence, nodes);
        let (verb, verb_span) = from.next(&verbs())?;
        if beside.link.is_some() && verb != "set" {
            let message = "`delay`, `loss_ppm` and `duplicate_ppm` go with `set` only".to_owned();
            return Err(Mistake { span: verb_span, message });
        }
        if beside.disk.is_some() && verb != "set-disk" {
            let message = "`latency` goes with `set-disk` only".to_owned();
            return Err(Mistake { span: verb_span, message });
        }
        if verb == "isolate" && from.rest() == "leader" && from.take("leader") {
            let shape = Topology::Isolated(Whom::Leader);
            return from.end().map(|()| vec![Self::Link(LinkAct::Reach { shape })]);
        }
        let named = |with: &str| {
            Self::blanks().find(|act| act.described().row().verbs.split('|').any(|v| v == with))
        };
        // A verb of two words comes before one of its first word alone.
        let two = format!("{verb} {}", from.rest());
        let mut act = match named(&two) {
            Some(act) => {
                from.next(&two)?;
                act
            }
            None => {
                named(verb).ok_or_else(|| Mistake::expected(&verbs(), verb, verb_span.clone()))?
            }
        };
        let mut reading =
            Reading { sentence: from, verb, verb_span, beside, each: Vec::new(), aim: None };
        for (field, part) in act.described_mut().parts_mut().into_iter().rev() {
            part.read(field, &mut reading)?;
        }
        let within = if reading.aim.is_some() {
            read_within(&mut reading.sentence)?
        } else {
            Duration::ZERO
        };
        reading.sentence.end()?;
        if let Some(target) = reading.aim {
            return Ok(vec![Self::Aimed(Aimed { target, within, act: Box::new(act) })]);
        }
        if reading.each.is_empty() {
            return Ok(vec![act]);
        }
        let each = reading.each.iter().map(|one| {
            let mut act = act.clone();
            for (field, part) in act.described_mut().parts_mut() {
                part.put(field, one);
            }
            act
        });
        Ok(each.collect())
    }

    /// The sentence of a scenario file, with what stands beside it: `do = "cut S1 -> S2"`.
    pub(crate) fn written(&self) -> String {
        let verb = self.described().row().verbs.split('|').next().unwrap_or_default();
        let mut to = Written::of(verb);
        for (field, part) in self.described().parts().into_iter().rev() {
            part.write(field, &mut to);
        }
        let sentence = self.with_target(&format!("{}{}", to.verb, to.words), true);
        format!("do = {}{}", quoted(sentence.trim_start()), to.beside)
    }

    /// As the trace has it.
    pub(crate) fn recorded(&self) -> Value {
        let mut line = Map::new();
        line.insert("what".to_owned(), json!(self.described().row().key));
        for (field, part) in self.described().parts() {
            part.record(field, &mut line);
        }
        if let Self::Aimed(Aimed { target, within, .. }) = self {
            line.insert("aimed_at".to_owned(), json!(target.word()));
            line.insert("within".to_owned(), json!(nanos(*within)));
        }
        Value::Object(line)
    }

    /// As the timeline says it.
    pub(crate) fn said(&self) -> String {
        let mut text = self.described().row().says.to_owned();
        for (field, part) in self.described().parts() {
            text = text.replace(&format!("{{{field}}}"), &part.say(field));
        }
        self.with_target(&text, false)
    }

    /// Words of an act, with those of its target in them.
    fn with_target(&self, words: &str, with_wait: bool) -> String {
        let Self::Aimed(Aimed { target, within, .. }) = self else { return words.to_owned() };
        let words = words.replace(&format!("{SOMEBODY:?}"), target.word());
        if with_wait { words + &waits(*within) } else { words }
    }

    /// With other names for nodes; `None` if it is about one that is gone.
    pub(crate) fn renamed(&self, name: &Naming<'_>) -> Option<Self> {
        let mut act = self.clone();
        let keep = |node| if node == SOMEBODY { Some(node) } else { name(node) };
        for (_, part) in act.described_mut().parts_mut() {
            part.rename(&keep)?;
        }
        Some(act)
    }

    /// Whether it undoes another that came before. A node may be down for many reasons, of which
    /// some name it.
    pub(crate) fn undoes(&self, before: &Self) -> bool {
        let repairs = |node: Option<NodeId>| node.is_some_and(|id| before.nodes().contains(&id));
        match (self, before) {
            // It may have been any node.
            (_, Self::Aimed(aimed)) => {
                let node = self.nodes().first().copied().unwrap_or(SOMEBODY);
                self.undoes(&Self::struck(aimed, node))
            }
            (Self::Link(act), Self::Link(before)) => act.undoes(before),
            (Self::Process(act), _) => repairs(act.repairs()),
            (Self::Disk(act), Self::Disk(before)) if act.undoes(before) => true,
            (Self::Disk(act), _) => repairs(act.repairs()),
            (
                Self::Link(_)
                | Self::Message(_)
                | Self::Clock(_)
                | Self::Request(_)
                | Self::Aimed(_),
                _,
            ) => false,
        }
    }

    /// A plainer one to try in its place.
    pub(crate) fn plainer(&self) -> Option<Self> {
        match self {
            Self::Link(act) => act.plainer().map(Self::Link),
            Self::Process(act) => act.plainer().map(Self::Process),
            Self::Request(act) => act.plainer().map(Self::Request),
            Self::Message(_) | Self::Disk(_) | Self::Clock(_) | Self::Aimed(_) => None,
        }
    }

    /// One of each, before anything is said of it.
    pub(crate) fn blanks() -> impl Iterator<Item = Self> {
        let link = LinkAct::blanks().into_iter().map(Self::Link);
        let process = ProcessAct::blanks().into_iter().map(Self::Process);
        let disk = DiskAct::blanks().into_iter().map(Self::Disk);
        let message = MessageAct::blanks().into_iter().map(Self::Message);
        let clock = ClockAct::blanks().into_iter().map(Self::Clock);
        let request = RequestAct::blanks().into_iter().map(Self::Request);
        link.chain(process).chain(disk).chain(message).chain(clock).chain(request)
    }

    fn described(&self) -> &dyn Described {
        match self {
            Self::Link(act) => act,
            Self::Message(act) => act,
            Self::Disk(act) => act,
            Self::Process(act) => act,
            Self::Clock(act) => act,
            Self::Request(act) => act,
            Self::Aimed(aimed) => aimed.act.described(),
        }
    }

    fn described_mut(&mut self) -> &mut dyn Described {
        match self {
            Self::Link(act) => act,
            Self::Message(act) => act,
            Self::Disk(act) => act,
            Self::Process(act) => act,
            Self::Clock(act) => act,
            Self::Request(act) => act,
            Self::Aimed(aimed) => aimed.act.described_mut(),
        }
    }
}

/// What the first word of a sentence may be.
fn verbs() -> String {
    let rows = Act::blanks().map(|act| act.described().row().verbs);
    let mut verbs: Vec<&str> = rows.flat_map(|verbs| verbs.split('|')).collect();
    verbs.retain(|verb| !verb.contains(' '));
    format!("one of {}", verbs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::Act;
    use crate::plan::act::aimed::Target;
    use crate::plan::act::part::{Beside, Row};
    use crate::plan::act::{ClockAct, DiskAct, LinkAct, MessageAct, ProcessAct, RequestAct};
    use crate::plan::change::MembershipChange;
    use crate::plan::damage::DamageTarget;
    use crate::plan::hostile::Hostile;
    use crate::plan::profile::{DiskProfile, LinkProfile};
    use crate::plan::sentence::Mistake;
    use raft_core::{Membership, MessageKind, NodeId};
    use std::time::Duration;

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn read(sentence: &str, nodes: &[NodeId]) -> Result<Vec<Act>, Mistake> {
        Act::read(sentence, nodes, Beside::default())
    }

    fn cuts(sentence: &str) -> Vec<(u64, u64)> {
        let faults = read(sentence, &NODES).expect("a sentence");
        let link = |fault: &Act| match fault {
            Act::Link(LinkAct::Cut { from, to }) => (from.get(), to.get()),
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
        assert_eq!(faults, [1, 3].map(|n| Act::Process(ProcessAct::Crash { node: NodeId(n) })));
        let faults = read("propose 2 S1", &NODES).expect("a sentence");
        assert_eq!(faults, [Act::Request(RequestAct::Propose { node: NodeId(1), count: 2 })]);
        let faults = read("drop append_entries S1 -> S2", &NODES).expect("a sentence");
        let (from, to, kind) = (NodeId(1), NodeId(2), MessageKind::AppendEntries);
        assert_eq!(faults, [Act::Link(LinkAct::DropKind { from, to, kind })]);
        assert_eq!(read("heal all", &NODES).expect("a sentence"), [Act::Link(LinkAct::HealAll)]);
    }

    #[test]
    fn an_operator_asks_a_node_or_whoever_leads() {
        let one = |sentence| match &read(sentence, &NODES).expect("a sentence")[..] {
            [fault] => fault.clone(),
            other => panic!("not one fault: {other:?}"),
        };
        let [a, b, c] = NODES;
        let change = |node, change| Act::Request(RequestAct::ChangeMembership { node, change });
        let voters = Membership::new([a, b], [], [c]).expect("valid");
        assert_eq!(one("reach S1,S2 with S3"), change(None, MembershipChange::To(voters)));
        assert_eq!(one("add S3 at S1"), change(Some(a), MembershipChange::AddLearner(c)));
        assert_eq!(
            one("replace S1 S3"),
            change(None, MembershipChange::Replace { old: a, new: c })
        );
        assert_eq!(one("transfer"), Act::Request(RequestAct::Transfer { node: None, to: None }));
        assert_eq!(
            one("transfer to S2 at S1"),
            Act::Request(RequestAct::Transfer { node: Some(a), to: Some(b) })
        );
        assert_eq!(
            one("unreachable S2 at S1"),
            Act::Request(RequestAct::Unreachable { node: a, peer: b })
        );
        assert_eq!(one("clock -500 S2"), Act::Clock(ClockAct::SetClock { node: b, ppm: -500 }));
        assert_eq!(one("fill-disk 3 S2"), Act::Disk(DiskAct::FillDisk { node: b, room: 3 }));
        assert_eq!(
            one("damage entry S2"),
            Act::Disk(DiskAct::Damage { node: b, part: DamageTarget::Entry })
        );
        let what = Hostile::Replayed;
        assert_eq!(
            one("hostile replayed S2"),
            Act::Message(MessageAct::Hostile { node: b, message: what })
        );
        assert_eq!(one("jump 700 S2"), Act::Clock(ClockAct::JumpClock { node: b, millis: 700 }));
    }

    #[test]
    fn who_reaches_whom_has_names() {
        let said = |sentence| match &read(sentence, &NODES).expect("a sentence")[..] {
            [Act::Link(LinkAct::Reach { shape })] => shape.to_string(),
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
        let period = Duration::from_millis(300);
        assert_eq!(flap, [Act::Link(LinkAct::Flap { from: NodeId(1), to: NodeId(2), period })]);
    }

    #[test]
    fn a_mistake_names_the_word_and_what_was_expected() {
        let cases = [
            ("crash leader within 3", 20..21, "expected how long it waits"),
            ("crash struck S1", 13..15, "expected the end"),
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

    #[test]
    fn an_aimed_act_is_read_written_and_renamed_and_finds_its_node() {
        let [a, b, c] = NODES;
        for sentence in [
            "pause leader",
            "crash installing within 300ms",
            "crash-in-step changing-leader within 1s",
            "restart struck",
            "jump -200 reading-leader within 5ms",
            "isolate promised",
        ] {
            let Ok(acts) = read(sentence, &NODES) else { panic!("{sentence}") };
            let [act] = &acts[..] else { panic!("one act: {sentence}") };
            assert_eq!(act.written(), format!("do = \"{sentence}\""));
            let other = act.renamed(&|node| (node != c).then_some(node));
            assert_eq!(other.as_ref(), Some(act), "it is about nobody who is gone");
        }
        let crash = |node| Act::Process(ProcessAct::Crash { node });
        let aimed = Act::aimed(Target::Installing, Duration::from_millis(300), crash);
        let Act::Aimed(inner) = &aimed else { panic!("it is aimed") };
        assert_eq!((Act::struck(inner, b), aimed.nodes()), (crash(b), vec![]));
        assert_eq!(aimed.said(), "crash installing");
        let line = concat!(
            r#"{"what":"crash","node":18446744073709551615,"#,
            r#""aimed_at":"installing","within":300000000}"#
        );
        assert_eq!(aimed.recorded().to_string(), line);
        for node in [a, b] {
            assert!(
                Act::Process(ProcessAct::Restart { node }).undoes(&aimed),
                "it may be that one"
            );
        }
    }

    /// A sentence, its line in the trace, and what the timeline says.
    const PINS: &[(&str, &str, &str)] = &[
        ("isolate S2", r#"{"what":"isolate","node":2}"#, "isolate S2"),
        ("split S1 S2,S3", r#"{"what":"reach","shape":"split S1 S2,S3"}"#, "split S1 S2,S3"),
        ("cut S1 -> S2", r#"{"what":"cut","from":1,"to":2}"#, "cut S1 → S2"),
        ("heal S1 -> S2", r#"{"what":"heal","from":1,"to":2}"#, "heal S1 → S2"),
        ("heal all", r#"{"what":"heal_all"}"#, "heal every link"),
        (
            "flap 300ms S1 -> S2",
            r#"{"what":"flap","from":1,"to":2,"period":300000000}"#,
            "flap S1 → S2, 300 ms each",
        ),
        (
            "drop pre_vote S1 -> S2",
            r#"{"what":"drop_kind","from":1,"to":2,"kind":"pre_vote"}"#,
            "lose pre_vote on S1 → S2",
        ),
        (
            "pass pre_vote S1 -> S2",
            r#"{"what":"pass_kind","from":1,"to":2,"kind":"pre_vote"}"#,
            "pass pre_vote on S1 → S2",
        ),
        (
            "set S1 -> S2",
            concat!(
                r#"{"what":"set_link","from":1,"to":2,"min_delay":1000000,"#,
                r#""max_delay":5000000,"loss_ppm":0,"duplicate_ppm":0}"#
            ),
            "change S1 → S2",
        ),
        ("crash S1", r#"{"what":"crash","node":1}"#, "crash S1"),
        ("crash-in-step S1", r#"{"what":"crash_in_step","node":1}"#, "crash S1 in its next step"),
        ("restart S1", r#"{"what":"restart","node":1}"#, "restart S1"),
        ("pause S1", r#"{"what":"pause","node":1}"#, "pause S1"),
        ("resume S1", r#"{"what":"resume","node":1}"#, "resume S1"),
        (
            "set-timeout 300ms S1",
            r#"{"what":"set_timeout","node":1,"timeout":300000000}"#,
            "S1 is to start with T = 300 ms",
        ),
        (
            "set-protection pre-vote S1",
            r#"{"what":"set_protection","node":1,"protection":"pre-vote"}"#,
            "S1 is to start with protection pre-vote",
        ),
        ("hang-disk S1", r#"{"what":"hang_disk","node":1}"#, "hang the disk of S1"),
        ("release-disk S1", r#"{"what":"release_disk","node":1}"#, "release the disk of S1"),
        (
            "set-disk S1",
            r#"{"what":"set_disk","node":1,"min_latency":1000000,"max_latency":3000000}"#,
            "the disk of S1 takes up to 3 ms",
        ),
        (
            "fill-disk 3 S1",
            r#"{"what":"fill_disk","node":1,"room":3}"#,
            "the disk of S1 has room for 3 records more",
        ),
        ("free-disk S1", r#"{"what":"free_disk","node":1}"#, "the disk of S1 has room"),
        (
            "damage hard_state S1",
            r#"{"what":"damage","node":1,"part":"hard_state"}"#,
            "damage the disk of S1: the hard state",
        ),
        ("destroy S1", r#"{"what":"destroy","node":1}"#, "destroy S1"),
        ("wipe S1", r#"{"what":"wipe","node":1}"#, "wipe the disk of S1"),
        (
            "hostile replayed S1",
            r#"{"what":"hostile","node":1,"message":"replayed"}"#,
            "a replayed message for S1",
        ),
        (
            "clock -500 S1",
            r#"{"what":"set_clock","node":1,"ppm":-500}"#,
            "the clock of S1 is off by -500 ppm",
        ),
        (
            "jump 700 S1",
            r#"{"what":"jump_clock","node":1,"millis":700}"#,
            "the clock of S1 jumps by 700 ms",
        ),
        (
            "step-back 50 S1",
            r#"{"what":"step_back","node":1,"back":50}"#,
            "the clock of S1 steps back by 50 ms",
        ),
        ("campaign S1", r#"{"what":"campaign","node":1}"#, "ask S1 to campaign"),
        ("propose 2 S1", r#"{"what":"propose","node":1,"count":2}"#, "propose 2 commands to S1"),
        (
            "lease-read S1",
            r#"{"what":"read","node":1,"consistency":"lease"}"#,
            "read at S1 by lease",
        ),
        ("snapshot S1", r#"{"what":"take_snapshot","node":1}"#, "take a snapshot at S1"),
        (
            "unreachable S2 at S1",
            r#"{"what":"unreachable","node":1,"peer":2}"#,
            "tell S1 that S2 is unreachable",
        ),
        (
            "pause-peer S2 at S1",
            r#"{"what":"pause_peer","node":1,"peer":2}"#,
            "tell S1 that no entries leave for S2",
        ),
        (
            "resume-peer S2 at S1",
            r#"{"what":"resume_peer","node":1,"peer":2}"#,
            "tell S1 that entries leave for S2 again",
        ),
        (
            "transfer to S2",
            r#"{"what":"transfer","node":null,"to":2}"#,
            "ask the leader to transfer leadership to S2",
        ),
        (
            "replace S2 S3 at S1",
            r#"{"what":"change_membership","node":1,"change":"replace S2 by S3"}"#,
            "ask S1 to replace S2 by S3",
        ),
    ];

    /// Scenario files, traces and timelines that exist are read by others: a row that changes is a
    /// change for them.
    #[test]
    fn every_act_is_spelt_as_it_always_was() {
        let mut left: Vec<Row> = Act::blanks().map(|act| act.described().row()).collect();
        for (sentence, line, words) in PINS.iter().copied() {
            let set = sentence.starts_with("set ").then(LinkProfile::default);
            let set_disk = sentence.starts_with("set-disk ").then(DiskProfile::default);
            let beside = Beside { link: set, disk: set_disk };
            let [act] = &Act::read(sentence, &NODES, beside).expect(sentence)[..] else {
                panic!("not one act: {sentence}")
            };
            assert_eq!((act.recorded().to_string(), act.said()), (line.into(), words.into()));
            assert!(act.written().starts_with(&format!("do = \"{sentence}\"")), "{sentence}");
            left.retain(|row| *row != act.described().row());
        }
        assert_eq!(left, [], "each act has its line");
    }
}
