//! The bodies of the fuzz targets. They run on any bytes, with any toolchain.

mod any;
mod cluster;
mod disk;
mod frames;
mod kinds;
mod node;
mod outside;
mod recovery;
mod scenario;
mod stage;
mod subject;
mod wire;

pub use cluster::fuzz_cluster;
pub use frames::fuzz_frames;
pub use node::{fuzz_kinds, fuzz_one_node, fuzz_reached};
pub use recovery::fuzz_recovery;
pub use scenario::fuzz_scenario;
pub use wire::{fuzz_dump, fuzz_messages};

/// Inputs to begin with, for a target whose inputs have a format; none for the others, which take
/// any bytes. The example `seeds` of the fuzz targets' package writes them to files.
pub fn fuzz_seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "message" => wire::message_seeds(),
        "dump" => wire::dump_seeds(),
        "recovery" => recovery::seeds(),
        "scenario" => scenario::seeds(),
        _ => Vec::new(),
    }
}

/// Any bytes: many of one kind, so that choices repeat.
#[cfg(test)]
fn bytes(seed: u64, most: u64) -> Vec<u8> {
    use crate::plan::choice::{Choices, Question};
    let mut choices = Choices::seeded(seed);
    let length = choices.below(Question::Input, most);
    let byte = |_| u8::try_from(choices.below(Question::Input, 256)).expect("a byte");
    (0..length).map(byte).collect()
}
