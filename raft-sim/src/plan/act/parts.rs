//! The parts that acts have: nodes, numbers, profiles, shapes, changes.

use crate::plan::act::aimed::{SOMEBODY, Target};
use crate::plan::act::part::{Naming, One, Part, Reading, Written};
use crate::plan::change::MembershipChange;
use crate::plan::damage::DamageTarget;
use crate::plan::hostile::Hostile;
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::sentence::Mistake;
use crate::plan::text::{digits, level_name, quoted, read_duration, span, time};
use crate::plan::topology::Topology;
use raft_core::{Consistency, MessageKind, NodeId, Protection};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

impl Part for NodeId {
    fn blank() -> Self {
        Self(0)
    }

    /// The first node of a sentence may be a group; a further one is who is asked.
    fn read(&mut self, field: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        match field {
            "to" => {
                let links = from.sentence.links()?;
                from.each = links.into_iter().map(|(from, to)| One::Link(from, to)).collect();
            }
            "from" => {}
            _ if from.each.is_empty() && from.aim.is_none() => {
                from.aim = Target::read(&mut from.sentence);
                if from.aim.is_some() {
                    *self = SOMEBODY;
                    return Ok(());
                }
                let group = from.sentence.group()?;
                from.each = group.into_iter().map(|node| One::Node(field, node)).collect();
            }
            _ => {
                let asked = from.sentence.asked()?;
                *self = asked.ok_or_else(|| from.sentence.missing("`at S1`: who is told"))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, field: &'static str, one: &One) {
        match one {
            One::Node(of, node) if *of == field => *self = *node,
            One::Link(from, _) if field == "from" => *self = *from,
            One::Link(_, to) if field == "to" => *self = *to,
            One::Node(..) | One::Link(..) | One::Topology(_) => {}
        }
    }

    fn write(&self, field: &'static str, to: &mut Written) {
        match (field, to.to.take()) {
            ("to", _) => to.to = Some(*self),
            (_, Some(end)) => to.word(&format!("{self:?} -> {end:?}")),
            _ if to.named => to.word(&format!("at {self:?}")),
            _ => to.word(&format!("{self:?}")),
        }
        to.named = true;
    }

    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(self));
    }

    fn say(&self, _: &'static str) -> String {
        format!("{self:?}")
    }

    fn rename(&mut self, name: &Naming<'_>) -> Option<()> {
        *self = name(*self)?;
        Some(())
    }
}

impl Part for Option<NodeId> {
    fn blank() -> Self {
        None
    }

    fn read(&mut self, field: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        *self = match field {
            "to" if from.sentence.take("to") => Some(from.sentence.node()?),
            "to" => None,
            _ => from.sentence.asked()?,
        };
        Ok(())
    }

    fn write(&self, field: &'static str, to: &mut Written) {
        let before = if field == "to" { "to" } else { "at" };
        if let Some(node) = self {
            to.word(&format!("{before} {node:?}"));
        }
    }

    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(self));
    }

    fn say(&self, field: &'static str) -> String {
        let nobody = if field == "to" { "the best" } else { "the leader" };
        self.map_or(nobody.to_owned(), |node| format!("{node:?}"))
    }

    fn rename(&mut self, name: &Naming<'_>) -> Option<()> {
        self.as_mut().map_or(Some(()), |node| node.rename(name))
    }
}

impl Part for Duration {
    fn blank() -> Self {
        Self::ZERO
    }

    fn read(&mut self, field: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let wanted = match field {
            "period" => "how long the links are cut at a time, as in `flap 300ms S1 <-> S2`",
            _ => "how long it lasts, without a space, such as `300ms`",
        };
        let (word, span) = from.sentence.next(wanted)?;
        let duration = read_duration(word).filter(|duration| !duration.is_zero());
        *self = duration.ok_or_else(|| Mistake::expected(wanted, word, span))?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.word(&time(*self).replace(' ', ""));
    }

    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(nanos(*self)));
    }

    fn say(&self, _: &'static str) -> String {
        format!("{} ms", self.as_millis())
    }
}

impl Part for u64 {
    fn blank() -> Self {
        0
    }

    fn read(&mut self, field: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        const ROOM: &str = "for how many records there is room, as in `fill-disk 0 S1`";
        const COUNT: &str = "the number of commands, as in `propose 3 S1`";
        const BACK: &str = "milliseconds, as in `step-back 50 S1`";
        if field == "room" {
            *self = from.sentence.number(ROOM)?;
            return Ok(());
        }
        let wanted = if field == "back" { BACK } else { COUNT };
        let (word, span) = from.sentence.next(wanted)?;
        let count = digits(word).filter(|count| *count > 0);
        *self = count.ok_or_else(|| Mistake::expected(wanted, word, span))?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.word(&self.to_string());
    }

    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(self));
    }

    fn say(&self, field: &'static str) -> String {
        match (field, *self) {
            ("count", 1) => "a command".to_owned(),
            ("count", count) => format!("{count} commands"),
            (_, number) => number.to_string(),
        }
    }
}

/// A number that may have a sign, and is spelt as it is everywhere.
macro_rules! signed {
    ($kind:ty, $wanted:literal) => {
        impl Part for $kind {
            fn blank() -> Self {
                0
            }

            fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
                *self = from.sentence.number($wanted)?;
                Ok(())
            }

            fn write(&self, _: &'static str, to: &mut Written) {
                to.word(&self.to_string());
            }

            fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
                to.insert(field.to_owned(), json!(self));
            }

            fn say(&self, _: &'static str) -> String {
                self.to_string()
            }
        }
    };
}

signed!(i32, "millionths, fast or slow, as in `clock -500 S1`");
signed!(i64, "milliseconds, forward or back, as in `jump -500 S1`");

/// The verb says which.
impl Part for Consistency {
    fn blank() -> Self {
        Self::ReadIndex
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        *self = if from.verb == LEASE_READ { Self::Lease } else { Self::ReadIndex };
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        if *self == Self::Lease {
            to.verb = LEASE_READ;
        }
    }

    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(self));
    }

    fn say(&self, _: &'static str) -> String {
        let by = match self {
            Self::ReadIndex => "read index",
            Self::Lease => "lease",
        };
        by.to_owned()
    }
}

const LEASE_READ: &str = "lease-read";

impl Part for DamageTarget {
    fn blank() -> Self {
        Self::Everything
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let wanted = "what is damaged: entry, hard_state, snapshot or everything";
        *self = from.sentence.one_of(&Self::ALL, wanted)?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.word(self.name());
    }

    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(self.name()));
    }

    fn say(&self, _: &'static str) -> String {
        let what = match self {
            Self::HardState => "the hard state",
            Self::Snapshot => "the snapshot",
            Self::Entry => "an entry",
            Self::Everything => "all of it",
        };
        what.to_owned()
    }
}

impl Part for Protection {
    fn blank() -> Self {
        Self::Full
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let levels =
            [Self::Plain, Self::PreVote, Self::Full].map(|level| (level, level_name(level)));
        let wanted = format!("a level: {}", levels.map(|(_, name)| name).join(", "));
        *self = from.sentence.one_of(&levels, &wanted)?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.word(level_name(*self));
    }

    fn say(&self, _: &'static str) -> String {
        level_name(*self).to_owned()
    }
}

impl Part for Hostile {
    fn blank() -> Self {
        Self::Replayed
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let wanted = format!("what message: {}", Self::ALL.map(|(_, name)| name).join(", "));
        *self = from.sentence.one_of(&Self::ALL, &wanted)?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.word(self.name());
    }

    fn say(&self, _: &'static str) -> String {
        self.name().to_owned()
    }
}

impl Part for MessageKind {
    fn blank() -> Self {
        Self::PreVote
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        *self = from.sentence.kind()?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.word(self.name());
    }

    fn say(&self, _: &'static str) -> String {
        self.name().to_owned()
    }
}

impl Part for LinkProfile {
    fn blank() -> Self {
        Self::default()
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let message = || "expected `delay = \"…\"` beside a sentence with `set`".to_owned();
        let span = from.verb_span.clone();
        *self = from.beside.link.ok_or_else(|| Mistake { span, message: message() })?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        for (key, value) in self.keys() {
            let _ = write!(to.beside, ", {key} = {value}");
        }
    }

    fn record(&self, _: &'static str, to: &mut Map<String, Value>) {
        to.insert("min_delay".to_owned(), json!(nanos(self.min_delay)));
        to.insert("max_delay".to_owned(), json!(nanos(self.max_delay)));
        to.insert("loss_ppm".to_owned(), json!(self.loss_ppm));
        to.insert("duplicate_ppm".to_owned(), json!(self.duplicate_ppm));
    }

    fn say(&self, _: &'static str) -> String {
        span(self.min_delay, self.max_delay)
    }
}

impl Part for DiskProfile {
    fn blank() -> Self {
        Self::default()
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let message = || "expected `latency = \"…\"` beside a sentence with `set-disk`".to_owned();
        let span = from.verb_span.clone();
        *self = from.beside.disk.ok_or_else(|| Mistake { span, message: message() })?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        let latency = quoted(span(self.min_latency, self.max_latency));
        let _ = write!(to.beside, ", latency = {latency}");
    }

    fn record(&self, _: &'static str, to: &mut Map<String, Value>) {
        to.insert("min_latency".to_owned(), json!(nanos(self.min_latency)));
        to.insert("max_latency".to_owned(), json!(nanos(self.max_latency)));
    }

    fn say(&self, _: &'static str) -> String {
        format!("{} ms", self.max_latency.as_millis())
    }
}

impl Part for Topology {
    fn blank() -> Self {
        Self::Ring(Vec::new())
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        let shapes = Self::read_all(from.verb, &mut from.sentence)?;
        from.each = shapes.into_iter().map(One::Topology).collect();
        Ok(())
    }

    fn put(&mut self, _: &'static str, one: &One) {
        if let One::Topology(shape) = one {
            shape.clone_into(self);
        }
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.verb = "";
        to.word(&self.to_string());
    }

    fn say(&self, _: &'static str) -> String {
        self.to_string()
    }

    fn rename(&mut self, name: &Naming<'_>) -> Option<()> {
        *self = self.renamed(name)?;
        Some(())
    }
}

impl Part for MembershipChange {
    fn blank() -> Self {
        Self::Remove(NodeId(0))
    }

    fn read(&mut self, _: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake> {
        *self = Self::read_as(from.verb, &mut from.sentence)?;
        Ok(())
    }

    fn write(&self, _: &'static str, to: &mut Written) {
        to.verb = "";
        to.word(&self.written());
    }

    fn say(&self, _: &'static str) -> String {
        self.to_string()
    }

    fn rename(&mut self, name: &Naming<'_>) -> Option<()> {
        *self = self.renamed(name)?;
        Some(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
