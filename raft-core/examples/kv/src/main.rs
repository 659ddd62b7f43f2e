//! The server's command.

use clap::Parser;
use kv::options::Options;
use kv::{dev, node};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let to_person = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(to_person);
    log.with_writer(std::io::stderr).init();
    // A server without its disk thread is no server: a thread that panics takes the others with it.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
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
