//! The simulator's command: see `raft-sim --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_sim::cli::main()
}
