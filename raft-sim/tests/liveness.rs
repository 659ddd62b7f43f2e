//! The scenario files in `raft-sim/liveness/`: what once left a cluster without a leader, or made
//! an obvious remedy wrong. And those in `raft-sim/failover/`, by which `docs/LIVENESS.md`
//! measures.

use raft_sim::plan::Nobody;
use raft_sim::run::play;
use raft_sim::scenario::Scenario;
use std::fs;
use std::path::Path;

/// Plays a file with the seeds from 1 on, at each of its levels. How many were as it expects.
fn as_expected(file: &str, seeds: u64) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).expect("a readable file");
    let scenario = Scenario::read("liveness", file, &text);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let plays = |seed| {
        scenario.levels.iter().all(|level| play(&scenario, *level, seed, &mut Nobody).is_good())
    };
    (1..=seeds).filter(|seed| plays(*seed)).count() as u64
}

macro_rules! cases {
    ($($name:ident: $file:literal, $seeds:literal of $least:literal;)*) => {
        $(#[test]
        fn $name() {
            let held = as_expected($file, $seeds);
            assert!(held >= $least, "{}: {held} of {}", $file, $seeds);
        })*
    };
}

cases! {
    a_joiner_that_alone_holds_its_removal_restarts_and_somebody_leads:
        "liveness/joiner-removed-restarts.toml", 100 of 100;
    nothing_is_appended_while_a_permit_is_out:
        "liveness/transfer-while-joint.toml", 100 of 100;
    a_follower_whose_disk_hangs_keeps_no_leader_that_cannot_commit:
        "liveness/hung-follower.toml", 100 of 100;
    disks_that_need_a_timeout_for_a_write_let_somebody_lead:
        "liveness/slow-disk-500.toml", 100 of 95;
    disks_that_need_more_than_a_timeout_for_a_write_let_somebody_lead:
        "liveness/slow-disk-700.toml", 100 of 95;
    disks_that_become_slow_let_the_leader_lead_on_and_another_follow_it:
        "liveness/slow-disk-900-after-crash.toml", 100 of 95;
    a_leader_whose_followers_disks_are_slow_leads_on_under_load:
        "liveness/slow-follower-disks-under-load.toml", 30 of 30;
    a_change_that_needs_a_dead_voter_is_refused:
        "liveness/dead-voter-kept.toml", 100 of 100;
    a_change_that_needs_a_lost_disk_is_refused_and_nothing_is_excused:
        "liveness/disk-lost-wrong-one-named.toml", 100 of 100;
    a_learner_that_voted_two_changes_ago_never_leads:
        "liveness/learner-of-two-changes-ago.toml", 100 of 95;
    a_leader_waits_for_a_snapshot_that_is_long_on_its_way:
        "liveness/snapshot-on-its-way.toml", 30 of 30;
    a_snapshot_that_is_ready_whenever_its_link_is_cut_is_nobodys_fault:
        "liveness/snapshot-over-a-flapping-link.toml", 20 of 20;
    reads_need_both_halves_of_a_joint_membership:
        "liveness/joint-read.toml", 30 of 30;
    a_fail_over_among_well_nodes_works: "failover/healthy.toml", 10 of 10;
    a_fail_over_beside_a_dead_node_works: "failover/minority-dead.toml", 10 of 10;
    a_fail_over_beside_a_hung_disk_works: "failover/minority-hung.toml", 10 of 10;
    a_fail_over_with_disks_of_a_fifth_of_t_works: "failover/disks-0.2.toml", 10 of 10;
    a_fail_over_with_disks_of_nearly_t_works: "failover/disks-0.8.toml", 10 of 10;
    a_fail_over_with_disks_of_more_than_t_works: "failover/disks-1.5.toml", 10 of 10;
    a_fail_over_with_lost_messages_works: "failover/lossy.toml", 10 of 10;
}
