//! One node under any inputs: no panic, no broken invariant, and a refusal changes nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_one_node(data));
