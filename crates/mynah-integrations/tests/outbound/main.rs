//! Calls to services outside, against servers in this process.

mod calls;
mod guard;
mod server;
mod world;

mod bounds;
mod delivering;
