//! A streaming replica, for pages of history.
//!
//! Who may read what is asked of the primary. The messages come from the replica if it has replayed the
//! room up to the head that the primary showed; else, and for a while after it failed, from the primary.

use std::time::{Duration, Instant};

use mynah_domain::message::Message;
use parking_lot::Mutex;

use super::history::{Page, window_of};
use super::pool::Readers;
use super::trouble::{Failure, Trouble};
use super::{rows, sql};

/// How long a replica that failed is left alone.
const REST: Duration = Duration::from_secs(10);

/// A replica.
pub(super) struct Replica {
    readers: Readers,
    rests_until: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(readers: Readers) -> Self {
        Self { readers, rests_until: Mutex::default() }
    }

    pub(super) fn close(&self) {
        self.readers.close();
    }

    /// The messages of a page, if the replica has them as they are.
    pub(super) async fn window(&self, page: &Page) -> Option<Vec<Message>> {
        if self.rests_until.lock().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match Box::pin(self.read(page)).await {
            Ok(found) => found,
            Err(failure) => {
                let error = failure.store_error();
                tracing::warn!(%error, "the replica failed; the primary is asked for a while");
                *self.rests_until.lock() = Some(Instant::now() + REST);
                None
            }
        }
    }

    async fn read(&self, page: &Page) -> Result<Option<Vec<Message>>, Failure> {
        let db = self.readers.snapshot().await?;
        let room = page.room.row;
        let head = db.first(sql::rooms::ROOM_HEAD, &[&room], |row| rows::count(row, 0)).await?;
        if head.is_none_or(|head| head < page.room.room.last_seq) {
            return Ok(None);
        }
        match window_of(&db, page).await {
            Ok(found) => Ok(Some(found)),
            Err(Trouble::Refused(_)) => Ok(None),
            Err(Trouble::Engine(failure)) => Err(failure),
        }
    }
}
