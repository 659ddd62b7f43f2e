//! The properties that every run must have, one file each, named as in the Raft paper.
//!
//! The checkers look from outside, after every event: at what the node handed out, at what lies on
//! the host's disk, and at [`Status`](raft_core::Status). None of them asks the core whether the
//! core is right.

pub(crate) mod contract;
pub(crate) mod coverage;
pub(crate) mod history;
pub(crate) mod sight;

pub use coverage::Coverage;
pub use history::{Call, CallKind, Doubt, History, Judgement, judge, judge_search, judge_zones};
pub use sight::{Cluster, Observed, Open, Sight, View};

use crate::host::machine::Machine;
use derived::Derived;
use sight::Checker;

/// The files of this folder, each with its checker, in the order in which they look.
macro_rules! checkers {
    ($($name:ident: $checker:ident,)*) => {
        $(mod $name;)*

        /// All of them.
        #[derive(Clone, Default, Debug)]
        pub struct Checkers {
            derived: Derived,
            $($name: $name::$checker,)*
            #[cfg(test)]
            pub(crate) recorder: oracles::Recorder,
        }

        impl Checkers {
            /// Shows an event to each.
            ///
            /// # Errors
            ///
            /// The name of the first checker that objects, and its sentence.
            pub fn see(&mut self, sight: &Sight<'_>) -> Result<(), (&'static str, String)> {
                #[cfg(test)]
                self.recorder.take(sight);
                let sight = self.derived.see(sight);
                $(self.$name.see(&sight).map_err(|sentence| (stringify!($name), sentence))?;)*
                Ok(())
            }

            /// Writes down how often each had something to judge.
            pub fn count(&self, coverage: &mut Coverage) {
                $(coverage.$name = self.$name.judged();)*
                coverage.leases_broken = self.lease_disjointness.broken();
            }
        }
    };
}

checkers! {
    output_gating: OutputGating,
    term_and_vote: TermAndVote,
    election_safety: ElectionSafety,
    promise: Promise,
    no_disruption: NoDisruption,
    leader_append_only: LeaderAppendOnly,
    log_matching: LogMatching,
    commit_quorum: CommitQuorum,
    leader_completeness: LeaderCompleteness,
    state_machine_safety: StateMachineSafety,
    fate: FateChecker,
    snapshot_coherence: SnapshotCoherence,
    exactly_once: ExactlyOnce,
    membership_coherence: MembershipCoherence,
    lease_disjointness: LeaseDisjointness,
    leases: Leases,
    requests_end: RequestsEnd,
    reads: Reads,
    accepted: Accepted,
    effects: Effects,
    accusations: Accusations,
    answers: Answers,
    refusals: Refusals,
    check_quorum: CheckQuorum,
    transfers: Transfers,
    peers: Peers,
    wasted_work: WastedWork,
    bounds: Bounds,
    linearizability: Linearizability,
}

impl Checkers {
    /// All of them, for a cluster whose state machines are this one before the first command.
    pub fn of(machine: &Machine) -> Self {
        Self {
            snapshot_coherence: snapshot_coherence::SnapshotCoherence::of(machine),
            linearizability: linearizability::Linearizability::of(machine),
            ..Self::default()
        }
    }
}

mod by_id;
mod by_index;
mod claims;
mod derived;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod oracles;
pub(crate) mod writes;
