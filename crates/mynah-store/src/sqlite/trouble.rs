//! How a step inside the store can end without success.

use std::fmt::Display;

use mynah_domain::account::AccountError;
use mynah_domain::chat::ChatError;
use mynah_domain::permission::Denied;
use mynah_domain::ports::StoreError;
use rusqlite::ffi;

/// Either a refusal, which is a regular answer and has written nothing, or the engine's failure.
#[derive(Debug)]
pub(super) enum Trouble<E> {
    Refused(E),
    Engine(StoreError),
}

impl<E> From<rusqlite::Error> for Trouble<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(store_error(&error))
    }
}

impl<E> From<StoreError> for Trouble<E> {
    fn from(error: StoreError) -> Self {
        Self::Engine(error)
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

/// The port's word for an engine failure.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    let code = error.sqlite_error().map(|e| (e.code, e.extended_code));
    match code {
        // The second: the shared-memory file cannot grow, so the disk is full as well.
        Some((rusqlite::ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE)) => {
            StoreError::Full
        }
        Some(_) | None => StoreError::Unavailable(error.to_string()),
    }
}

/// A row that contradicts the rules.
pub(super) fn inconsistent(table: &'static str, id: &dyn Display) -> StoreError {
    StoreError::Inconsistent { table, id: id.to_string() }
}
