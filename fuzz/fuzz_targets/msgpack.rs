//! Runs `checks/msgpack.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/msgpack.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
