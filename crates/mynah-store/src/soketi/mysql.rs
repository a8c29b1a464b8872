//! Reading from MySQL and MariaDB.

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts};
use serde_json::Value;

use super::{PATIENCE, ROWS_MAX, ReadError, Row};

/// All rows; `table` is quoted.
pub(super) async fn read(url: &str, table: &str) -> Result<Vec<Row>, ReadError> {
    let opts = Opts::from_url(url);
    let opts = opts.map_err(|_repeats| ReadError::Address("cannot be understood".to_owned()))?;
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
