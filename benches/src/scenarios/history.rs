//! Pages of 50 messages over HTTP at 500 requests a second, after filling the store through the send path.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::Context;
use super::crowd::Crowd;
use crate::fleet::Fleet;
use crate::http::Http;
use crate::launch::Server;
use crate::machine::{Cpu, Memory};
use crate::report::{Goal, Table};
use crate::tally::Histogram;

const ROOMS: u32 = 100;
const READERS: u64 = 8;
const PER_SECOND: f64 = 500.0;
/// Unanswered messages while filling.
const IN_FLIGHT: u64 = 2_000;

/// Sends until `wanted` messages are stored or `limit` has passed; returns how many are.
fn fill(fleet: &mut Fleet, senders: &[u32], wanted: u64, limit: Duration) -> Result<u64> {
    let began = Instant::now();
    let mut turn = senders.iter().cycle();
    while fleet.counts.sent() < wanted && began.elapsed() < limit {
        while fleet.counts.unanswered() < IN_FLIGHT && fleet.counts.sent() < wanted {
            let sender = turn.next().context("no senders")?;
            fleet.publish(*sender, 10)?;
        }
        fleet.poll(Duration::from_millis(5))?;
    }
    fleet.drain(Duration::from_secs(3))?;
    Ok(fleet.counts.acked)
}

/// Reads pages at one eighth of the rate; latency counts from when the request was due if the last one was late.
fn reader(server: &Server, paths: &[String], token: &str, length: Duration) -> Result<Histogram> {
    let mut http = Http::connect(server.address)?;
    let step = Duration::from_secs_f64(READERS as f64 / PER_SECOND);
    let mut histogram = Histogram::default();
    let began = Instant::now();
    let mut due = began;
    for path in paths.iter().cycle() {
        let behind = Instant::now() > due;
        if !behind {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let start = if behind { due } else { Instant::now() };
        if began.elapsed() > length {
            break;
        }
        let answer = http.request("GET", path, token, "")?.success("history page")?;
        histogram.record(start.elapsed().as_nanos() as u64);
        let items = answer.body.matches("\"clientId\"").count();
        anyhow::ensure!(items >= 50, "a page of {items} messages: {path}");
        due += step;
    }
    Ok(histogram)
}

pub(super) fn run(context: &mut Context) -> Result<Table> {
    let echo = context.shape()?.echo;
    let data = context.data()?;
    let server = Server::mynah(&context.setup, &data)?;
    let crowd = Crowd { rooms: ROOMS, members: u32::from(echo), senders: 1 };
    let rooms = crowd.settle(&server, &context.setup, echo)?;
    let (mut fleet, _) = crowd.connect(&server, &context.setup, rooms.clone(), (echo, 1))?;
    let limit = Duration::from_secs(if context.history_messages > 100_000 { 120 } else { 12 });
    let senders = crowd.senders(echo);
    let began = Instant::now();
    let stored = fill(&mut fleet, &senders, context.history_messages, limit)?;
    let fill_s = began.elapsed().as_secs_f64();
    let remarks = fleet.counts.remarks();
    drop(fleet);

    // Pages everywhere in every room: a fixed mix, so that runs compare.
    let token = context.setup.token("owner", 1);
    let per_room = stored / u64::from(ROOMS);
    let paths: Vec<String> = (0..997_u64)
        .filter_map(|n| {
            let room = rooms.get((n * 37 % u64::from(ROOMS)) as usize)?;
            let before = 60 + n * 7_919 % per_room.saturating_sub(60).max(1);
            Some(format!("/v1/rooms/{room}/messages?limit=50&before=number:{before}"))
        })
        .collect();
    let length = context.seconds(4.0, 1.0);
    let cpu = Cpu::of(server.pid());
    let histograms = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS as usize)
            .map(|_| scope.spawn(|| reader(&server, &paths, &token, length)))
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().map_err(|_panic| anyhow!("a reader failed")).flatten())
            .collect::<Result<Vec<_>>>()
    })?;
    let mut all = Histogram::default();
    for histogram in &histograms {
        all.add(histogram);
    }
    let cpu_us = Cpu::of(server.pid()).since(&cpu) / all.count().max(1) as f64 / 1e3;

    let title = format!("pages of 50 over HTTP, {stored} messages in {ROOMS} rooms");
    let mut table = Table::new("history", title);
    table.row("requests/s", all.count() as f64 / length.as_secs_f64(), Goal::AtLeast(490.0));
    table.row("p50, ms", all.quantile_ms(0.5), Goal::None);
    table.row("p95, ms", all.quantile_ms(0.95), Goal::AtMost(2.0));
    table.row("p99, ms", all.quantile_ms(0.99), Goal::None);
    table.row("server CPU per request, µs", cpu_us, Goal::AtMost(150.0));
    table.row("RSS, MB", Memory::of(server.pid()).resident as f64 / 1e6, Goal::None);
    table.row("messages/s while filling", stored as f64 / fill_s, Goal::None);
    if let Some(remarks) = remarks {
        table.note(format!("trouble while filling: {remarks}"));
    }
    Ok(table)
}
