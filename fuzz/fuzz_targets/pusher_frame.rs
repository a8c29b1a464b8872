//! Runs `checks/pusher_frame.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/pusher_frame.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
