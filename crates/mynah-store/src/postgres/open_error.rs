//! Why a database could not be opened.

use std::path::PathBuf;

/// Why a database could not be opened. No text holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// An address is wrong.
    #[error(
        "{setting} {problem}; write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, with special \
         characters of the password percent-encoded"
    )]
    Address {
        /// Which setting.
        setting: &'static str,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// The certificates of `sslrootcert` cannot be used.
    #[error("sslrootcert {path}: {problem}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The database cannot be reached, or does not let us in.
    #[error("cannot connect to PostgreSQL at {place}: {problem}{hint}")]
    Connect {
        /// Host, port and name of the database.
        place: String,
        /// What the system or the database says.
        problem: String,
        /// What may help; starts with `. `, or is empty.
        hint: &'static str,
    },
    /// It lacks what the store needs.
    #[error("the database at {place} {problem}")]
    Unfit {
        /// Host, port and name of the database.
        place: String,
        /// What it lacks, and what to do.
        problem: String,
    },
    /// A newer release has written the database.
    #[error(
        "the database has schema version {found}, but this binary knows versions up to {known}; nothing \
         was changed. Start the newer release again, or restore a backup made before the upgrade"
    )]
    Newer {
        /// Version of the database.
        found: u32,
        /// Newest version this binary knows.
        known: u32,
    },
    /// An applied migration is not the one this binary has.
    #[error(
        "migration {version} was applied in another wording than this binary has; nothing was changed. \
         Start the release that made the database"
    )]
    Altered {
        /// The migration.
        version: u32,
    },
    /// The schema `mynah` holds something else.
    #[error(
        "the schema \"mynah\" of this database holds tables that are not Mynah's; nothing was changed. \
         Name another database"
    )]
    NotMynah,
    /// The database refuses something that has to be done at the start.
    #[error("PostgreSQL refuses: {problem}")]
    Engine {
        /// What it says.
        problem: String,
    },
}
