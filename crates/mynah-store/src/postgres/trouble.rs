//! How a step inside the store can end without success.

use std::fmt::Display;

use mynah_domain::account::AccountError;
use mynah_domain::chat::ChatError;
use mynah_domain::permission::Denied;
use mynah_domain::ports::StoreError;
use tokio_postgres::error::SqlState;

/// Either a refusal, which is a regular answer and has written nothing, or the engine's failure.
#[derive(Debug)]
pub(super) enum Trouble<E> {
    Refused(E),
    Engine(Failure),
}

/// What the engine could not do, by what helps.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// Others were in the way; the same may succeed when it is run again.
    Again(String),
    /// Somebody holds a lock for too long.
    Locked(String),
    /// More places in the log are needed than were reserved.
    Places,
    /// The connection is gone.
    Lost(String),
    /// The place in the cluster under which it would be stored is another's.
    Fenced,
    /// No answer in time: the connection cannot be used any more.
    Hung,
    /// It will not succeed.
    Final(StoreError),
}

impl Failure {
    /// The port's word for it.
    pub(super) fn store_error(self) -> StoreError {
        match self {
            Self::Final(error) => error,
            Self::Again(problem) | Self::Locked(problem) => {
                StoreError::Unavailable(format!("others were in the way: {problem}"))
            }
            Self::Places => StoreError::Unavailable("too many events in one step".to_owned()),
            Self::Lost(problem) => {
                StoreError::Unavailable(format!("no connection to PostgreSQL: {problem}"))
            }
            Self::Fenced => StoreError::Fenced,
            Self::Hung => StoreError::Unavailable("PostgreSQL gives no answer".to_owned()),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            // A value that does not fit its type, or else the connection.
            return if error.is_closed() || is_io(&error) {
                Self::Lost(describe(&error))
            } else {
                Self::Final(StoreError::Unavailable(describe(&error)))
            };
        };
        let code = said.code();
        let again = [
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::UNIQUE_VIOLATION,
            &SqlState::FOREIGN_KEY_VIOLATION,
        ];
        let lost = [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            &SqlState::TOO_MANY_CONNECTIONS,
        ];
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            Self::Locked(describe(&error))
        } else if again.contains(&code) {
            Self::Again(describe(&error))
        } else if lost.contains(&code) || code.code().starts_with("08") {
            Self::Lost(describe(&error))
        } else if *code == SqlState::DISK_FULL {
            Self::Final(StoreError::Full)
        } else {
            Self::Final(StoreError::Unavailable(describe(&error)))
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// What the database says, without what was sent to it.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl<E> From<tokio_postgres::Error> for Trouble<E> {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl<E> From<Failure> for Trouble<E> {
    fn from(failure: Failure) -> Self {
        Self::Engine(failure)
    }
}

impl<E> From<StoreError> for Trouble<E> {
    fn from(error: StoreError) -> Self {
        Self::Engine(Failure::Final(error))
    }
}

impl From<Denied> for Trouble<ChatError> {
    fn from(denied: Denied) -> Self {
        Self::Refused(denied.into())
    }
}

impl From<ChatError> for Trouble<ChatError> {
    fn from(error: ChatError) -> Self {
        Self::Refused(error)
    }
}

impl From<AccountError> for Trouble<AccountError> {
    fn from(error: AccountError) -> Self {
        Self::Refused(error)
    }
}

/// A row that contradicts the rules.
pub(super) fn inconsistent(table: &'static str, id: &dyn Display) -> StoreError {
    StoreError::Inconsistent { table, id: id.to_string() }
}
