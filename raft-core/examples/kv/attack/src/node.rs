//! A node under attack: the server itself, whose databases lie on [`Faulty`] files.
//!
//! The command of the attack starts itself again as a node, so the server's own command knows
//! nothing of faults.

use crate::medium::Faulty;
use clap::Parser;
use kv::options::Options;
use std::path::PathBuf;
use std::process::ExitCode;

/// The argument by which the command knows that it is to be a node.
pub const ORDERS: &str = "--orders";

#[derive(Debug, Parser)]
struct Node {
    #[command(flatten)]
    server: Options,
    /// Where the orders to the disks are.
    #[arg(long)]
    orders: PathBuf,
}

/// Whether this process was started as a node.
pub fn is_one() -> bool {
    std::env::args().any(|argument| argument == ORDERS)
}

/// Is one, until it is told to stop.
pub fn run() -> ExitCode {
    kv::prepare();
    let Node { server, orders } = Node::parse();
    let ran = kv::node::run_on(&server.dir, &server.node, &Faulty::new(orders));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
