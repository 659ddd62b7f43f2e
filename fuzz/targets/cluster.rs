//! A whole cluster whose every choice (delays, losses, crashes, who acts next) is a byte of the
//! input, with all checkers running.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_cluster(data));
