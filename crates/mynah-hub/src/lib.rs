//! The fan-out engine. So far: the pure structures for time and presence.

mod arena;
mod leases;
mod soft_state;
mod timer_wheel;

pub use leases::{Acquired, Leases};
pub use soft_state::{SoftState, Touched};
pub use timer_wheel::{TimerKey, TimerWheel};
