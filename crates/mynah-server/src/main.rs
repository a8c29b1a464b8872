//! The binary `mynah`.
fn main() {}
