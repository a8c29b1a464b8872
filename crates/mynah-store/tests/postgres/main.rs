//! PostgreSQL keeps the promises of the ports, and some of its own.

mod bouncer;
mod failing;
mod replica;
mod restoring;
mod searching;
mod server;
mod starting;
mod together;
mod young;

mod conformance {
    use super::server::Server;

    mynah_testkit::conformance_groups!(Server);
}
