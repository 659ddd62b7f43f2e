//! A whole node decoded from postcard or JSON, then stepped.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_sim::run::fuzz_dump(data));
