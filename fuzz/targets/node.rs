//! One node under any inputs, in calls of any size, with the bytes of its commands and crashes: no
//! panic, no broken invariant, and a refusal changes nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_one_node(data));
