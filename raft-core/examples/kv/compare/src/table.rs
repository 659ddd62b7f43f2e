//! The table: for each work what a contestant gave, what it cost, and where the time went.

use crate::contest::{CONTESTANTS, Contestant, Sample, Samples, WORKS};
use crate::numbers::{Tenths, median, ratio, scaled};
use std::fmt::Write as _;
use std::thread::available_parallelism;
use std::time::Duration;

/// A number of a sample; 0 where it has none.
type Number = fn(&Sample) -> u64;

/// What a contestant gave, and what it cost. In tenths, but for the rate and the bytes.
const GIVES: [(&str, Number, bool); 6] = [
    ("ops/s", Sample::rate, false),
    ("p50 us", |s| scaled(s.answered.median, 10, 1000), true),
    ("p99 us", |s| scaled(s.answered.high, 10, 1000), true),
    ("fsyncs/op", |s| scaled(s.fsyncs, 1000, s.answered.count), false),
    ("bytes/op", |s| scaled(s.all.written, 1, s.answered.count), false),
    ("CPU us/op", |s| scaled(s.all.cpu, 10, s.answered.count * 1000), true),
];

/// What the leader's threads cost for an operation, in tenths of a microsecond.
const COSTS: [(&str, Number); 4] = [
    ("driver", |s| scaled(s.leader.driver, 10, s.answered.count * 1000)),
    ("disk", |s| scaled(s.leader.disk, 10, s.answered.count * 1000)),
    ("machine", |s| scaled(s.leader.machine, 10, s.answered.count * 1000)),
    ("sockets", |s| scaled(s.leader.tokio, 10, s.answered.count * 1000)),
];

/// For which part of the time, in thousandths.
const SHARES: [(&str, Number); 3] = [
    ("driver", |s| scaled(s.leader.driver, 1000, s.answered.nanos)),
    ("in fsync", |s| scaled(s.leader_fsync, 1000, s.answered.nanos)),
    ("sockets", |s| scaled(s.leader.tokio, 1000, s.answered.nanos)),
];

/// Prints all of it.
pub(crate) fn print(samples: &Samples, rounds: usize, time: Duration) {
    let cores = available_parallelism().map_or(0, usize::from);
    println!(
        "{rounds} rounds of {time:?} each; medians, and beside each number the median of its \
         ratios to the first line\nof the same round; {cores} cores"
    );
    for ((name, _), samples) in WORKS.iter().zip(samples) {
        println!("\n{name}\n{}\n{}", gives(samples), costs(samples, cores));
    }
}

/// Those who did this work, with their names.
fn lines(samples: &[Vec<Sample>]) -> impl Iterator<Item = (&str, bool, &Vec<Sample>)> {
    let lines = CONTESTANTS.iter().zip(samples).filter(|(_, mine)| !mine.is_empty());
    lines.map(|((name, contestant), mine)| {
        (*name, matches!(contestant, Contestant::Nodes(..)), mine)
    })
}

fn gives(samples: &[Vec<Sample>]) -> String {
    let mut text = format!("{:18}", "");
    for (name, ..) in GIVES {
        _ = write!(text, "{name:>9}{:6}", "");
    }
    _ = write!(text, "  spread");
    for (name, _, mine) in lines(samples) {
        _ = write!(text, "\n{name:18}");
        for (column, number, tenths) in GIVES {
            let middle = median(mine.iter().map(number).collect());
            let middle = match (column, tenths) {
                ("fsyncs/op", _) => format!("{}.{:03}", middle / 1000, middle % 1000),
                (_, true) => Tenths(middle).to_string(),
                (_, false) => middle.to_string(),
            };
            _ = write!(text, "{middle:>9}{:>6}", shown_ratio(mine, &samples[0], number));
        }
        _ = write!(text, "{:>8}", format!("{} %", spread(mine)));
    }
    text
}

fn costs(samples: &[Vec<Sample>], cores: usize) -> String {
    let mut text = format!("{:18}", "leader, us/op:");
    for (name, _) in COSTS {
        _ = write!(text, "{name:>8}{:6}", "");
    }
    _ = write!(text, "  busy:");
    for (name, _) in SHARES {
        _ = write!(text, "{name:>9}");
    }
    _ = write!(text, "{:>12}", format!("cores of {cores}"));
    for (name, is_server, mine) in lines(samples) {
        if !is_server {
            continue;
        }
        _ = write!(text, "\n{name:18}");
        for (_, number) in COSTS {
            let middle = Tenths(median(mine.iter().map(number).collect()));
            _ = write!(text, "{middle:>8}{:>6}", shown_ratio(mine, &samples[0], number));
        }
        _ = write!(text, "       ");
        for (_, number) in SHARES {
            let middle = Tenths(median(mine.iter().map(number).collect()));
            _ = write!(text, "{:>9}", format!("{middle} %"));
        }
        let cores = median(mine.iter().map(Sample::cores).collect()).div_ceil(10);
        _ = write!(text, "{:>12}", format!("{}.{:02}", cores / 100, cores % 100));
    }
    text
}

/// How far the rates of the rounds lie apart, in hundredths of their median.
fn spread(mine: &[Sample]) -> u64 {
    let mut rates: Vec<_> = mine.iter().map(Sample::rate).collect();
    rates.sort_unstable();
    let (Some(lowest), Some(highest)) = (rates.first(), rates.last()) else { return 0 };
    scaled(highest - lowest, 100, median(rates.clone()))
}

/// The median of the ratios to the first line of the same round, where both have something.
fn shown_ratio(mine: &[Sample], first: &[Sample], number: Number) -> String {
    let pairs = mine.iter().zip(first).map(|(mine, first)| (number(mine), number(first)));
    let pairs = pairs.filter(|(mine, _)| *mine > 0);
    ratio(pairs).map_or_else(String::new, |ratio| ratio.to_string())
}

#[cfg(test)]
mod tests {
    use super::{costs, gives};
    use crate::client::Answered;
    use crate::contest::{CONTESTANTS, Sample};
    use crate::process::Cost;

    /// So many operations in a second, at a microsecond of the driver for each.
    fn sample(count: u64) -> Sample {
        let answered =
            Answered { count, nanos: 1_000_000_000, median: 1500, ..Answered::default() };
        let leader = Cost { driver: count * 1000, ..Cost::default() };
        let all = Cost { cpu: count * 3000, written: count * 50, ..Cost::default() };
        let (fsyncs, leader_fsync, clients) = (count / 2, 900_000_000, 0);
        Sample { answered, all, leader, fsyncs, leader_fsync, clients }
    }

    #[test]
    fn a_line_has_its_numbers_and_beside_them_the_ratios_to_the_first_line() {
        let mut samples = vec![Vec::new(); CONTESTANTS.len()];
        samples[0] = vec![sample(1000), sample(3000), sample(2000)];
        samples[1] = vec![sample(500), sample(1500), sample(1000)];
        let lines = |text: &str| {
            let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
            text.lines().map(words).collect::<Vec<_>>()
        };
        let gives = lines(&gives(&samples));
        assert_eq!(gives.len(), 3, "who did not do the work has no line");
        let expected = "raft 0.7, 3 nodes 1000 0.50 1.5 1.00 0.0 0.500 1.00 50 1.00 3.0 1.00";
        assert_eq!(gives[2].join(" "), format!("{expected} 100 %"));
        let costs = lines(&costs(&samples, 2));
        let first = "kv, 3 nodes 1.0 1.00 0.0 0.0 0.0 0.2 % 90.0 % 0.0 % 0.01";
        assert_eq!(costs[1].join(" "), first);
    }

    #[test]
    fn no_line_is_wider_than_a_page() {
        let mut samples = vec![vec![sample(1_234_567); 3]; CONTESTANTS.len()];
        samples.iter_mut().flatten().for_each(|sample| sample.answered.high = 99_999_999);
        for text in [gives(&samples), costs(&samples, 64)] {
            assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        }
    }
}
