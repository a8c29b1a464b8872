//! Every statement is understood by the database, and finds its rows by an index.

#[expect(dead_code, reason = "shared with the tests beside the crate, which use the rest")]
#[path = "../../tests/postgres/server.rs"]
mod server;

use mynah_testkit::Recorder;

use super::sql;

/// Which parameters a statement has: `$1` to `$n`.
fn parameters(text: &str) -> usize {
    let numbers = text.split('$').skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<usize>().ok()
    });
    numbers.max().unwrap_or(0)
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_index() {
    let server = server::Server::start();
    let database = server.database().await;
    server.open(&database, Recorder::new()).await.close().await;
    let client = server.client(&database).await;
    let plain = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";
    client.batch_execute(plain).await.expect("set");
    for (name, text) in sql::all() {
        let blanks = vec!["NULL"; parameters(text)].join(", ");
        let blanks = if blanks.is_empty() { String::new() } else { format!("({blanks})") };
        let explain = format!("PREPARE s AS {text}; EXPLAIN EXECUTE s{blanks}; DEALLOCATE s");
        let answer = client.simple_query(&explain).await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let lines = answer.iter().filter_map(|message| {
            let tokio_postgres::SimpleQueryMessage::Row(row) = message else { return None };
            row.get(0)
        });
        let scan = lines.clone().find(|line| line.contains("Seq Scan"));
        assert_eq!(scan, None, "{name} reads a whole table: {:#?}", lines.collect::<Vec<_>>());
    }
}
