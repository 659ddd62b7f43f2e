//! The kinds of inputs and actions, by name: what a corpus is to reach, besides the kinds of
//! messages.

use raft_core::{Action, Input};

/// A list of names, and the name of a value. The match has no wildcard: a new variant breaks the
/// build here, and stands in the list from then on, so that a corpus has to reach it.
macro_rules! kinds {
    ($list:ident, $name:ident($type:ident): $($variant:ident,)*) => {
        pub(super) const $list: &[&str] = &[$(stringify!($variant)),*];

        pub(super) const fn $name(value: &$type) -> &'static str {
            match value {
                $($type::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

kinds! { INPUTS, input(Input):
    Message, Wake, Propose, Persisted, Campaign, Read, ChangeMembership, TransferLeadership,
    SnapshotTaken, SnapshotSent, SnapshotInstalled, PeerUnreachable,
    PeerPaused, PeerResumed,
}

kinds! { ACTIONS, action(Action):
    Accepted, Rejected, Persist, Send, Apply, ReadReady, SendSnapshot, InstallSnapshot,
    TransferEnded, RoleChanged, PeerRegressed, Ignored,
}
