//! Runs `checks/websocket.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/websocket.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
