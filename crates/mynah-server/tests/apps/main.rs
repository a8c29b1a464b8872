//! `mynah app` and the start with apps, as the finished program does them.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

mod commands;
mod databases;
mod import;
mod program;
mod start;
