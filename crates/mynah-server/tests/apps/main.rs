//! `mynah app` and the start with apps, as the finished program does them.

mod commands;
mod databases;
mod import;
mod program;
mod start;
