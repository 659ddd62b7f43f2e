//! Recovery from any durable state: refused with a type, or a node that stands everything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_recovery(data));
