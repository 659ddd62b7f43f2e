//! Messages decoded from postcard or JSON, stepped into a node in any role.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_messages(data));
