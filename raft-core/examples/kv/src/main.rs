//! The server's command.

use clap::Parser;
use kv::options::Options;
use kv::{dev, node};
use std::process::ExitCode;

fn main() -> ExitCode {
    kv::prepare();
    let options = Options::parse();
    let ran = if options.dev {
        dev::run(&options).map_err(|error| error.to_string())
    } else {
        node::run(&options.dir, &options.node).map_err(|error| error.to_string())
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
