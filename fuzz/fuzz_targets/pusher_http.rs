//! Runs `checks/pusher_http.rs` on what libFuzzer makes up.
#![no_main]

#[path = "../checks/pusher_http.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
