//! Runs `checks/socket_io_bus.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/socket_io_bus.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
