//! The rows of the fault catalogue: what is harmed, and what must hold.

mod backup;
mod broker;
mod clients;
mod database;
mod nodes;
mod poison;
mod schema;

use std::pin::Pin;

use anyhow::{Result, bail};

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::site::{Site, StoreKind};

/// A row of the catalogue.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) fault: &'static str,
    needs: Needs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Two nodes, hence PostgreSQL and a broker.
    TwoNodes,
    Postgres,
}

const fn row(id: &'static str, fault: &'static str, needs: Needs) -> Row {
    Row { id, fault, needs }
}

/// In the order in which they are played.
pub(crate) const ROWS: [Row; 18] = [
    row("F1", "node killed under load and started again", Needs::Nothing),
    row("F2", "one of two nodes killed for good", Needs::TwoNodes),
    row("F3", "database killed and started again", Needs::Postgres),
    row("F4", "database hangs", Needs::Postgres),
    row("F5", "broker killed, started again empty", Needs::TwoNodes),
    row("F6", "broker unreachable without a reset", Needs::TwoNodes),
    row("F7", "broker unreachable in one direction", Needs::TwoNodes),
    row("F8", "broker connection flaps", Needs::TwoNodes),
    row("F9", "database connections reset after k bytes", Needs::Postgres),
    row("F14", "half-open client connections", Needs::Nothing),
    row("F15", "reconnect storm", Needs::Nothing),
    row("F16", "rolling restart", Needs::Nothing),
    row("F18", "poison in the store and on the broker", Needs::Nothing),
    row("F20", "duplicate sends", Needs::Nothing),
    row("F21", "killed while migrating; two nodes migrate", Needs::Nothing),
    row("F22", "schema newer than the program", Needs::Nothing),
    row("F23", "backup under load, restored elsewhere", Needs::Nothing),
    row("F27", "node paused; two nodes with one id", Needs::TwoNodes),
];

impl Row {
    /// Why it cannot be played with these programs.
    pub(crate) fn cannot(&self, plan: &Plan) -> Option<&'static str> {
        let is_postgres = plan.setup.store == StoreKind::Postgres;
        match self.needs {
            Needs::TwoNodes if plan.nodes() < 2 => Some("needs two nodes"),
            Needs::Postgres if !is_postgres => Some("needs PostgreSQL"),
            Needs::Nothing | Needs::TwoNodes | Needs::Postgres => None,
        }
    }

    /// Harms the site in the way of this row.
    pub(crate) async fn play(&self, site: &mut Site, plan: &Plan) -> Result<Outcome> {
        type Played<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + 'a>>;
        let played: Played<'_> = match self.id {
            "F1" => Box::pin(nodes::killed_and_started_again(site, plan)),
            "F2" => Box::pin(nodes::killed_for_good(site, plan)),
            "F3" => Box::pin(database::killed(site, plan)),
            "F4" => Box::pin(database::hangs(site, plan)),
            "F5" => Box::pin(broker::killed(site, plan)),
            "F6" => Box::pin(broker::unreachable(site, plan)),
            "F7" => Box::pin(broker::unreachable_one_way(site, plan)),
            "F8" => Box::pin(broker::flaps(site, plan)),
            "F9" => Box::pin(database::resets(site, plan)),
            "F14" => Box::pin(clients::half_open(site, plan)),
            "F15" => Box::pin(clients::storm(site, plan)),
            "F16" => Box::pin(nodes::rolling_restart(site, plan)),
            "F18" => Box::pin(poison::poison(site, plan)),
            "F20" => Box::pin(clients::duplicates(site, plan)),
            "F21" => Box::pin(schema::killed_while_migrating(site, plan)),
            "F22" => Box::pin(schema::newer(site, plan)),
            "F23" => Box::pin(backup::under_load(plan)),
            "F27" => Box::pin(nodes::paused_and_twins(site, plan)),
            other => bail!("there is no row {other}"),
        };
        played.await
    }
}
