//! The reference server beside the same server over `raft` 0.7, beside a cluster of one node, and
//! beside a lone fsync loop: `kv-bench [--seconds N] [--rounds N]`.
//!
//! Every round runs every contestant on every kind of work, one right after the other and each time
//! in another order, so that what the machine does besides hits all of them. Medians of the rounds
//! are printed, and the median of the ratios of each round. `--catch-up` is about a follower that
//! was away.

mod catch_up;
mod client;
mod contest;
mod lone;
mod nodes;
mod numbers;
mod process;
mod raft07;
mod scrape;
mod table;

use catch_up::Missed;
use clap::Parser;
use kv::node;
use kv::options::NodeOptions;
use nodes::{Place, Server};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The reference server beside others, in one run.
#[derive(Debug, Parser)]
struct Options {
    /// How long each contestant is measured on each work, in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How many rounds; with --catch-up 3, if it is not said.
    #[arg(long)]
    rounds: Option<usize>,
    /// Where the disk is that is to be measured; what is written there is removed.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Instead: a follower that was held up while others wrote.
    #[arg(long)]
    catch_up: bool,
    /// With --catch-up: how many entries were written meanwhile.
    #[arg(long, default_value_t = 10_000)]
    entries: u64,
    /// With --catch-up: how many of them are values of 1 MB.
    #[arg(long, default_value_t = 300)]
    large: u64,
    /// Run one node of a contestant, which is what this program starts itself for.
    #[arg(long, hide = true)]
    server: Option<Server>,
    /// For that node; T and the two limits of bytes are for every node that is started.
    #[command(flatten)]
    node: NodeOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let ran = match options.server {
        Some(server) => run_node(server, &options),
        None => compare(&options),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), Failure> {
    let time = Duration::try_from_secs_f64(options.seconds)?;
    let NodeOptions { election_timeout_ms, snapshot_bytes, kept_bytes, .. } = options.node;
    let dir = options.dir.clone();
    let place = Place { dir, election_timeout_ms, snapshot_bytes, kept_bytes };
    let rounds = options.rounds.unwrap_or(if options.catch_up { 3 } else { 5 }).max(1);
    if options.catch_up {
        let Options { entries, large, .. } = *options;
        return catch_up::run(&place, rounds, time, Missed { entries, large });
    }
    contest::run(&place, rounds, time)
}

fn run_node(server: Server, options: &Options) -> Result<(), Failure> {
    kv::prepare();
    Ok(match server {
        Server::Kv => node::run(&options.dir, &options.node),
        Server::Raft07 => node::run_core(&options.dir, &options.node, raft07::start),
    }?)
}
