//! Whom an act is aimed at, if not at a node of a name: *pause the leader*, *crash a node that
//! installs a snapshot*. The target is found when the moment has come.

use crate::plan::sentence::{Mistake, Sentence};
use crate::plan::text::{read_duration, time};
use raft_core::NodeId;
use std::time::Duration;

/// Whom an act is aimed at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// Who can commit, see [`Event::Service`](crate::plan::record::Event::Service).
    Leader,
    /// A leader at which reads wait.
    ReadingLeader,
    /// A leader whose membership is joint, or not committed.
    ChangingLeader,
    /// A node that installs a snapshot.
    Installing,
    /// A follower whose disk holds a promise to its leader.
    Promised,
    /// The node that the last aimed act was done to.
    Struck,
}

impl Target {
    /// Each, as a scenario file spells it.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Leader, "leader"),
        (Self::ReadingLeader, "reading-leader"),
        (Self::ChangingLeader, "changing-leader"),
        (Self::Installing, "installing"),
        (Self::Promised, "promised"),
        (Self::Struck, "struck"),
    ];

    /// The target that comes next in a sentence, if one does.
    pub(super) fn read(from: &mut Sentence<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, word)| from.take(word)).map(|(target, _)| target)
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(target, _)| *target == self);
        found.map(|(_, word)| *word).expect("each has its word")
    }
}

/// Stands for the target in an act, until it is found. No cluster has a node of this name.
pub(super) const SOMEBODY: NodeId = NodeId(u64::MAX);

/// An act on one node, which is found when the moment has come.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Aimed<A> {
    /// Whom it is aimed at.
    pub target: Target,
    /// How long it waits for there to be such a node. After that, nothing is done.
    pub within: Duration,
    /// What is done, to [`SOMEBODY`].
    pub(super) act: Box<A>,
}

/// How long the act of a sentence waits for its moment: `within 300ms`, or not at all.
pub(super) fn read_within(from: &mut Sentence<'_>) -> Result<Duration, Mistake> {
    const WANTED: &str = "how long it waits, without a space, such as `300ms`";
    if !from.take("within") {
        return Ok(Duration::ZERO);
    }
    let (word, span) = from.next(WANTED)?;
    let duration = read_duration(word).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| Mistake::expected(WANTED, word, span))
}

/// The same, written.
pub(super) fn waits(within: Duration) -> String {
    if within.is_zero() {
        return String::new();
    }
    format!(" within {}", time(within).replace(' ', ""))
}
