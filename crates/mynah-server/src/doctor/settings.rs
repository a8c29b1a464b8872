//! The configuration, and what the system allows.

use rustix::process::{Resource, getrlimit};

use super::report::Report;
use crate::config::{Config, Loaded, Stage};
use crate::wiring;

const AREA: &str = "configuration";
/// File descriptors beside those of connections: store, broker, log, operators.
const OWN_FILES: u64 = 200;

pub(super) fn check(loaded: &Loaded, report: &mut Report) {
    let config = &loaded.config;
    let problems = config.problems();
    for problem in &problems {
        report.wrong(
            AREA,
            format!("{} {}", problem.entry, problem.text),
            "the server refuses to start",
        );
    }
    for remark in &loaded.remarks {
        report.note(AREA, remark.clone(), "");
    }
    match wiring::dialects(config) {
        Ok(_) if problems.is_empty() => report.ok(AREA, stage(config)),
        Ok(_) => {}
        Err(error) => report.wrong(AREA, format!("{error:#}"), "the server refuses to start"),
    }
    if config.env == Stage::Development && !config.store.url.is_empty() {
        report.note(
            AREA,
            "it is a development installation on PostgreSQL",
            "In development each node makes its own secrets, and tokens of one are not good at another. Set \
             MYNAH_ENV=production, JWT_SECRET and MYNAH_AUTH__ENCRYPTION_KEY alike on all nodes.",
        );
    }
    files(config, report);
}

fn stage(config: &Config) -> &'static str {
    match config.env {
        Stage::Production => "can be used; production",
        Stage::Development => "can be used; development (MYNAH_ENV=production is stricter)",
    }
}

fn files(config: &Config, report: &mut Report) {
    let wanted = config.limits.connections_max as u64 + OWN_FILES;
    // The server raises its soft limit to the hard one, so the hard one counts.
    let limits = getrlimit(Resource::Nofile);
    match limits.maximum {
        Some(most) if most < wanted => report.note(
            AREA,
            format!("{most} open files are allowed here, for up to {} connections", config.limits.connections_max),
            &format!(
                "Beyond about {} connections new ones would fail instead of being refused: raise the limit \
                 (systemd: LimitNOFILE=, containers: ulimits, shell: ulimit -n) or lower \
                 limits.connections_max.",
                most.saturating_sub(OWN_FILES),
            ),
        ),
        Some(_) | None => report.ok(AREA, "enough open files are allowed"),
    }
}
