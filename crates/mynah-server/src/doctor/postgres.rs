//! PostgreSQL, the clock and the nodes that it knows of.

use std::time::Duration;

use mynah_store::postgres::{self, Examined};

use super::report::{Report, span};
use crate::config::Config;
use crate::stores::postgres_options;

const STORE: &str = "store";
const CLOCK: &str = "clock";
const NODES: &str = "nodes";
/// The oldest version that is used.
const VERSION_MIN: u64 = 130_000;
/// A database that answers later makes every message late.
const SLOW: Duration = Duration::from_millis(10);
/// Clocks further apart than this are told.
const CLOCK_NOTE_MS: u64 = 2_000;
/// Tokens of one machine are not good at another beyond this.
const CLOCK_WRONG_MS: u64 = 30_000;
/// Connections of a node beside those of its pool: the writer, and those for what nodes tell of themselves.
const OWN_CONNECTIONS: u64 = 3;

pub(super) async fn check(config: &Config, report: &mut Report) {
    match Box::pin(postgres::examine(&postgres_options(&config.store))).await {
        Ok(found) => {
            store(config, &found, report);
            clock(&found, report);
            nodes(config, &found, report);
        }
        Err(error) => {
            report.wrong(STORE, error.to_string(), "Without it the server does not start.");
        }
    }
}

fn store(config: &Config, found: &Examined, report: &mut Report) {
    let Examined { place, version_text, schema, schema_newest, .. } = found;
    let took = span(found.latency);
    let what = format!("PostgreSQL {version_text} at {place}");
    if found.version < VERSION_MIN {
        report.wrong(STORE, format!("{what} is too old"), "PostgreSQL 13 or newer is needed.");
    } else if found.is_standby {
        report.wrong(STORE, format!("{what} is a standby"), "Name the primary in DATABASE_URL.");
    } else if found.encoding != "UTF8" {
        let text = format!("{what} has the encoding {}", found.encoding);
        report.wrong(STORE, text, "Make a database with ENCODING 'UTF8'.");
    } else if found.latency > SLOW {
        report.note(
            STORE,
            format!("{what} answers in {took} at best"),
            "Each message waits for it several times: put it nearer, in the same data centre.",
        );
    } else {
        report.ok(STORE, format!("{what} answers in {took}"));
    }
    if found.fsync == "off" {
        report.wrong(
            STORE,
            "fsync is off: after a power cut acknowledged messages, or all of the database, may be lost",
            "Set fsync = on.",
        );
    }
    match found.synchronous_commit.as_str() {
        "off" => report.note(
            STORE,
            "synchronous_commit is off in the database; Mynah switches it on for its own commits",
            "",
        ),
        mode => report
            .ok(STORE, format!("synchronous_commit is {mode}: what is acknowledged is on disk")),
    }
    match schema {
        None => report.note(STORE, "it has no tables of ours yet; the first start makes them", ""),
        Some(schema) if schema > schema_newest => report.wrong(
            STORE,
            format!("its schema is of version {schema}; this binary knows versions up to {schema_newest}"),
            "A newer release runs on it: use that.",
        ),
        Some(schema) if schema < schema_newest => report.note(
            STORE,
            format!("its schema is of version {schema}; this binary brings it to {schema_newest} at its next start"),
            "Make a backup before: an older binary does not start on it afterwards.",
        ),
        Some(schema) => report.ok(STORE, format!("its schema is of version {schema}, the newest")),
    }
    let each = config.store.pool_max as u64 + OWN_CONNECTIONS;
    let all = each.saturating_mul(found.nodes.len().max(2) as u64);
    if all > found.connections_max {
        report.note(
            STORE,
            format!("it takes {} connections, and each node may open {each}", found.connections_max),
            "Raise max_connections or lower store.pool_max, so that all nodes and a rolling restart fit.",
        );
    }
}

fn clock(found: &Examined, report: &mut Report) {
    let ahead = found.clock_ahead_ms;
    let off = ahead.unsigned_abs();
    let way = if ahead > 0 { "behind" } else { "ahead of" };
    let text = format!(
        "this machine's clock is {} {way} the database's",
        span(Duration::from_millis(off))
    );
    let advice = "Let all machines follow the same time servers (timedatectl set-ntp true).";
    if off > CLOCK_WRONG_MS {
        report.wrong(CLOCK, text, advice);
    } else if off > CLOCK_NOTE_MS {
        report.note(CLOCK, text, advice);
    } else {
        report.ok(CLOCK, "this machine's clock and the database's agree");
    }
}

fn nodes(config: &Config, found: &Examined, report: &mut Report) {
    let addresses: Vec<&str> = found.nodes.iter().map(|node| node.address.as_str()).collect();
    match addresses.len() {
        0 => report.note(NODES, "none is running", ""),
        1 => report.ok(NODES, format!("one is running, at {}", addresses.join(""))),
        many if config.cluster.has_broker() => {
            report.ok(NODES, format!("{many} are running, at {}", addresses.join(", ")));
        }
        many => report.wrong(
            NODES,
            format!("{many} are running, at {}, and no broker is set here", addresses.join(", ")),
            "All need the same REDIS_URL or NATS_URL; without it, messages reach the clients of other nodes late.",
        ),
    }
}
