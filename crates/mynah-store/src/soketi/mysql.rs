//! Reading from MySQL and MariaDB.

use std::path::Path;

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use serde_json::Value;

use super::{PATIENCE, ROWS_MAX, ReadError, Row};

/// All rows; `table` is quoted.
pub(super) async fn read(
    url: &str,
    table: &str,
    authorities: Option<&Path>,
) -> Result<Vec<Row>, ReadError> {
    let opts = Opts::from_url(url);
    let opts = opts.map_err(|_repeats| ReadError::Address("cannot be understood".to_owned()))?;
    let opts = with_authorities(opts, authorities);
    // It makes its TLS of whatever the process has; another part may have said so before.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let conn = tokio::time::timeout(PATIENCE, Conn::new(opts)).await;
    let conn = conn.map_err(|_elapsed| ReadError::TimedOut)?;
    let mut conn = conn.map_err(|error| ReadError::Connect(error.to_string()))?;
    let query = format!("SELECT * FROM {table} LIMIT {}", ROWS_MAX + 1);
    let found: Result<Vec<mysql_async::Row>, _> = conn.query(query).await;
    let found = found.map_err(|error| ReadError::Read(error.to_string()))?;
    if let Err(error) = conn.disconnect().await {
        tracing::debug!(%error, "the database did not say goodbye");
    }
    if found.len() > ROWS_MAX {
        return Err(ReadError::TooMany);
    }
    found.into_iter().map(row).collect()
}

/// The authorities are trusted besides the usual ones, if the connection is to be encrypted.
fn with_authorities(opts: Opts, authorities: Option<&Path>) -> Opts {
    match (opts.ssl_opts().cloned(), authorities) {
        (Some(tls), Some(path)) => {
            let tls = tls.with_root_certs(vec![path.to_owned().into()]);
            OptsBuilder::from_opts(opts).ssl_opts(tls).into()
        }
        (Some(_) | None, _) => opts,
    }
}

fn row(row: mysql_async::Row) -> Result<Row, ReadError> {
    let columns = row.columns();
    let values = row.unwrap();
    let pairs = columns.iter().zip(values);
    pairs
        .map(|(column, value)| {
            let name = column.name_str().into_owned();
            let is_bits = column.column_type() == ColumnType::MYSQL_TYPE_BIT;
            let value = json(value, is_bits);
            let wrong = || ReadError::Read(format!("column {name} holds bytes that are no text"));
            value.ok_or_else(wrong).map(|value| (name.clone(), value))
        })
        .collect()
}

/// A value as it is written; `None` when it is no text.
fn json(value: mysql_async::Value, is_bits: bool) -> Option<Value> {
    Some(match value {
        mysql_async::Value::NULL => Value::Null,
        mysql_async::Value::Bytes(bits) if is_bits => {
            bits.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)).into()
        }
        mysql_async::Value::Bytes(text) => String::from_utf8(text).ok()?.into(),
        mysql_async::Value::Int(number) => number.into(),
        mysql_async::Value::UInt(number) => number.into(),
        mysql_async::Value::Float(number) => f64::from(number).into(),
        mysql_async::Value::Double(number) => number.into(),
        // Times are no part of an app: said as the database writes them.
        time @ (mysql_async::Value::Date(..) | mysql_async::Value::Time(..)) => {
            time.as_sql(true).trim_matches('\'').into()
        }
    })
}
