//! Soketi's table of apps in PostgreSQL, MySQL or MariaDB, read once for an import.
//!
//! Rows come as JSON objects with the table's own column names: what they mean is for the caller to say.
//! Nothing is written, and nothing is kept open.

mod mysql;
mod postgres;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

/// A row: column name to value.
pub type Row = Map<String, Value>;

/// Most rows that are read: more is no table of apps.
pub const ROWS_MAX: usize = 10_000;
/// How long connecting and reading may take each.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a table was not read. No text repeats the address: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The address is none of a database that is known.
    #[error("the address of the database {0}")]
    Address(String),
    /// The name cannot be one of a table.
    #[error(
        "{0:?} is no name of a table: letters, digits, _, - and $, with the schema and a dot before it if \
         need be"
    )]
    Table(String),
    /// The file of certificate authorities cannot be used.
    #[error("cannot use the certificates in {path}: {problem}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Nobody answers, or not to this user.
    #[error("cannot connect to the database: {0}")]
    Connect(String),
    /// The database refuses to read the table.
    #[error("cannot read the table: {0}")]
    Read(String),
    /// It takes too long.
    #[error("the database does not answer within {} seconds", PATIENCE.as_secs())]
    TimedOut,
    /// There are more rows than apps.
    #[error("the table has more than {ROWS_MAX} rows")]
    TooMany,
}

/// Reads all rows of a table.
///
/// `url` is `postgres://user:password@host:5432/database` (`postgresql://` likewise) or
/// `mysql://user:password@host:3306/database` (`mariadb://` likewise); `table` is a name, with the schema
/// before it if need be: `public.apps`. With `?sslmode=require` (PostgreSQL) or `?require_ssl=true`
/// (MySQL) the connection is encrypted and the certificate verified: against the authorities in the PEM
/// file `authorities`, or those that are usual. Without, it is not encrypted.
///
/// # Errors
/// [`ReadError`].
pub async fn read_apps(
    url: &str,
    table: &str,
    authorities: Option<&Path>,
) -> Result<Vec<Row>, ReadError> {
    let quote = |mark: char| quoted(table, mark).ok_or_else(|| ReadError::Table(table.to_owned()));
    let read = async {
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => {
                postgres::read(url, &quote('"')?, authorities).await
            }
            Some(("mysql" | "mariadb", rest)) => {
                mysql::read(&format!("mysql://{rest}"), &quote('`')?, authorities).await
            }
            Some(_) | None => {
                let wanted = "must start with postgres:// or mysql://";
                Err(ReadError::Address(wanted.to_owned()))
            }
        }
    };
    match tokio::time::timeout(PATIENCE * 2, read).await {
        Ok(rows) => rows,
        Err(_elapsed) => Err(ReadError::TimedOut),
    }
}

/// `public.apps` as `"public"."apps"`; `None` when it is no name.
fn quoted(table: &str, mark: char) -> Option<String> {
    let is_name = |part: &str| {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
        (1..=64).contains(&part.len()) && part.chars().all(plain)
    };
    let parts: Vec<&str> = table.split('.').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
        return None;
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("{mark}{part}{mark}")).collect();
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_quoted() {
        assert_eq!(quoted("apps", '"').as_deref(), Some("\"apps\""));
        assert_eq!(quoted("public.my-apps", '`').as_deref(), Some("`public`.`my-apps`"));
        for bad in ["", "a b", "a;b", "a\"b", "a`b", "a.b.c", ".a", "a.", "a(", "a/*"] {
            assert_eq!(quoted(bad, '"'), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn addresses_are_not_repeated() {
        for url in ["", "sqlite://x:hush@y", "postgres://x:hush@[y/z", "mysql://x:hush@y:port/z"] {
            let error = read_apps(url, "apps", None).await.unwrap_err();
            assert!(matches!(error, ReadError::Address(_)), "{error:?}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let error = read_apps("postgres://x:hush@localhost/z", "a;b", None).await.unwrap_err();
        assert_eq!(error, ReadError::Table("a;b".to_owned()));
    }
}
