//! The command that attacks; and, where it starts itself again, a node under attack.

use clap::Parser;
use kv_attack::attack::{Settings, Verdict, run};
use kv_attack::nemesis::Until;
use kv_attack::node;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Attacks five processes of kv, and judges what their clients saw.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// For so many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Until so many processes were killed with -9, instead.
    #[arg(long)]
    kills: Option<u64>,
    /// What the plan is drawn from; a fresh one if it is not given. It repeats the plan, not the
    /// moments of the machine.
    #[arg(long)]
    seed: Option<u64>,
    /// T of the nodes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    election_timeout_ms: u64,
    /// The nodes take a snapshot when so many bytes were applied.
    #[arg(long, default_value_t = 20_000)]
    snapshot_bytes: u64,
    /// Where the nodes have their data: a folder that is not there. One of the system's for
    /// temporary files if it is not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep the data, whatever happens.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    if node::is_one() {
        return node::run();
    }
    let options = Options::parse();
    match attack(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the attack could not be carried out: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn attack(options: &Options) -> io::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh);
    println!("--seed {seed}");
    let name = format!("kv-attack-{seed}-{}", std::process::id());
    let dir = options.dir.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    if dir.exists() {
        return Err(io::Error::other(format!("{} is there already", dir.display())));
    }
    let until =
        options.kills.map_or(Until::Time(Duration::from_secs(options.seconds)), Until::Kills);
    let election_timeout = Duration::from_millis(options.election_timeout_ms);
    let settings = Settings {
        seed,
        until,
        dir: dir.clone(),
        election_timeout,
        snapshot_bytes: options.snapshot_bytes,
    };
    let stop = Arc::new(AtomicBool::new(false));
    stop_at_signal(Arc::clone(&stop));
    let Verdict { faults, vacuous, summary } = run(&settings, &stop)?;
    println!("\n{summary}");
    for fault in &faults {
        println!("FAULT after {} s: {}\n{}\n", fault.after.as_secs(), fault.what, fault.evidence);
    }
    for nothing in &vacuous {
        println!("VACUOUS: {nothing}");
    }
    let is_well = faults.is_empty() && vacuous.is_empty();
    if is_well {
        println!("lost: 0. No fault was found (--seed {seed})");
    } else {
        println!("--seed {seed} has failed: {} faults", faults.len());
    }
    if is_well && !options.keep {
        std::fs::remove_dir_all(&dir)?;
    } else {
        println!("the data and the logs of the nodes are in {}", dir.display());
    }
    Ok(is_well)
}

/// A seed of the moment.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs() << 20 & 0xffff_ffff
}

/// Ctrl-C ends the troubles; the judgement comes all the same. A second one ends the process.
fn stop_at_signal(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut interrupts = signal(SignalKind::interrupt())?;
            interrupts.recv().await;
            stop.store(true, Ordering::Relaxed);
            interrupts.recv().await;
            std::process::exit(1);
            #[expect(unreachable_code, reason = "it says of which type the errors are")]
            io::Result::Ok(())
        })
    });
}
