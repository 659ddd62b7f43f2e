//! How much time and work clusters take, in the worlds of `raft-sim/bounds/`: over many seeds, for
//! the loss of a single run heals. Beside each world stands what it may take, in a file of its own.
//!
//! `UPDATE_BOUNDS=1` writes these files anew: for a difference that is understood.
//! `BOUNDS_BATCH=12` plays other seeds than those the bounds were taken from.

use raft_core::Protection;
use raft_sim::run::{Gauged, Quantity, Spread, gauge};
use raft_sim::scenario::Scenario;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The bounds are taken from so many batches of seeds, of which a test plays the first: they are
/// bounds of the world, not of its seeds, and stay so when all that is drawn at random moves.
const BATCHES: u64 = 12;

const HEAD: &str = "\
# At most this, in multiples of T where it is a time, over the seeds of the test: the greatest of
# twelve such batches, and more. UPDATE_BOUNDS=1 writes it.
#
#        quantity                  mean     nine in ten           worst
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bounds")
}

fn name(level: Protection) -> &'static str {
    match level {
        Protection::Plain => "plain",
        Protection::PreVote => "pre-vote",
        Protection::Full => "full",
    }
}

fn decimal(thousandths: u64) -> String {
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

fn thousandths(text: &str) -> u64 {
    let (whole, rest) = text.split_once('.').expect("a number with three decimals");
    assert_eq!(rest.len(), 3, "{text}");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    number(whole) * 1_000 + number(rest)
}

/// What the file of bounds says of a quantity at a level.
fn bound(text: &str, level: Protection, quantity: Quantity) -> Option<Spread> {
    let wanted = [name(level).to_owned(), quantity.to_string()];
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut parts = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = parts.find(|parts| parts[..2] == wanted)?;
    let [mean, most, worst] = [2, 3, 4].map(|at| thousandths(found[at]));
    Some(Spread { mean, most, worst })
}

/// What is over its bound.
fn excess(text: &str, gauged: &Gauged) -> Vec<String> {
    let mut found = Vec::new();
    for quantity in Quantity::ALL {
        let Some(Spread { mean, most, worst }) = gauged.spread(quantity) else { continue };
        let level = name(gauged.level);
        let Some(bound) = bound(text, gauged.level, quantity) else {
            found.push(format!("{level}: {quantity} has no bound: nothing of the kind happened"));
            continue;
        };
        let what = ["mean", "nine in ten", "worst"];
        let pairs = [(mean, bound.mean), (most, bound.most), (worst, bound.worst)];
        for (what, (saw, bound)) in what.iter().zip(pairs).filter(|(_, (saw, bound))| saw > bound) {
            let (saw, bound) = (decimal(saw), decimal(bound));
            found.push(format!("{level}: {quantity}, {what}: {saw}, not {bound}"));
        }
    }
    found
}

/// The bounds of a world at a level, as lines.
fn bounds(scenario: &Scenario, level: Protection, seeds: u64) -> String {
    let batch = |nth| gauge(scenario, level, nth * seeds + 1..(nth + 1) * seeds + 1);
    let batches: Vec<_> = (0..BATCHES).map(batch).collect();
    let failures: u64 = batches.iter().map(|batch| batch.failures).sum();
    assert_eq!(failures, 0, "{}: no bounds where runs fail", scenario.name);
    let mut text = String::new();
    for quantity in Quantity::ALL {
        let spreads: Vec<_> = batches.iter().filter_map(|batch| batch.spread(quantity)).collect();
        let greatest = |of: fn(&Spread) -> u64| spreads.iter().map(of).max();
        let (Some(mean), Some(most), Some(worst)) =
            (greatest(|s| s.mean), greatest(|s| s.most), greatest(|s| s.worst))
        else {
            continue;
        };
        // Where nothing happened nothing is to happen; else there is room for chance.
        let room = |value: u64, percent: u64, more: u64| match value {
            0 => 0,
            _ => value * (100 + percent) / 100 + more,
        };
        let (few, some) = if quantity.is_time() { (3, 10) } else { (200, 1_000) };
        let bounds = [room(mean, 15, few), room(most, 25, some), room(worst, 60, some)];
        let [mean, most, worst] = bounds.map(decimal);
        let (level, quantity) = (name(level), quantity.to_string());
        writeln!(text, "{level:9}{quantity:17}{mean:>13}{most:>16}{worst:>16}").expect("a text");
    }
    text
}

fn within(world: &str, seeds: u64) {
    let file = format!("{world}.toml");
    let text = fs::read_to_string(folder().join(&file)).expect("a readable file");
    let scenario = Scenario::read(world, &file, &text);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let path = folder().join(format!("{world}.txt"));
    if env::var_os("UPDATE_BOUNDS").is_some() {
        let levels = scenario.levels.iter().map(|level| bounds(&scenario, *level, seeds));
        let text = HEAD.to_owned() + &levels.collect::<String>();
        fs::write(&path, text).expect("a file that can be written");
    }
    let bounds = fs::read_to_string(&path).expect("its bounds");
    let batch = env::var("BOUNDS_BATCH").map_or(0, |nth| nth.parse().expect("a number"));
    let mut found = Vec::new();
    for level in &scenario.levels {
        let gauged = gauge(&scenario, *level, batch * seeds + 1..(batch + 1) * seeds + 1);
        if gauged.failures > 0 {
            let level = name(*level);
            found.push(format!("{level}: {} runs are not as expected", gauged.failures));
        }
        found.extend(excess(&bounds, &gauged));
    }
    assert!(found.is_empty(), "{}\n  {}", scenario.title, found.join("\n  "));
}

macro_rules! worlds {
    ($($name:ident: $world:literal, $seeds:literal;)*) => {
        $(#[test]
        fn $name() {
            within($world, $seeds);
        })*

        const WORLDS: &[&str] = &[$($world),*];
    };
}

worlds! {
    five_clients_that_write_over_links_that_lose_messages_are_served_at_once:
        "busy-lossy", 12;
    a_change_right_after_an_election_that_needs_a_dead_voter_stays_refused:
        "change-after-an-election", 20;
    a_change_that_nobody_could_commit_holds_up_nobody:
        "change-without-a-quorum", 12;
    members_come_and_go_and_nobody_waits:
        "changes", 20;
    a_change_in_an_idle_group_is_over_at_once:
        "changes-idle", 20;
    a_change_over_links_that_lose_messages_ends_soon:
        "changes-lossy", 20;
    leaders_of_five_that_crash_are_replaced_soon:
        "crashes", 15;
    leaders_that_crash_beside_disks_of_half_of_t_are_replaced_soon:
        "crashes-disks-05", 20;
    leaders_that_crash_beside_disks_of_t_are_replaced_soon:
        "crashes-disks-10", 20;
    leaders_that_crash_beside_disks_of_nearly_2t_are_replaced:
        "crashes-disks-18", 20;
    leaders_that_crash_beside_disks_of_3t_are_replaced:
        "crashes-disks-30", 20;
    leaders_that_crash_beside_slow_disks_and_bad_links_are_replaced:
        "crashes-disks-lossy", 20;
    leaders_that_crash_beside_fast_disks_and_slow_ones_are_replaced:
        "crashes-disks-uneven", 20;
    leaders_that_crash_where_messages_come_late_and_twice_are_replaced_soon:
        "crashes-doubled", 15;
    leaders_that_crash_where_a_tenth_is_lost_are_replaced_soon:
        "crashes-loss-10", 20;
    leaders_that_crash_where_three_tenths_are_lost_are_replaced_soon:
        "crashes-loss-30", 20;
    who_was_cut_off_and_comes_back_causes_no_election:
        "cut-off-returns", 20;
    a_fail_over_beside_one_that_hears_nobody_is_short:
        "deaf-candidate", 15;
    who_hears_nothing_for_a_while_costs_little:
        "deaf-followers", 12;
    a_voter_whose_disk_begins_to_hang_takes_back_that_it_would_vote:
        "disk-hangs-between", 20;
    links_that_flap_cost_little:
        "flapping", 12;
    leaders_that_crash_while_links_flap_are_replaced:
        "flapping-leaderless", 15;
    a_leader_that_can_commit_nothing_goes_in_time:
        "hung-follower-lossy", 20;
    a_follower_whose_disk_hangs_is_silent_about_what_does_not_fit_too:
        "hung-follower-mismatch", 12;
    a_leader_whose_disk_hangs_during_a_transfer_costs_one_election:
        "hung-transfer", 20;
    beside_disks_that_hang_no_election_is_held_that_nobody_can_win:
        "hung-two-of-five", 20;
    late_copies_of_an_earlier_request_cost_no_vote:
        "late-copies", 20;
    a_node_with_a_term_of_2_to_the_62_ends_no_elections:
        "late-term-of-one", 15;
    terms_near_2_to_the_62_end_no_elections:
        "late-terms", 15;
    a_learner_that_voted_two_changes_ago_asks_for_no_votes:
        "learner-restarts", 12;
    learners_hold_no_elections:
        "learners", 20;
    an_install_without_end_keeps_no_leader_that_cannot_commit:
        "long-install", 12;
    who_lost_to_a_rival_while_its_vote_was_written_takes_over:
        "lost-to-a-rival", 20;
    whatever_of_many_writes_is_durable_counts:
        "many-writes", 2;
    a_newcomer_with_a_long_way_holds_up_nobody:
        "newcomer", 12;
    a_newcomer_that_is_far_behind_is_made_no_voter:
        "newcomer-promoted", 12;
    without_a_quorum_of_disks_no_election_is_held:
        "no-quorum-of-disks", 20;
    logs_that_parted_are_one_again_soon:
        "parted-logs", 12;
    a_long_promise_of_once_delays_no_later_restart:
        "promise-of-once", 15;
    reads_at_a_leader_far_away_are_asked_once:
        "reads-far", 20;
    reads_where_a_tenth_is_lost_are_answered_soon:
        "reads-loss-10", 12;
    reads_where_three_tenths_are_lost_are_answered_soon:
        "reads-loss-30", 20;
    a_leader_that_is_removed_goes_at_once:
        "removed-leader", 20;
    a_node_that_is_removed_learns_it:
        "removed-node", 20;
    a_leader_whose_disk_hangs_permits_one_election:
        "second-permit", 20;
    what_a_smaller_group_holds_is_committed_as_soon_as_it_is_the_group:
        "shrinks-quietly", 20;
    a_group_that_is_made_smaller_commits_what_it_holds:
        "shrinks-slow", 15;
    who_needs_a_snapshot_is_back_soon:
        "snapshots", 15;
    a_candidate_with_an_old_log_that_hears_nobody_holds_up_nobody:
        "stale-and-deaf", 15;
    a_fail_over_beside_one_with_an_old_log_is_short:
        "stale-candidate", 20;
    transfers_over_links_that_lose_messages_are_short:
        "transfers", 15;
    transfers_between_slow_disks_are_short:
        "transfers-disks", 15;
}

#[test]
fn every_world_is_measured_and_has_its_bounds() {
    let mut found: Vec<_> = fs::read_dir(folder())
        .expect("the folder of the worlds")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    found.sort_unstable();
    let mut wanted: Vec<_> =
        WORLDS.iter().flat_map(|world| [format!("{world}.toml"), format!("{world}.txt")]).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn what_is_over_its_bound_is_told_and_what_has_no_bound_too() {
    let scenario = Scenario::named("quorum-loss").expect("a scenario of our own");
    let gauged = gauge(&scenario, Protection::Full, 1..4);
    let text = bounds(&scenario, Protection::Full, 3);
    assert_eq!(excess(&text, &gauged), Vec::<String>::new());
    let elections = gauged.spread(Quantity::Elections).expect("there are elections");
    assert!(elections.worst >= 1_000, "{elections:?}");
    let tight: String =
        text.lines().filter(|line| !line.contains("elections")).collect::<Vec<_>>().join("\n");
    assert_eq!(
        excess(&tight, &gauged),
        ["full: elections has no bound: nothing of the kind happened"]
    );
    let none = format!("{tight}\nfull elections 0.000 0.000 0.000\n");
    assert_eq!(excess(&none, &gauged).len(), 3);
}
