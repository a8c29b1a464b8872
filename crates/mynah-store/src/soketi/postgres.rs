//! Reading from PostgreSQL.

use std::path::Path;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::tls::Tls;

use super::{PATIENCE, ROWS_MAX, ReadError, Row};

/// All rows; `table` is quoted.
pub(super) async fn read(
    url: &str,
    table: &str,
    authorities: Option<&Path>,
) -> Result<Vec<Row>, ReadError> {
    let mut config: Config =
        url.parse().map_err(|_repeats| ReadError::Address("cannot be understood".to_owned()))?;
    config.connect_timeout(PATIENCE).application_name("mynah import");
    let failed = |error| ReadError::Connect(full(&error));
    let (client, serving) = if config.get_ssl_mode() == SslMode::Require {
        let wrong = |path, problem| ReadError::Authorities { path, problem };
        let tls = Tls::new(authorities).map_err(|(path, problem)| wrong(path, problem))?;
        let (client, connection) = Box::pin(config.connect(tls)).await.map_err(failed)?;
        (client, tokio::spawn(connection))
    } else {
        // Encrypted without looking at the certificate would be no better than this.
        config.ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        (client, tokio::spawn(connection))
    };
    let rows = rows(&client, table).await;
    drop(client);
    serving.abort();
    rows
}

async fn rows(client: &Client, table: &str) -> Result<Vec<Row>, ReadError> {
    // The database writes the row as JSON itself, whatever types its columns have.
    let query = format!("SELECT row_to_json(a)::text FROM {table} AS a LIMIT {}", ROWS_MAX + 1);
    let found = client.simple_query(&query).await;
    let found = found.map_err(|error| ReadError::Read(full(&error)))?;
    let mut rows = Vec::new();
    for message in found {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let text = row.get(0).unwrap_or("null");
        let row = serde_json::from_str(text);
        rows.push(row.map_err(|error| ReadError::Read(format!("a row is no JSON: {error}")))?);
    }
    if rows.len() > ROWS_MAX { Err(ReadError::TooMany) } else { Ok(rows) }
}

/// What the database says, and what lies behind it.
fn full(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
