//! Scenario files: an error with its line, or written and read back as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_scenario(data));
