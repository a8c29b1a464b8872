//! mynah-benches.
fn main() {}
