//! What is said of an act besides its verb, and how each such thing is read, written, recorded,
//! said and renamed.
//!
//! The fields of an act are its parts, each with a name. A sentence of a scenario file names them
//! from the last to the first; the trace, from the first to the last.

use crate::plan::act::aimed::Target;
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::sentence::{Mistake, Sentence};
use crate::plan::topology::Topology;
use raft_core::NodeId;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::ops::Range;

/// Another name for a node; `None` if it is gone.
pub(crate) type Naming<'a> = dyn Fn(NodeId) -> Option<NodeId> + 'a;

/// The words of an act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    /// The verbs of a scenario file, with `|` between them; the first is written unless a part
    /// brings another.
    pub(crate) verbs: &'static str,
    /// Its name in the trace.
    pub(crate) key: &'static str,
    /// What the timeline says, with the names of parts in braces.
    pub(crate) says: &'static str,
}

/// A part of an act.
pub(crate) trait Part {
    /// Nothing in particular, before it is read.
    fn blank() -> Self
    where
        Self: Sized;

    /// Reads it from a sentence.
    fn read(&mut self, field: &'static str, from: &mut Reading<'_>) -> Result<(), Mistake>;

    /// Becomes one of several that a sentence names at once.
    fn put(&mut self, _field: &'static str, _one: &One) {}

    /// Adds its words to a sentence.
    fn write(&self, field: &'static str, to: &mut Written);

    /// Adds its keys to a line of the trace.
    fn record(&self, field: &'static str, to: &mut Map<String, Value>) {
        to.insert(field.to_owned(), json!(self.say(field)));
    }

    /// What the timeline says of it.
    fn say(&self, field: &'static str) -> String;

    /// Gives the nodes that it names other names; `None` if it was about one that is gone.
    fn rename(&mut self, _name: &Naming<'_>) -> Option<()> {
        Some(())
    }
}

/// What stands beside a sentence: what a link or a disk is set to.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Beside {
    pub(crate) link: Option<LinkProfile>,
    pub(crate) disk: Option<DiskProfile>,
}

/// A sentence while it is read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) sentence: Sentence<'a>,
    pub(crate) verb: &'a str,
    pub(crate) verb_span: Range<usize>,
    pub(crate) beside: Beside,
    /// What the sentence names several of: it is one act for each.
    pub(crate) each: Vec<One>,
    /// Whom it is aimed at, if not at a node of a name.
    pub(crate) aim: Option<Target>,
}

/// One of several things that a sentence names at once.
#[derive(Clone, Debug)]
pub(crate) enum One {
    /// For the part of this name.
    Node(&'static str, NodeId),
    Link(NodeId, NodeId),
    Topology(Topology),
}

/// A sentence while it is written.
#[derive(Default, Debug)]
pub(crate) struct Written {
    pub(crate) verb: &'static str,
    pub(crate) words: String,
    /// What stands beside it, as TOML.
    pub(crate) beside: String,
    /// Whether a node was named.
    pub(super) named: bool,
    /// Where the link ends whose beginning comes next.
    pub(super) to: Option<NodeId>,
}

impl Written {
    pub(crate) fn of(verb: &'static str) -> Self {
        Self { verb, ..Self::default() }
    }

    pub(super) fn word(&mut self, word: &str) {
        let _ = write!(self.words, " {word}");
    }
}

/// A family of acts: its enum, and its one table. A row is an act with its parts, the verbs of
/// scenario files, the name in the trace, and what the timeline says.
macro_rules! acts {
    (
        $(#[$doc:meta])*
        $family:ident {
            $(
                $(#[$of:meta])*
                $act:ident $({ $($(#[$part:meta])* $field:ident: $kind:ty),* $(,)? })?
                = $verbs:literal, $key:literal, $says:literal;
            )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum $family {
            $($(#[$of])* $act $({ $($(#[$part])* $field: $kind,)* })?,)*
        }

        impl $family {
            /// One of each, before anything is said of it.
            pub(super) fn blanks() -> Vec<Self> {
                vec![$(Self::$act $({ $($field: Part::blank()),* })?),*]
            }
        }

        impl Described for $family {
            fn row(&self) -> Row {
                match self {
                    $(Self::$act { .. } => {
                        Row { verbs: $verbs, key: $key, says: $says }
                    })*
                }
            }

            fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
                match self {
                    $(Self::$act $({ $($field),* })? => {
                        vec![$($((stringify!($field), $field as _)),*)?]
                    })*
                }
            }

            fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
                match self {
                    $(Self::$act $({ $($field),* })? => {
                        vec![$($((stringify!($field), $field as _)),*)?]
                    })*
                }
            }
        }
    };
}

pub(crate) use acts;

/// What the table of a family says of one act.
pub(crate) trait Described {
    /// Its row.
    fn row(&self) -> Row;

    /// Its parts with their names, as they are declared.
    fn parts(&self) -> Vec<(&'static str, &dyn Part)>;

    /// The same, to be changed.
    fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)>;
}
