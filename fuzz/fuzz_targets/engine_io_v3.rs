//! Runs `checks/engine_io_v3.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/engine_io_v3.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
