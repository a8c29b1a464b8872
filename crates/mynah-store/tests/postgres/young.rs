//! A new database is quick from its first minute on, before it has looked at its tables by itself.

use mynah_domain::ports::MessageStore as _;
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;
use tokio_postgres::Client;

use super::server::Server;
use super::together::{message, sending};

/// Rows read of the tables that a send looks into, and messages stored, both as of the same moment.
async fn read_and_stored(client: &Client) -> (i64, i64) {
    let text = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint, \
                coalesce(sum(n_tup_ins) FILTER (WHERE relname = 'messages'), 0)::bigint \
                FROM pg_stat_user_tables \
                WHERE relname IN ('users', 'rooms', 'memberships', 'messages')";
    let row = client.query_one(text, &[]).await.expect("asked");
    (row.get(0), row.get(1))
}

async fn are_analysed(client: &Client) -> bool {
    let text = "SELECT count(*) = 2 FROM pg_stat_user_tables \
                WHERE relname IN ('users', 'messages') AND last_analyze IS NOT NULL";
    client.query_one(text, &[]).await.expect("asked").get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_reads_a_handful_of_rows_however_many_there_are() {
    let server = Server::start_with("autovacuum = off\n");
    let database = server.database().await;
    let heard = Recorder::new();
    let store = server.open(&database, heard.clone()).await;
    let s = Subject::new(store.clone(), heard, ());
    let ada = s.user("ada").await;
    for n in 0..300 {
        s.user(&format!("user {n}")).await;
    }
    let room = s.group(&ada, &[], "one for all").await;
    let client = server.client(&database).await;
    let mut sent = 0_i64;
    let mut send = async || {
        let (id, name) = (format!("m{sent}"), format!("c{sent}"));
        store.append_message(sending(&ada), message(&room, &id, Some(&name))).await.expect("sent");
        sent += 1;
        sent
    };

    while !are_analysed(&client).await {
        assert!(send().await < 10_000, "nobody looks at tables that grow");
    }
    let so_far = send().await;
    let mut from = read_and_stored(&client).await;
    while from.1 < so_far {
        send().await;
        from = read_and_stored(&client).await;
    }
    let mut to = from;
    while to.1 < from.1 + 300 {
        send().await;
        to = read_and_stored(&client).await;
    }
    let each = (to.0 - from.0) / (to.1 - from.1);
    assert!(each < 20, "{each} rows are read for a send");
    store.close().await;
}
