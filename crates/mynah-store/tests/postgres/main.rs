//! PostgreSQL keeps the promises of the ports, and some of its own.

mod server;

mod conformance {
    use super::server::Server;

    mynah_testkit::conformance_groups!(Server);
}
