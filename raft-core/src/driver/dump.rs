//! A driver that is read back from a dump, with the feature `serde`. Whatever was done to the dump:
//! what is read keeps its invariants.

use crate::driver::book::Book;
use crate::driver::changes::Changes;
use crate::driver::desk::Desk;
use crate::driver::drive::{Asked, Driver};
use crate::driver::frame::{Batch, Payload};
use crate::driver::lanes::{Backlog, Lanes};
use crate::driver::settings::Settings;
use crate::driver::tail::Tail;
use crate::driver::waiters::{Proposals, Reads};
use crate::invariants::{Broken, holds};
use crate::node::Node;
use crate::types::{LogIndex, LogPosition, Term, Ticket, Token};
use alloc::collections::{BTreeMap, VecDeque};
use serde::de::{Deserialize, Deserializer, Error};

/// A driver before anybody has looked at it.
#[derive(serde::Deserialize)]
#[serde(rename = "Driver")]
struct Dump<P> {
    node: Node,
    settings: Settings,
    tail: Tail<P>,
    book: Book<P>,
    lanes: Lanes,
    backlog: Backlog,
    proposals: Proposals,
    reads: Reads,
    changes: Changes,
    desk: Desk,
    asked: BTreeMap<Token, Asked>,
    ranges: VecDeque<(LogIndex, LogPosition)>,
    handed: LogIndex,
    applied: LogIndex,
    issued: Option<Ticket>,
    written: Option<Ticket>,
    leads: Option<Term>,
    compacts: Option<LogPosition>,
    fetches: bool,
    next: Batch<P>,
}

impl<'de, P: Payload + Deserialize<'de>> Deserialize<'de> for Driver<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Dump::deserialize(deserializer)?;
        read.settings.check().map_err(D::Error::custom)?;
        read.check().map_err(D::Error::custom)?;
        Ok(read.whole())
    }
}

impl<P: Payload> Dump<P> {
    fn check(&self) -> Result<(), Broken> {
        let status = self.node.status();
        holds(self.tail.last() == status.last.index, "the tail ends where the log ends")?;
        holds(self.applied <= self.handed, "only what was handed out is applied")?;
        let mut handed = self.handed;
        for (first, through) in &self.ranges {
            holds(*first == handed.plus(1) && *first <= through.index, "ranges are in order")?;
            handed = through.index;
        }
        holds(handed == status.last_applied, "what the node applies is handed out, or waits")?;
        holds(self.written <= self.issued, "only what was handed out is written")
    }

    fn whole(self) -> Driver<P> {
        Driver {
            node: self.node,
            settings: self.settings,
            tail: self.tail,
            book: self.book,
            lanes: self.lanes,
            backlog: self.backlog,
            proposals: self.proposals,
            reads: self.reads,
            changes: self.changes,
            desk: self.desk,
            asked: self.asked,
            ranges: self.ranges,
            handed: self.handed,
            applied: self.applied,
            issued: self.issued,
            written: self.written,
            leads: self.leads,
            compacts: self.compacts,
            fetches: self.fetches,
            next: self.next,
        }
    }
}
