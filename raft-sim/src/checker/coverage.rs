//! What a run has seen of what can happen. A sweep that never covered what it claims to test,
//! fails.

use crate::plan::record::DropReason;
use raft_core::{AppendOutcome, Message, Verdict};

macro_rules! coverage {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// How often things happened in a run, or in several.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug, serde::Serialize)]
        pub struct Coverage {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Coverage {
            /// Each count with its name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)*]
            }

            /// Takes in what another run has seen. The highest term and index are added up, too:
            /// of several runs only whether they are zero means something.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

coverage! {
    /// Pre-votes started.
    pre_votes,
    /// Elections started.
    elections,
    /// Elections won.
    leaders,
    /// Leaders that stopped leading without a crash.
    abdications,
    /// Votes given.
    votes_granted,
    /// Votes and pre-votes refused because a leader was heard.
    refused_for_leader,
    /// Votes and pre-votes refused because the log was older.
    refused_for_log,
    /// Votes refused because another had it already.
    refused_for_vote,
    /// Pre-votes refused because the disk of the node that was asked hung.
    refused_for_disk,
    /// Appends refused because the log did not match.
    mismatches,
    /// Writes that dropped entries.
    truncations,
    /// Entries applied, on all nodes.
    applied,
    /// Inputs ignored.
    ignored,
    /// Commands that a client gave to another node before the first had answered.
    asked_again,
    /// Commands that came to a state machine again.
    repeated,
    /// Proposals refused.
    rejections,
    /// Positions that a node said were lost.
    fates_lost,
    /// Processes that stopped, in the middle of a step or not.
    crashes,
    /// Those among them that stopped in the middle of a step.
    crashes_in_step,
    /// Crashes that lost writes.
    lost_writes,
    /// Crashes that a write survived that was not reported.
    surviving_writes,
    /// Crashes that left a write in part.
    torn_writes,
    /// Crashes that left a record in part, which the host cut off when it started again.
    torn_records,
    /// Writes that failed because a disk was full; the process ends with it.
    writes_failed,
    /// Snapshots of a host's own that failed for that reason.
    snapshots_failed,
    /// Records damaged on a disk.
    damages,
    /// Starts that a host refused, because its disk was damaged or gone.
    damaged_starts,
    /// Runs that ended with links that had been cut for long, and with a leader.
    settled_serving,
    /// Those that ended so and without one, as nobody could win.
    settled_without,
    /// Runs that ended with nodes that were down, paused, hung or too slow, or with links that lost
    /// messages, and with a leader.
    minority_broken,
    /// Those that ended so and without one.
    majority_broken,
    /// Runs that ended without a leader, and only the logs were in the way: who held what may be
    /// committed reached no quorum, and who reached one did not hold it.
    constrained,
    /// Leaders that came where the contract asks for one, and disks are fast.
    fail_overs,
    /// The same where disks are slow.
    slow_fail_overs,
    /// Leaders that had to go on leading, as a quorum of nodes that work was joined with them.
    led_on,
    /// Processes started again.
    restarts,
    /// Those among them with another T, or another protection, than at the node's first start.
    restarts_changed,
    /// Starts of nodes whose T was at least 1.5 times that of the setup.
    starts_slower,
    /// Messages lost.
    drops,
    /// Those among them on a link that was cut.
    drops_cut,
    /// Those among them whose kind the link lost.
    drops_kind,
    /// Those among them whose commands were gone when they were to be read.
    payloads_gone,
    /// Changes of who reaches whom, by a shape.
    shapes,
    /// Links that began to flap.
    flaps,
    /// Acts that were aimed at the leader that could commit, and done to it.
    struck_leaders,
    /// Those aimed at a leader at which reads waited.
    struck_reading,
    /// Those aimed at a leader whose membership was joint, or not committed.
    struck_changing,
    /// Those aimed at a node that installed a snapshot.
    struck_installing,
    /// Those aimed at a follower whose disk held a promise.
    struck_promised,
    /// Messages sent twice by the network.
    duplicates,
    /// Messages of any time before that were given to their receiver again.
    replayed,
    /// Messages given to another node than they were sent to.
    misrouted,
    /// Answers given in the name of a node that does not exist.
    strangers,
    /// Messages that cannot be.
    malformed,
    /// Proposals refused because too many entries waited for their commit.
    too_many_uncommitted,
    /// Reads refused because too many waited.
    too_many_reads,
    /// Logs that were cut at their start, because a snapshot covers it.
    compactions,
    /// Snapshots sent.
    snapshots_sent,
    /// Snapshots installed.
    installs,
    /// Installations that took longer than T.
    installs_long,
    /// Installations that failed.
    installs_failed,
    /// Reads served without the log.
    reads_served,
    /// Reads refused.
    reads_refused,
    /// Changes of the membership that were taken.
    membership_changes,
    /// Transfers that began while a change of the membership was under way.
    transfers_in_changes,
    /// Clocks that stepped back, which their nodes saw.
    steps_back,
    /// Transfers after which another led.
    transfers_done,
    /// Transfers that came to nothing.
    transfers_failed,
    /// Steps of several inputs.
    batches,
    /// Clients' operations that returned.
    operations_done,
    /// Clients' operations of which nobody knows what became of them.
    operations_unknown,
    /// Clients' operations that certainly had no effect.
    operations_failed,
    /// The highest term of any node.
    highest_term,
    /// The highest commit index of any node.
    highest_commit,
    /// Messages that the checker `output_gating` judged.
    output_gating,
    /// Terms, votes and promises that `term_and_vote` judged.
    term_and_vote,
    /// Leaders of a term that `election_safety` judged.
    election_safety,
    /// Votes that `promise` judged while their voter had promised a lease.
    promise,
    /// New terms, and candidates who had asked before, that `no_disruption` judged.
    no_disruption,
    /// Writes of leaders that `leader_append_only` judged.
    leader_append_only,
    /// Entries of a position that was known before that `log_matching` compared.
    log_matching,
    /// Commits that `commit_quorum` judged.
    commit_quorum,
    /// Pairs of a leader and a commit of an earlier term that `leader_completeness` judged.
    leader_completeness,
    /// Entries that another had applied before that `state_machine_safety` compared.
    state_machine_safety,
    /// Fates that `fate` judged.
    fate,
    /// State machines and snapshots that `snapshot_coherence` compared.
    snapshot_coherence,
    /// State machines that `exactly_once` judged.
    exactly_once,
    /// Memberships with one before them that `membership_coherence` judged.
    membership_coherence,
    /// Pairs of leaders of different terms that `lease_disjointness` judged.
    lease_disjointness,
    /// Requests whose end `requests_end` has seen.
    requests_end,
    /// Refusals of what nobody invented that `accusations` judged.
    accusations,
    /// Answers and messages of a new role that `answers` waited for.
    answers,
    /// Refusals whose reason `refusals` judged.
    refusals,
    /// Wakes of leaders with full protection that `check_quorum` judged.
    check_quorum,
    /// Messages and writes that `wasted_work` judged.
    wasted_work,
    /// Messages with entries that `bounds` judged.
    bounds,
    /// Operations that `linearizability` judged.
    linearizability,
}

impl Coverage {
    pub(crate) fn send(&mut self, message: &Message) {
        match message {
            Message::PreVoteResponse(m) => self.verdict(m.verdict),
            Message::RequestVoteResponse(m) => {
                self.votes_granted += u64::from(m.verdict == Verdict::Granted);
                self.verdict(m.verdict);
            }
            Message::AppendEntriesResponse(m) => {
                let mismatched = matches!(m.outcome, AppendOutcome::Mismatched { .. });
                self.mismatches += u64::from(mismatched);
            }
            _ => {}
        }
    }

    pub(crate) fn dropped(&mut self, reason: DropReason) {
        self.drops += 1;
        match reason {
            DropReason::Cut => self.drops_cut += 1,
            DropReason::Kind => self.drops_kind += 1,
            DropReason::PayloadGone => self.payloads_gone += 1,
            DropReason::Loss | DropReason::Down => {}
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::LeaderAlive => self.refused_for_leader += 1,
            Verdict::StaleLog => self.refused_for_log += 1,
            Verdict::AlreadyVoted => self.refused_for_vote += 1,
            Verdict::DiskHangs => self.refused_for_disk += 1,
            Verdict::Granted | Verdict::StaleTerm => {}
        }
    }
}
