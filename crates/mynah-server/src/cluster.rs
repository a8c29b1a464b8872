//! One node among several: what it hears of the others, and what it tells them.

pub mod directory;
pub mod forward;
pub mod interests;
pub mod membership;
pub mod node;
pub mod people;
mod reading;
pub mod streams;
pub mod voice;
pub mod wire;

#[cfg(test)]
mod tests;
