//! Runs `checks/pusher_signature.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/pusher_signature.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
