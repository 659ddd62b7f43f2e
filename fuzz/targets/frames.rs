//! Frames that carry more or fewer payloads than their message announces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_frames(data));
