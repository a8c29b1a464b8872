//! Finding messages by words.
//!
//! What a word is, what a query means and what a found text shows is decided here, so that every store finds the
//! same. A store narrows down by its index, which follows the log and so lags behind it a little; what it offers is
//! judged by the present text.

mod query;
mod snippet;
mod words;

use std::sync::Arc;

pub use query::{QUERY_CHARS_MAX, Query, TERMS_MAX, Term};
pub use snippet::{MATCHES_MAX, SNIPPET_CHARS_MAX, Snippet};
pub use words::{INDEXED_WORDS_MAX, indexed_words};

use crate::chat::ChatError;
use crate::message::{Message, Position};
use crate::permission::{Actor, Guard, Operation};
use crate::ports::SearchStore;
use crate::text::InvalidText;
use crate::{RoomId, Timestamp, UserId};

/// Messages of a page when the caller names no number.
pub const FOUND_DEFAULT: u32 = 20;
/// Most messages of one page.
pub const FOUND_MAX: u32 = 100;
/// Messages of the index that one call looks at. Where none of them is left after that, a page is short, or empty,
/// and tells where to go on.
pub const LOOKED_AT_MAX: usize = 1_000;
/// Rooms that are searched when none is named: those with the latest activity.
pub const SEARCHED_ROOMS_MAX: usize = 5_000;
/// Events counted by [`SearchStore::unindexed`] at most.
pub const UNINDEXED_MAX: u64 = 100_000;

/// What a message has beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// An address: `http://` or `https://` in its text.
    Link,
    /// Something else than text: its kind is not `text`.
    Attachment,
    /// It answers another.
    Reply,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Link, Self::Attachment, Self::Reply];

    /// The canonical word: `link`, `attachment` or `reply`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Attachment => "attachment",
            Self::Reply => "reply",
        }
    }

    /// Reads the canonical word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.as_str() == word)
    }

    /// Whether a message has it.
    pub fn is_in(self, message: &Message) -> bool {
        match self {
            Self::Link => {
                message.content.contains("https://") || message.content.contains("http://")
            }
            Self::Attachment => message.kind != "text",
            Self::Reply => message.reply_to.is_some(),
        }
    }
}

/// An end of what is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// By the time of sending.
    Time(Timestamp),
    /// By the place in the room, which must be named.
    Place(Position),
}

/// What somebody searches for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchWish {
    /// The query as it was typed; see [`Query::parse`].
    pub text: String,
    /// The only room; `None`: all that the actor has joined.
    pub room: Option<RoomId>,
    /// The only sender.
    pub from: Option<UserId>,
    /// What it must have.
    pub has: Vec<Feature>,
    /// Sent before a time, or before a place in the room.
    pub before: Option<Limit>,
    /// Sent at or after a time, or after a place in the room.
    pub after: Option<Limit>,
    /// [`Found::next`] of the page before.
    pub cursor: Option<u64>,
    /// Messages wanted; [`FOUND_DEFAULT`] if absent, [`FOUND_MAX`] at most.
    pub limit: Option<u32>,
}

/// What a store is asked for: a checked wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The words.
    pub query: Query,
    /// The only room; `None`: all that the actor has joined and the guard lets the actor into.
    pub room: Option<RoomId>,
    /// The only sender.
    pub from: Option<UserId>,
    /// What it must have.
    pub has: Vec<Feature>,
    /// Sent before a time, or before a place in the room.
    pub before: Option<Limit>,
    /// Sent at or after a time, or after a place in the room.
    pub after: Option<Limit>,
    /// Sent before the message with this `pos`.
    pub below: Option<u64>,
    /// Messages wanted.
    pub limit: usize,
}

impl Wanted {
    /// Whether a message is one of those wanted as it is now. Rooms and places are the store's affair.
    pub fn accepts(&self, message: &Message) -> bool {
        let is_before = match &self.before {
            Some(Limit::Time(at)) => message.created_at < *at,
            Some(Limit::Place(_)) | None => true,
        };
        let is_after = match &self.after {
            Some(Limit::Time(at)) => message.created_at >= *at,
            Some(Limit::Place(_)) | None => true,
        };
        message.deleted_at.is_none()
            && is_before
            && is_after
            && self.from.as_ref().is_none_or(|from| message.sender.id == *from)
            && self.has.iter().all(|feature| feature.is_in(message))
            && self.query.matches(&message.content)
    }
}

/// Messages that a store found, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matches {
    /// The messages.
    pub messages: Vec<Message>,
    /// The `pos` below which to go on; `None` at the end.
    pub next: Option<u64>,
}

/// What one step of indexing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indexed {
    /// Events that it took from the log.
    pub events: u64,
    /// Whether there may be more to do at once.
    pub more: bool,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundMessage {
    /// The message.
    pub message: Message,
    /// The part of its text that was found.
    pub snippet: Snippet,
    /// How well it fits: above 0, at most 1.
    pub score: f64,
}

/// One page of what was found, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The messages; there may be fewer than wanted, or none, although there is a next page.
    pub items: Vec<FoundMessage>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<u64>,
}

/// The search of messages.
#[derive(Clone)]
pub struct MessageSearch {
    store: Arc<dyn SearchStore>,
}

impl MessageSearch {
    /// Puts it on its port.
    pub fn new(store: Arc<dyn SearchStore>) -> Self {
        Self { store }
    }

    /// Messages that the actor may read, newest first. What was sent or changed a moment ago may be missing.
    ///
    /// # Errors
    /// [`ChatError::Text`] for a query without words, with too many, or a place without a room;
    /// [`ChatError::Denied`] and [`ChatError::MissingMessage`] for the room and the place that are named;
    /// [`ChatError::Store`].
    pub async fn search_messages(
        &self,
        actor: &Actor,
        wish: SearchWish,
    ) -> Result<Found, ChatError> {
        let wanted = checked(wish)?;
        let guard = Guard::new(actor, Operation::ReadHistory);
        let Matches { messages, next } = self.store.find_messages(guard, &wanted).await?;
        let found = messages.into_iter().filter_map(|message| {
            let (snippet, score) = snippet::explain(&wanted.query, &message.content)?;
            Some(FoundMessage { message, snippet, score })
        });
        Ok(Found { items: found.collect(), next })
    }
}

fn checked(wish: SearchWish) -> Result<Wanted, InvalidText> {
    let query = Query::parse(&wish.text)?;
    for (field, limit) in [("before", &wish.before), ("after", &wish.after)] {
        if wish.room.is_none() && matches!(limit, Some(Limit::Place(_))) {
            let problem = "must be a time where no room is named";
            return Err(InvalidText::Malformed { field, problem });
        }
    }
    Ok(Wanted {
        query,
        room: wish.room,
        from: wish.from,
        has: wish.has,
        before: wish.before,
        after: wish.after,
        below: wish.cursor,
        limit: wish.limit.unwrap_or(FOUND_DEFAULT).clamp(1, FOUND_MAX) as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_needs_a_room() {
        let wish = SearchWish { text: "x".into(), ..SearchWish::default() };
        let place = Some(Limit::Place(Position::Seq(3)));
        let refused = checked(SearchWish { before: place.clone(), ..wish.clone() }).unwrap_err();
        assert_eq!(refused.field(), "before");
        let refused = checked(SearchWish { after: place.clone(), ..wish.clone() }).unwrap_err();
        assert_eq!(refused.field(), "after");
        let room = Some(RoomId::trusted("r"));
        assert!(checked(SearchWish { room, before: place, ..wish.clone() }).is_ok());
        let time = Some(Limit::Time(Timestamp(1)));
        assert!(checked(SearchWish { before: time.clone(), after: time, ..wish }).is_ok());
    }

    #[test]
    fn pages_are_bounded() {
        for (wish, limit) in [(None, 20), (Some(0), 1), (Some(7), 7), (Some(u32::MAX), 100)] {
            let wish = SearchWish { text: "x".into(), limit: wish, ..SearchWish::default() };
            assert_eq!(checked(wish).map(|wanted| wanted.limit), Ok(limit));
        }
    }
}
