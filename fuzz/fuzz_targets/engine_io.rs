//! Runs `checks/engine_io.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/engine_io.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
