//! One node among several: what it hears of the others, and what it tells them.

pub mod streams;
pub mod wire;
