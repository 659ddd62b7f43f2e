//! What a run has seen of what can happen, and how many of a thousand drawn runs must have seen it,
//! at least: about a third of those that do. A sweep that covers less of what it claims to test,
//! fails.
//!
//! What fewer than five of a thousand need have says why they are so few.

use crate::plan::record::DropReason;
use raft_core::{AppendEntries, AppendOutcome, Message, Verdict};

/// How many terms of a log a refusal names at most.
const MAX_HINT: usize = 128;

macro_rules! coverage {
    ($($(#[$doc:meta])* $field:ident >= $least:literal $(because $why:literal)?,)*) => {
        /// How often things happened in a run, or in several.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug, serde::Serialize)]
        pub struct Coverage {
            $(
                $(#[$doc])*
                #[doc = concat!("In at least ", $least, " of 1000 drawn runs.")]
                $(#[doc = concat!("That is few: ", $why, ".")])?
                pub $field: u64,
            )*
        }

        impl Coverage {
            /// Each count with its name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)*]
            }
        }

        /// Of each count how many of a thousand drawn runs have it, at least.
        const MINIMA: &[Minimum] = &[$(
            Minimum {
                name: stringify!($field),
                runs: $least,
                #[cfg(test)]
                why: [$($why)?].first().copied(),
            },
        )*];
    };
}

/// How many of a thousand drawn runs have a count, at least.
struct Minimum {
    name: &'static str,
    runs: u64,
    /// Why they are few.
    #[cfg(test)]
    why: Option<&'static str>,
}

/// By so many runs a share of few runs may be missed: chance.
pub(crate) const SPARE: u64 = 3;

/// How many of so many drawn runs must have this count, at least. A count of another build of the
/// simulator is not judged.
pub(crate) fn least(name: &str, runs: u64) -> u64 {
    let minimum = MINIMA.iter().find(|minimum| minimum.name == name);
    let share = minimum.map_or(0, |minimum| u128::from(minimum.runs) * u128::from(runs) / 1_000);
    u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(SPARE)
}

coverage! {
    /// Pre-votes started.
    pre_votes >= 200,
    /// Elections started.
    elections >= 300,
    /// Elections won.
    leaders >= 300,
    /// Leaders that stopped leading without a crash.
    abdications >= 200,
    /// Votes given.
    votes_granted >= 250,
    /// Votes and pre-votes refused because a leader was heard.
    refused_for_leader >= 100,
    /// Votes and pre-votes refused because the log was older.
    refused_for_log >= 150,
    /// Votes refused because another had it already.
    refused_for_vote >= 100,
    /// Pre-votes refused because the disk of the node that was asked hung.
    refused_for_disk >= 9,
    /// Appends refused because the log did not match.
    mismatches >= 250,
    /// Writes that dropped entries.
    truncations >= 50,
    /// Entries applied, on all nodes.
    applied >= 300,
    /// Inputs ignored.
    ignored >= 300,
    /// Commands that a client gave to another node before the first had answered.
    asked_again >= 100,
    /// Commands that came to a state machine again.
    repeated >= 100,
    /// Proposals refused.
    rejections >= 300,
    /// Positions that a node said were lost.
    fates_lost >= 75,
    /// Processes that stopped, in the middle of a step or not.
    crashes >= 250,
    /// Those among them that stopped in the middle of a step.
    crashes_in_step >= 100,
    /// Crashes that lost writes.
    lost_writes >= 100,
    /// Crashes that a write survived that was not reported.
    surviving_writes >= 60,
    /// Crashes that left a write in part.
    torn_writes >= 50,
    /// Crashes that left a record in part, which the host cut off when it started again.
    torn_records >= 25,
    /// Writes that failed because a disk was full; the process ends with it.
    writes_failed >= 70,
    /// Snapshots of a host's own that failed for that reason.
    snapshots_failed >= 3 because "a write of the core mostly fails first",
    /// Records damaged on a disk.
    damages >= 20,
    /// Starts that a host refused, because its disk was damaged or gone.
    damaged_starts >= 30,
    /// Runs that ended with links that had been cut for long, and with a leader.
    settled_serving >= 35,
    /// Those that ended so and without one, as nobody could win.
    settled_without >= 10,
    /// Runs that ended with nodes that were down, paused, hung or too slow, or with links that lost
    /// messages, and with a leader.
    minority_broken >= 20,
    /// Those that ended so and without one.
    majority_broken >= 9,
    /// Runs that ended without a leader, and only the logs were in the way: who held what may be
    /// committed reached no quorum, and who reached one did not hold it.
    constrained >= 1 because "links must fall out so that nothing but the logs is in the way",
    /// Leaders that came where the contract asks for one, and disks are fast.
    fail_overs >= 200,
    /// The same where disks are slow.
    slow_fail_overs >= 30,
    /// Leaders that had to go on leading, as a quorum of nodes that work was joined with them.
    led_on >= 100,
    /// Processes started again.
    restarts >= 250,
    /// Those among them with another T, or another protection, than at the node's first start.
    restarts_changed >= 50,
    /// Starts of nodes whose T was at least 1.5 times that of the setup.
    starts_slower >= 35,
    /// Messages lost.
    drops >= 250,
    /// Those among them on a link that was cut.
    drops_cut >= 250,
    /// Those among them whose kind the link lost.
    drops_kind >= 15,
    /// Messages with entries that a driver sent as several frames.
    frames_split >= 20,
    /// Times that a driver told somebody that his time is over.
    times_over >= 40,
    /// Promotions that wait at a driver until the learner has caught up.
    promotions_wait >= 35,
    /// Times that a leader was told that no more entries leave for a peer.
    peers_paused >= 60,
    /// Entries that a driver wanted and that were not at hand.
    fetches >= 20,
    /// Proposals that a driver refused because too many bytes wait for their commit.
    too_many_bytes >= 20,
    /// Proposals of which a driver that lost leadership said that nobody knows.
    given_up >= 40,
    /// Ranges of which a driver handed out a part at a time.
    applied_in_parts >= 30,
    /// Frames that were refused where they arrived, because they lie.
    frames_refused >= 25,
    /// Changes of who reaches whom, by a shape.
    shapes >= 250,
    /// Links that began to flap.
    flaps >= 100,
    /// Acts that were aimed at the leader that could commit, and done to it.
    struck_leaders >= 100,
    /// Those aimed at a leader at which reads waited.
    struck_reading >= 50,
    /// Those aimed at a leader whose membership was joint, or not committed.
    struck_changing >= 20,
    /// Those aimed at a node that installed a snapshot.
    struck_installing >= 6,
    /// Those aimed at a follower whose disk held a promise.
    struck_promised >= 35,
    /// Messages sent twice by the network.
    duplicates >= 150,
    /// Messages of any time before that were given to their receiver again.
    replayed >= 85,
    /// Messages given to another node than they were sent to.
    misrouted >= 65,
    /// Answers given in the name of a node that does not exist.
    strangers >= 50,
    /// Messages that cannot be.
    malformed >= 75,
    /// Messages that cannot be beside what their receiver knows.
    contradictions >= 85,
    /// Proposals refused because too many entries waited for their commit.
    too_many_uncommitted >= 30,
    /// Reads refused because too many waited.
    too_many_reads >= 30,
    /// Logs that were cut at their start, because a snapshot covers it.
    compactions >= 200,
    /// Snapshots sent.
    snapshots_sent >= 100,
    /// Snapshots installed.
    installs >= 100,
    /// Installations that took longer than T.
    installs_long >= 35,
    /// Installations that failed.
    installs_failed >= 25,
    /// Reads served without the log.
    reads_served >= 250,
    /// Reads refused.
    reads_refused >= 200,
    /// Changes of the membership that were taken.
    membership_changes >= 150,
    /// Transfers that began while a change of the membership was under way.
    transfers_in_changes >= 75,
    /// Clocks that stepped back, which their nodes saw.
    steps_back >= 65,
    /// Transfers after which another led.
    transfers_done >= 100,
    /// Transfers that came to nothing.
    transfers_failed >= 20,
    /// Steps of several inputs.
    batches >= 150,
    /// Clients' operations that returned.
    operations_done >= 250,
    /// Clients' operations of which nobody knows what became of them.
    operations_unknown >= 200,
    /// Clients' operations that certainly had no effect.
    operations_failed >= 150,
    /// Logs dropped at a start, as they were older than the snapshot or contradicted it.
    logs_dropped >= 3 because "a crash must come between the two writes of an installation",
    /// Rounds that do not count for a lease, as the leader's clock had gone back since.
    rounds_untimed >= 50,
    /// Clocks of leaders that went back.
    steps_back_leading >= 70,
    /// Requests for a vote that name the permit of a leader.
    permits_used >= 100,
    /// Votes given for that permit, by nodes that heard the leader.
    votes_by_permit >= 100,
    /// Votes and pre-votes refused because of a promise of an earlier life.
    promises_kept >= 60,
    /// Votes that came when their election had taken too long, and still count.
    votes_late >= 10,
    /// Elections won by such votes.
    elected_late >= 9,
    /// Votes that came when their election was won.
    votes_after_winning >= 200,
    /// Voters that said yes to a pre-vote and then no, in one round.
    pre_votes_taken_back >= 4 because "a voter must hear a leader in the middle of a round",
    /// Leaders that stepped down because no quorum answered.
    leaders_without_quorum >= 95,
    /// Leaders that stepped down because their disk hung.
    leaders_with_hung_disks >= 35,
    /// Leaders of earlier terms that were told so.
    leaders_told >= 150,
    /// Elections won under a joint membership.
    elections_joint >= 20,
    /// Those whose halves have majorities without a common node.
    elections_apart >= 2 because "few leaders fall while most voters are swapped",
    /// Commits under a joint membership.
    commits_joint >= 150,
    /// Those whose halves have majorities without a common node.
    commits_apart >= 30,
    /// Commits of entries of earlier terms, with one of the leader's own.
    commits_of_before >= 200,
    /// Commits of entries that were not durable on the leader's own disk.
    commits_before_own_disk >= 60,
    /// Memberships that were dropped from a log.
    memberships_undone >= 6,
    /// Answers to a leader that came too late to say anything.
    answers_late >= 250,
    /// Messages of peers that a leader does not know, or knows no more.
    peers_unknown >= 60,
    /// Votes of nodes that have none.
    voters_unknown >= 1 because "a vote must come after the change that takes it away",
    /// Parts of a write whose commands came with several inputs.
    chunks_joined >= 75,
    /// Parts of a write of whose commands the first were known already.
    chunks_skipping >= 150,
    /// Parts of a write that are both.
    chunks_joined_skipping >= 2 because "messages that overlap must come in one call",
    /// Calls with entries of two leaders, of the earlier one first.
    calls_of_two_leaders >= 20,
    /// Crashes in the middle of an installation.
    installs_cut >= 10,
    /// Heads of snapshots whose content was not taken in, or stopped before they left.
    heads_refused >= 30,
    /// Snapshots of what the receiver's log held already.
    installs_needless >= 30,
    /// Messages of a leader refused in the middle of an installation.
    refused_installing >= 75,
    /// Reads that a lease answered, without a message.
    reads_leased >= 80,
    /// Reads of others that a leader answered.
    reads_led >= 200,
    /// Reads of others at a node that did not lead.
    reads_misled >= 65,
    /// Questions about reads that were asked again.
    questions_repeated >= 150,
    /// Reads that no quorum confirmed in time.
    reads_timed_out >= 70,
    /// Votes and requests for votes that left when the disk had caught up.
    held_for_disk >= 250,
    /// Completed writes of which the node heard later.
    completions_late >= 150,
    /// Completed writes of which the node heard when a newer one was complete, too.
    completions_behind >= 100,
    /// The highest term of any node.
    highest_term >= 300,
    /// Leases that a later leader broke, after a clock went wrong that its node could not doubt.
    leases_broken >= 3 because "most jumps are seen, or nobody is elected in time",
    /// Messages that named as many runs of entries as they may, or one less.
    messages_full >= 7,
    /// Refusals that named as many terms of a log as they may.
    hints_full >= 17,
    /// Writes that were handed out while as many as a node remembers were on their way.
    writes_many >= 5,
    /// Reads that were asked of a leader after somebody had come to a later term.
    reads_deposed >= 85,
    /// Reads that were asked of a node whose membership was changing.
    reads_changing >= 200,
    /// Reports of a disk that came later than what they are about.
    reports_late >= 55,
    /// Entries that were handed out to be applied, and waited: as often as they were.
    applies_late >= 50,
    /// The highest commit index of any node.
    highest_commit >= 300,
    /// Messages that the checker `output_gating` judged.
    output_gating >= 300,
    /// Terms, votes and promises that `term_and_vote` judged.
    term_and_vote >= 300,
    /// Leaders of a term that `election_safety` judged.
    election_safety >= 300,
    /// Votes that `promise` judged while their voter had promised a lease.
    promise >= 65,
    /// New terms, and candidates who had asked before, that `no_disruption` judged.
    no_disruption >= 300,
    /// Writes of leaders that `leader_append_only` judged.
    leader_append_only >= 300,
    /// Entries of a position that was known before that `log_matching` compared.
    log_matching >= 300,
    /// Commits that `commit_quorum` judged.
    commit_quorum >= 300,
    /// Pairs of a leader and a commit of an earlier term that `leader_completeness` judged.
    leader_completeness >= 250,
    /// Entries that another had applied before that `state_machine_safety` compared.
    state_machine_safety >= 300,
    /// Fates that `fate` judged.
    fate >= 300,
    /// State machines and snapshots that `snapshot_coherence` compared.
    snapshot_coherence >= 300,
    /// State machines that `exactly_once` judged.
    exactly_once >= 300,
    /// Memberships with one before them that `membership_coherence` judged.
    membership_coherence >= 250,
    /// Pairs of leaders of different terms that `lease_disjointness` judged.
    lease_disjointness >= 50,
    /// Questions and answers about leases that `leases` judged.
    leases >= 170,
    /// Requests whose end `requests_end` has seen.
    requests_end >= 300,
    /// Refusals of what nobody invented that `accusations` judged.
    accusations >= 300,
    /// Answers and messages of a new role that `answers` waited for.
    answers >= 300,
    /// Refusals whose reason `refusals` judged.
    refusals >= 300,
    /// Wakes of leaders with full protection that `check_quorum` judged.
    check_quorum >= 150,
    /// Steps of leaders that `transfers` judged: they tell, or have told, a voter to take over.
    transfers >= 120,
    /// Reads, and answers to questions of reads, of which `reads` judged what came of them.
    reads >= 250,
    /// Commands and memberships of which `accepted` judged the answer.
    accepted >= 250,
    /// Inputs without a refusal of which `effects` judged what came of them.
    effects >= 250,
    /// What came to leaders from peers of which `peers` judged what they say.
    peers >= 250,
    /// Messages and writes that `wasted_work` judged.
    wasted_work >= 300,
    /// Messages with entries that `bounds` judged.
    bounds >= 300,
    /// Operations that `linearizability` judged.
    linearizability >= 300,
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
                if let AppendOutcome::Mismatched { hint, .. } = &m.outcome {
                    self.mismatches += 1;
                    self.hints_full += u64::from(hint.len() == MAX_HINT);
                }
            }
            Message::AppendEntries(m) => {
                let runs = m.entries.run_count();
                self.messages_full += u64::from(runs + 1 >= AppendEntries::MAX_RUNS);
            }
            _ => {}
        }
    }

    pub(crate) fn dropped(&mut self, reason: DropReason) {
        self.drops += 1;
        match reason {
            DropReason::Cut => self.drops_cut += 1,
            DropReason::Kind => self.drops_kind += 1,
            DropReason::Unwanted => self.heads_refused += 1,
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

#[cfg(test)]
mod tests {
    use super::{Coverage, MINIMA, least};

    #[test]
    fn each_count_has_a_minimum_and_a_small_one_has_a_reason() {
        let counts = Coverage::default().counts();
        assert!(counts.iter().map(|(name, _)| *name).eq(MINIMA.iter().map(|m| m.name)));
        for minimum in MINIMA {
            assert!((1..=1_000).contains(&minimum.runs), "{}", minimum.name);
            assert_eq!(minimum.why.is_some(), minimum.runs < 5, "{}", minimum.name);
        }
    }

    #[test]
    fn what_a_sweep_must_cover_grows_with_its_runs_less_some_for_chance() {
        let of = |runs| least("constrained", runs);
        assert_eq!([0, 1_000, 3_999, 4_000, 100_000].map(of), [0, 0, 0, 1, 97]);
        assert_eq!(least("comets", 100_000), 0, "another build may have counted them");
        assert_eq!(least("constrained", u64::MAX), u64::MAX / 1_000 - 3);
    }
}
